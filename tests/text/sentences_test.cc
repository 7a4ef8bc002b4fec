// SPDX-License-Identifier: Apache-2.0
// Sentences of a user's file: lines, JSON lines, a JSON array, and what is said of odd ones.
#include "text/sentences.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error_of.h"
#include "formats/temp_folder.h"

namespace fathom::test::sentences_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Sentences, OneALineWithTheirNumbers) {
  const TempFolder folder;
  const std::string file = folder.write("s.txt", "red\n\nblue\n");
  const Sentences skipped = read_sentences(file, "", Empty::kSkip);
  EXPECT_THAT(skipped.texts, ElementsAre("red", "blue"));
  EXPECT_THAT(skipped.line, ElementsAre(1, 3));
  EXPECT_THAT(skipped.skipped, ElementsAre(2));
  EXPECT_THAT(read_sentences(file, "", Empty::kZero).texts, ElementsAre("red", "", "blue"));
  EXPECT_THAT(error_of([&] { read_sentences(file, "", Empty::kError); }),
              HasSubstr(file + ", line 2: empty"));
}

TEST(Sentences, JsonByNameOrField) {
  const TempFolder folder;
  const std::string lines = folder.write("s.jsonl", "{\"text\":\"red\"}\n{\"text\":\"blue\"}\n");
  EXPECT_THAT(read_sentences(lines, "", Empty::kError).texts, ElementsAre("red", "blue"));
  const std::string array = folder.write("s.json", "[{\"q\":\"red\"}, {\"q\":\"blue\"}]");
  EXPECT_THAT(read_sentences(array, "q", Empty::kError).texts, ElementsAre("red", "blue"));
  EXPECT_THAT(error_of([&] { read_sentences(lines, "q", Empty::kError); }),
              HasSubstr("line 1: expected a text field 'q'"));
}

TEST(Sentences, ANoteSaysThatLinesLookLikeJson) {
  const TempFolder folder;
  const std::string file = folder.write("s.txt", "{\"text\":\"red\"}\n");
  std::vector<std::string> notes;
  const auto note = [&](const std::string& text) { notes.push_back(text); };
  EXPECT_THAT(read_sentences(file, "", Empty::kError, note).texts,
              ElementsAre("{\"text\":\"red\"}"));
  EXPECT_THAT(notes, ElementsAre(HasSubstr(file + ": line 1 is a JSON object")));
}

}  // namespace
}  // namespace fathom::test::sentences_test
