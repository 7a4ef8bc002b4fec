// SPDX-License-Identifier: Apache-2.0
// Files of word vectors: every kind that is read, with the right values, and what is refused.
#include "baseline/word_vectors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <map>

#include "base/error.h"
#include "base/error_of.h"
#include "formats/build_files.h"
#include "text/packed.h"

namespace fathom::word_vectors_test {
namespace {

using test::le;
using test::u16;
using test::u32;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Kept final : public WordSink {
 public:
  void begin(size_t n, size_t n_word) override {
    EXPECT_EQ(dim, 0u) << "once";
    dim = n;
    most = n_word;
  }
  bool wants(std::string_view word) override { return word != "unwanted"; }
  void add(std::string_view word, std::span<const float> vector) override {
    EXPECT_EQ(vector.size(), dim);
    order.emplace_back(word);
    words[std::string(word)].assign(vector.begin(), vector.end());
  }

  size_t dim = 0, most = 0;
  std::vector<std::string> order, notes;
  std::map<std::string, std::vector<float>> words;
};

Kept read(std::string_view bytes) {
  Kept kept;
  kept.notes = read_word_vectors(bytes, "v.txt", kept);
  return kept;
}

std::string refusal(std::string_view bytes) {
  return error_of([&] { read(bytes); });
}

// word2vec's record; newline: as the original program writes it.
std::string record(std::string_view word, const std::vector<float>& vector, bool newline = true) {
  std::string bytes = std::string(word) + " ";
  for (float v : vector) bytes += le(v);
  return bytes + (newline ? "\n" : "");
}

TEST(WordVectors, Text) {
  const Kept kept = read("the 1 -0.5\nunwanted 3 4\n, 2e1 +6.25e-02\n");
  EXPECT_EQ(kept.dim, 2u);
  EXPECT_GE(kept.most, 3u);
  EXPECT_THAT(kept.order, ElementsAre("the", ","));
  EXPECT_THAT(kept.words.at("the"), ElementsAre(1, -0.5f));
  EXPECT_THAT(kept.words.at(","), ElementsAre(20, 0.0625f));
  EXPECT_THAT(kept.notes, IsEmpty());
}

TEST(WordVectors, NumbersAsTheyAreWritten) {
  const std::pair<const char*, float> cases[] = {
      {"+0.5", 0.5f},
      {"-0.5", -0.5f},
      {".25", 0.25f},
      {"3.", 3},
      {"1e-60", 0},
      {"1e-400", 0},
      {"-1E2", -100},
      {"+1e2", 100},
      {"007", 7},
      {"16777217", 16777216.0f},
      {"-0", 0},
      {"0.1", 0.1f},
      {"123456789012345678901234567890", 123456789012345678901234567890.0f},
      {"3.4028234e38", std::numeric_limits<float>::max()}};
  for (const auto& [text, value] : cases)
    EXPECT_THAT(read(concat("a ", text, " 2\n")).words.at("a"), ElementsAre(value, 2)) << text;
}

TEST(WordVectors, LinesAsTheyAreWritten) {
  for (const char* text : {"a 1 2", "a 1 2\n", "a 1 2\r\n", "a 1 2 \n", "a\t1\t2\n", "a  1  2\n",
                           "a 1 2 \t \r\n", "a 1 2\n\n", "a 1 2\n \n\r\n",
                           "\xEF\xBB\xBF"
                           "a 1 2\n"})
    EXPECT_THAT(read(text).words.at("a"), ElementsAre(1, 2)) << text;
}

// Words of glove.840B and glove.6B, and the bytes that Unicode calls spaces.
TEST(WordVectors, WordsOfAllKinds) {
  const Kept kept = read(
      "a 1 2\n. . . 3 4\nat name@domain.com 5 6\n1 7 8\nnan 9 10\ninf 11 12\n"
      "\xC2\xA0 13 14\ncaf\xE9 15 16\n1/2 17 18\n");
  EXPECT_THAT(kept.words.at(". . ."), ElementsAre(3, 4));
  EXPECT_THAT(kept.words.at("at name@domain.com"), ElementsAre(5, 6));
  EXPECT_THAT(kept.words.at("1"), ElementsAre(7, 8));
  EXPECT_THAT(kept.words.at("nan"), ElementsAre(9, 10));
  EXPECT_THAT(kept.words.at("inf"), ElementsAre(11, 12));
  EXPECT_THAT(kept.words.at("\xC2\xA0"), ElementsAre(13, 14));
  EXPECT_THAT(kept.words.at("caf\xE9"), ElementsAre(15, 16));
  EXPECT_EQ(kept.words.size(), 9u);
  // In the first line, too, where the dimension is counted.
  EXPECT_THAT(read(". . . 3 4\n").words.at(". . ."), ElementsAre(3, 4));
  EXPECT_THAT(read("1 3 4\n").words.at("1"), ElementsAre(3, 4));
  EXPECT_THAT(read("nan 3 4\n").words.at("nan"), ElementsAre(3, 4));
}

TEST(WordVectors, AHeaderGivesTheDimension) {
  const Kept kept = read("2 3\na 1 2 3\nb 4 5 6\n");
  EXPECT_EQ(kept.dim, 3u);
  EXPECT_EQ(kept.most, 2u);
  EXPECT_THAT(kept.order, ElementsAre("a", "b"));
  EXPECT_THAT(kept.notes, IsEmpty());
  EXPECT_EQ(read("1 1 1\na 5 6\n").words.size(), 2u) << "three fields are a word and its vector";
}

// wiki-news-300d-1M-subword's, and what `head -n` leaves.
TEST(WordVectors, AHeaderThatCountsOtherwiseIsANote) {
  for (const char* n_word : {"1", "3", "999994"}) {
    const Kept kept = read(concat(n_word, " 2\na 1 2\nb 3 4\n"));
    EXPECT_THAT(kept.words.at("b"), ElementsAre(3, 4));
    EXPECT_THAT(kept.notes, ElementsAre(concat("v.txt: its header promises ", n_word,
                                               " words, the file has 2.")));
  }
}

TEST(WordVectors, AWordWithNanIsLeftOutAndCounted) {
  const Kept one = read("a 1 2\nb nan 4\nc 5 6\n");
  EXPECT_THAT(one.order, ElementsAre("a", "c"));
  EXPECT_THAT(one.notes, ElementsAre("v.txt: 1 word is left out, with NaN in the vector (first: "
                                     "line 2)."));
  const Kept two = read("3 2\na NaN -nan\nb NAN 4\nc 5 6\n");
  EXPECT_THAT(two.order, ElementsAre("c"));
  EXPECT_THAT(two.notes, ElementsAre(AllOf(HasSubstr("2 words"), HasSubstr("line 2"))));
  EXPECT_EQ(refusal("a nan nan\n"), "v.txt: no vectors without NaN");
}

TEST(WordVectors, NamesFileAndLineOfWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "v.txt: the file is empty"},
      {"\n", "v.txt:1: expected a word and at least 2 numbers, got an empty line"},
      {"word\n", "v.txt:1: expected a word and at least 2 numbers, got 'word'"},
      {"a 1\nb 2\n", "v.txt:1: expected a word and at least 2 numbers, got 'a 1'"},
      {"a 1 x\n", "v.txt:1: expected a word and at least 2 numbers, got 'a 1 x'"},
      {"a 1 2\nb 1\n", "v.txt:2: expected a word and 2 numbers, got 2 fields"},
      {"a 1 2\n1 2\n", "v.txt:2: expected a word and 2 numbers, got 2 fields"},
      {"a 1 2\n 1 2\n", "v.txt:2: expected a word and 2 numbers, got 2 fields"},
      {"a 1 2\nb\n", "v.txt:2: expected a word and 2 numbers, got 1 field"},
      {"a 1 2\n\nb 1 2\n", "v.txt:2: expected a word and 2 numbers, got an empty line"},
      {"a 1 2\nb 1 2 3\n", "v.txt:2: expected a word and 2 numbers, got at least 3 numbers"},
      {"a 1 2\nb c 1 2 3\n", "v.txt:2: expected a word and 2 numbers, got at least 3 numbers"},
      {"a 1 2\nb 1 x\n", "v.txt:2: expected a finite number, got x"},
      {"a 1 2\nunwanted 1 x\n", "v.txt:2: expected a finite number, got x"},
      {"a 1 2\nb 1 2,5\n", "v.txt:2: expected a finite number, got 2,5"},
      {"a 1 2\nb 1 1.2.3\n", "v.txt:2: expected a finite number, got 1.2.3"},
      {"a 1 2\nb 1 +-5\n", "v.txt:2: expected a finite number, got +-5"},
      {"a 1 2\nb 1 -inf\n", "v.txt:2: expected a finite number, got -inf"},
      {"a 1 2\nb 1 1e39\n", "v.txt:2: expected a finite number, got 1e39"},
      {"a 1 2\nb 1 1e999\n", "v.txt:2: expected a finite number, got 1e999"},
      {"2 2\na 1 2\nb 1\n", "v.txt:3: expected a word and 2 numbers, got 2 fields"},
      {"2 2\n", "v.txt: no vectors after the header line"},
      {"2 1\na 1\nb 1\n", "v.txt:1: expected a header with a dimension of 2 to 1048576, got 1"},
      {"2 3\na 1 2\nb 1 2\n", "v.txt:2: expected a word and 3 numbers, got 3 fields"}};
  for (const auto& [text, message] : cases) EXPECT_EQ(refusal(text), message) << text;
}

TEST(WordVectors, TextsThatAreNoVectorsAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 347116733\n", "git-lfs"},
      {"<!DOCTYPE html>\n<html lang=\"en\">\n", "v.txt:1: expected a word and at least 2 numbers"},
      {"Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t702\t703\tA\tB\n", "v.txt:1: expected"},
      {"1\t702876\t702977\tAmrozi accused\tReferring to him\n", "v.txt:1: expected"},
      {"{\"text\": \"the\"}\n", "v.txt:1: expected"},
      {"the 23135851162\nof 13151942776\n", "v.txt:1: expected a word and at least 2 numbers"}};
  for (const auto& [text, message] : cases) EXPECT_THAT(refusal(text), HasSubstr(message)) << text;
  EXPECT_THAT(refusal({"\x10\x27\0\0d\0\0\0", 8}), HasSubstr("byte 3 is zero"));
  EXPECT_THAT(refusal("\x89PNG\r\n\x1A\n"), HasSubstr("PNG"));
}

TEST(WordVectors, Word2vecBinary) {
  const std::vector<float> a = {1, -2.5f, 0.1f}, b = {3, 4, 5};
  for (const bool newline : {true, false}) {
    const Kept kept = read("3 3\n" + record("a", a, newline) + record("unwanted", b, newline) +
                           record("caf\xC3\xA9_2", b, newline));
    EXPECT_EQ(kept.dim, 3u);
    EXPECT_THAT(kept.order, ElementsAre("a", "caf\xC3\xA9_2"));
    EXPECT_EQ(kept.words.at("a"), a);
    EXPECT_EQ(kept.words.at("caf\xC3\xA9_2"), b);
    EXPECT_THAT(kept.notes, IsEmpty());
  }
  // A vector that holds bytes that look like line feeds and spaces.
  const auto odd = std::bit_cast<float>(uint32_t{0x0A200A20});
  const std::vector<float> tricky = {odd, 0, 1};
  EXPECT_EQ(read("1 3\n" + record("a", tricky)).words.at("a"), tricky);
  EXPECT_EQ(read(gzip("1 3\n" + record("a", a))).words.at("a"), a);
}

TEST(WordVectors, Word2vecBinaryAcrossParts) {
  std::string bytes = "30000 100\n";
  std::vector<float> vector(100);
  for (int i = 0; i < 30000; ++i) {
    for (size_t d = 0; d < vector.size(); ++d)
      vector[d] = static_cast<float>(i) + 0.25f * static_cast<float>(d);
    bytes += record(concat("w", i), vector);
  }
  ASSERT_GT(bytes.size(), size_t{8} << 20) << "more than a part";
  const Kept kept = read(bytes);
  ASSERT_EQ(kept.words.size(), 30000u);
  for (int i = 0; i < 30000; ++i) {
    const std::vector<float>& got = kept.words.at(concat("w", i));
    ASSERT_EQ(got[0], static_cast<float>(i));
    ASSERT_EQ(got[99], static_cast<float>(i) + 24.75f);
  }
}

TEST(WordVectors, TextAcrossParts) {
  std::string text;
  for (int i = 0; text.size() < (size_t{9} << 20); ++i) text += concat("w", i, " ", i, " 0.5 -1\n");
  for (const std::string& bytes : {text, gzip(text), zstd(text), xz(text)}) {
    const Kept kept = read(bytes);
    for (size_t i = 0; i < kept.order.size(); ++i)
      ASSERT_THAT(kept.words.at(concat("w", i)), ElementsAre(static_cast<float>(i), 0.5f, -1));
    EXPECT_EQ(kept.words.size(), static_cast<size_t>(std::count(text.begin(), text.end(), '\n')));
  }
}

TEST(WordVectors, Word2vecBinaryThatIsWrong) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const std::string good = record("a", {1, 2, 3});
  EXPECT_THAT(refusal("2 3\n" + good + record("b", {1, inf, 3})),
              AllOf(HasSubstr("v.txt: word 2, 'b'"), HasSubstr("finite"), HasSubstr("inf")));
  for (size_t cut = 1; cut < 13; ++cut)
    EXPECT_THAT(refusal("1 3\n" + good.substr(0, good.size() - 1 - cut)), HasSubstr("v.txt"));
  EXPECT_THAT(refusal("2 3\n" + good + good.substr(0, 9)),
              AllOf(HasSubstr("word 2, 'a': truncated"), HasSubstr("got 7 bytes")));
  EXPECT_THAT(refusal("2 3\n" + good + "tail"), HasSubstr("word 2, 'tail': expected a word and"));
  const Kept kept = read("2 3\n" + record("n", {1, nan, 2}) + good);
  EXPECT_THAT(kept.order, ElementsAre("a"));
  EXPECT_THAT(kept.notes, ElementsAre(HasSubstr("1 word is left out")));
  EXPECT_THAT(read("5 3\n" + good).notes,
              ElementsAre(HasSubstr("promises 5 words, the file has 1")));
}

test::ZipPart deflated(const std::string& name, const std::string& text) {
  return {name, deflate_raw(text), 8, 0, false, text};
}

TEST(WordVectors, AnArchiveOfOneFile) {
  const std::string text = "a 1 2\nb 3 4\n", bin = "1 3\n" + record("a", {1, 2, 3});
  const test::ZipPart folder{"v/", ""}, mac{"__MACOSX/v/._v.txt", "x"};
  test::ZipPart zip64 = deflated("v/v.txt", text);
  zip64.zip64 = true;
  for (const std::string& file :
       {test::zip({{"v.txt", text}}), test::zip({deflated("v.txt", text)}),
        test::zip({folder, zip64, mac}), test::zip({zip64}, true)}) {
    const Kept kept = read(file);
    EXPECT_THAT(kept.words.at("b"), ElementsAre(3, 4));
    EXPECT_EQ(kept.words.size(), 2u);
  }
  EXPECT_THAT(read(test::zip({deflated("v.bin", bin)})).words.at("a"), ElementsAre(1, 2, 3));
  EXPECT_THAT(refusal(test::zip({deflated("v.txt", "a 1 2\nb 1\n")})),
              HasSubstr("v.txt/v.txt:2: "));
}

TEST(WordVectors, ArchivesThatAreWrong) {
  const std::string text = "a 1 2\n";
  const auto refused = [](const std::vector<test::ZipPart>& parts) {
    return refusal(test::zip(parts));
  };
  EXPECT_THAT(
      refused({{"a.50d.txt", text}, {"a.100d.txt", text}}),
      AllOf(HasSubstr("v.txt: expected a ZIP archive of one file, got 2: a.100d.txt, a.50d"),
            HasSubstr("unzip")));
  EXPECT_THAT(refused({{"v/", ""}}), HasSubstr("got 0"));
  EXPECT_THAT(refused({{"a", text, 9}}), HasSubstr("compressed by method 9"));
  EXPECT_THAT(refused({{"a", text, 0, 1}}), HasSubstr("v.txt: a: the entry is encrypted"));
  test::ZipPart wrong = deflated("a", text);
  wrong.content = "b 1 2\n";
  EXPECT_THAT(refused({wrong}), HasSubstr("checksum"));
  const std::string whole = test::zip({deflated("a", text)});
  EXPECT_THAT(refusal(whole.substr(0, whole.size() / 2)), HasSubstr("v.txt: truncated ZIP"));
  EXPECT_THAT(refused({{"a", gzip(text)}}), HasSubstr("compressed twice"));
}

}  // namespace
}  // namespace fathom::word_vectors_test
