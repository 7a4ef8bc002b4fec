// SPDX-License-Identifier: Apache-2.0
// Sentences of a user's file: lines, JSON lines, a JSON array, and what is said of odd ones.
#include "text/sentences.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error_of.h"
#include "formats/temp_folder.h"
#include "text/text_buffer.h"
#include "text/text_file.h"

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

// All of a line, whatever its parts.
std::string whole_line(LineReader& lines, std::string_view part, size_t longest) {
  std::string line(part);
  while (lines.more(part)) {
    EXPECT_LE(part.size(), longest);
    line += part;
  }
  return line;
}

TEST(Lines, InPartsTheyAreThoseOfTheWholeText) {
  for (const std::string text :
       {"", "\n", "\r\n", "a", "a\r", "ab\ncd\r\n\r\nlonger line\r\r\n\rx\nend",
        "\xEF\xBB\xBFmark\n\xEF\xBB\xBFnone\n", "abcdefgh\r\nabcdefg\r\nabcdefghi\n"}) {
    const std::vector<std::string_view> want = split_lines(text);
    for (size_t n = 4; n < 20; ++n)
      for (size_t longest : {1, 2, 3, 8, 9, 100}) {
        MemoryParts parts(text, false, n);
        TextBuffer buffer(parts);
        LineReader lines(buffer, longest);
        size_t i = 0;
        for (std::string_view part; lines.next(part); ++i) {
          EXPECT_LE(part.size(), longest);
          ASSERT_LT(i, want.size()) << text;
          EXPECT_EQ(whole_line(lines, part, longest), want[i])
              << text << " " << n << " " << longest;
        }
        EXPECT_EQ(i, want.size()) << text;
      }
  }
}

TEST(Sentences, ALongLineComesInParts) {
  const TempFolder folder;
  const std::string line = std::string(LineReader::kLongest, 'a') + std::string(100, 'b');
  const std::string file = folder.write("s.txt", "one\n" + line + "\ntwo\n");
  EXPECT_THAT(read_sentences(file, "", Empty::kError).texts, ElementsAre("one", line, "two"));
  SentenceStream stream(
      {.asked = file, .found = file, .name = file, .bytes = std::make_unique<InputFile>(file)}, {});
  std::vector<size_t> sizes;
  for (Sentence s; stream.next(s);) sizes.push_back(s.text.size());  // the rest is passed over
  EXPECT_THAT(sizes, ElementsAre(3, LineReader::kLongest, 3));
}

TEST(Sentences, OfSomeRows) {
  const TempFolder folder;
  const auto odd = [&](const std::string& file, const std::string& field) {
    SentenceStream stream({.asked = file,
                           .found = file,
                           .name = "f",
                           .bytes = std::make_unique<InputFile>(file),
                           .row_wanted = [](size_t row) { return row % 2 == 1; }},
                          {.text = field});
    std::vector<std::string> texts;
    for (Sentence s; stream.next(s);) texts.push_back(concat(s.line, s.text));
    EXPECT_EQ(stream.n_row(), 3u);
    return texts;
  };
  EXPECT_THAT(odd(folder.write("a.txt", "x\ny\nz\n"), ""), ElementsAre("1x", "3z"));
  EXPECT_THAT(odd(folder.write("a.csv", "t,u\nx,1\n\ny,2\nz,3\n"), "t"), ElementsAre("2x", "5z"));
  // The one in between is not looked into.
  EXPECT_THAT(odd(folder.write("a.jsonl", "{\"t\":\"x\"}\n{broken\n{\"t\":\"z\"}\n"), "t"),
              ElementsAre("1x", "3z"));
  EXPECT_THAT(odd(folder.write("a.json", "[{\"t\":\"x\"},{},{\"t\":\"z\"}]"), "t"),
              ElementsAre("1x", "3z"));
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
