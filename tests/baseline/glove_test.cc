// SPDX-License-Identifier: Apache-2.0
#include "baseline/glove.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <thread>

#include "base/error.h"
#include "base/error_of.h"
#include "formats/build_files.h"
#include "paths.h"
#include "text/packed.h"
#include "text/text_file.h"

namespace fathom::glove_test {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<float> vector_of(const Glove& glove, std::string_view word) {
  const std::span<const float> found = glove.find(word);
  return {found.begin(), found.end()};
}

TEST(Glove, ReadsWordsAndNumbers) {
  const Glove glove = Glove::parse("the 1 -0.5\n, 2e1 6.3681e-05\ncaf\xE9 .25 3\n", "v.txt");
  EXPECT_EQ(glove.dim(), 2u);
  EXPECT_EQ(glove.n_word(), 3u);
  EXPECT_THAT(vector_of(glove, "the"), ElementsAre(1, -0.5f));
  EXPECT_THAT(vector_of(glove, ","), ElementsAre(20, 6.3681e-05f));
  EXPECT_THAT(vector_of(glove, "caf\xE9"), ElementsAre(0.25f, 3));
  EXPECT_THAT(vector_of(glove, "The"), IsEmpty());
  EXPECT_THAT(vector_of(glove, ""), IsEmpty());
}

TEST(Glove, TakesLinesAsTheyAreWritten) {
  const std::vector<float> expected = {1, 2};
  for (const char* text : {"a 1 2", "a 1 2\n", "a 1 2\r\n", "a 1 2 \n", "a\t1\t2\n", "a  1  2\n",
                           "\xEF\xBB\xBF"
                           "a 1 2\n"})
    EXPECT_EQ(vector_of(Glove::parse(text, "v.txt"), "a"), expected) << text;
}

TEST(Glove, TheFirstOfEqualWordsCounts) {
  const Glove glove = Glove::parse("a 1 4\nb 2 5\na 3 6\n", "v.txt");
  EXPECT_EQ(glove.n_word(), 2u);
  EXPECT_THAT(vector_of(glove, "a"), ElementsAre(1, 4));
}

TEST(Glove, KeepsOnlyNeededWords) {
  const WordSet needed = {"b", "absent", ". ."};
  const Glove glove = Glove::parse("a 1 2\nb 3 4\nc 7 8\n. . 5 6\n", "v.txt", &needed);
  EXPECT_EQ(glove.n_word(), 2u);
  EXPECT_THAT(vector_of(glove, "b"), ElementsAre(3, 4));
  EXPECT_THAT(vector_of(glove, ". ."), ElementsAre(5, 6));
  EXPECT_THAT(vector_of(glove, "a"), IsEmpty());
  const WordSet none;
  EXPECT_EQ(Glove::parse("a 1 2\n", "v.txt", &none).n_word(), 0u);
}

TEST(Glove, ManyWordsAreAllFound) {
  std::string text;
  for (int i = 0; i < 20000; ++i) text += concat("w", i, " ", i, " ", -i, "\n");
  const Glove glove = Glove::parse(text, "v.txt");
  EXPECT_EQ(glove.n_word(), 20000u);
  for (int i = 0; i < 20000; ++i)
    ASSERT_THAT(vector_of(glove, concat("w", i)),
                ElementsAre(static_cast<float>(i), static_cast<float>(-i)));
  EXPECT_TRUE(glove.find("w20000").empty());
  EXPECT_LT(glove.memory_bytes(), 20000 * (2 * 4 + 6 + 8 + 4 * 4) + 4096);
}

TEST(GloveEmbed, IsTheMeanOfKnownWords) {
  const Glove glove = Glove::parse("a 1 2\nb 3 -2\nB 9 9\n. 5 5\n", "v.txt");
  std::vector<float> mean(2, -1.0f);
  Coverage coverage = glove.embed("A b unknown b", {}, mean);
  EXPECT_EQ(coverage.words, 4u);
  EXPECT_EQ(coverage.known, 3u);
  EXPECT_DOUBLE_EQ(coverage.share(), 0.75);
  EXPECT_THAT(mean, ElementsAre(7.0f / 3, -2.0f / 3)) << "each as often as it occurs";

  coverage = glove.embed("B", {.lower_case = false}, mean);
  EXPECT_THAT(mean, ElementsAre(9, 9));
  coverage = glove.embed("a.", {}, mean);
  EXPECT_EQ(coverage.known, 0u);
  EXPECT_THAT(mean, ElementsAre(0, 0)) << "no known word: the zero vector";
  coverage = glove.embed("a.", {.split_punctuation = true}, mean);
  EXPECT_EQ(coverage.known, 2u);
  EXPECT_THAT(mean, ElementsAre(3, 3.5f));

  coverage = glove.embed("", {}, mean);
  EXPECT_EQ(coverage.words, 0u);
  EXPECT_EQ(coverage.share(), 0);
  Coverage total{3, 1};
  total += Coverage{1, 1};
  EXPECT_DOUBLE_EQ(total.share(), 0.5);
}

TEST(GloveEmbed, SumsInDouble) {
  const Glove glove = Glove::parse("a 1e8 0\nb 1 0\nc -1e8 0\n", "v.txt");
  std::vector<float> mean(2);
  glove.embed("a b c", {}, mean);
  EXPECT_THAT(mean, ElementsAre(1.0f / 3, 0));
}

TEST(GloveFile, PlainPackedAndFromAPipe) {
  const fs::path folder = fs::temp_directory_path() / concat("fathom_glove_", ::getpid());
  fs::create_directories(folder);
  const auto write = [&](const std::string& name, const std::string& bytes) {
    std::ofstream(folder / name, std::ios::binary) << bytes;
    return folder / name;
  };
  const std::string text = "a 1 2\nb 3 4\n";
  write("plain.txt", text);
  write("x.txt.xz", xz(text));
  write("g.txt.gz", gzip(text));
  write("z.txt.zst", zstd(text));
  write("a.zip", test::zip({{"v.txt", text}}));
  const WordSet needed = {"b", "c"};
  for (const char* file : {"plain.txt", "x.txt", "g.txt", "z.txt", "z.txt.zst", "a.zip"}) {
    const Glove all = Glove::open(folder / file), some = Glove::open(folder / file, &needed);
    EXPECT_THAT(vector_of(all, "a"), ElementsAre(1, 2)) << file;
    EXPECT_THAT(vector_of(all, "b"), ElementsAre(3, 4)) << file;
    EXPECT_THAT(vector_of(some, "a"), IsEmpty()) << file;
    EXPECT_THAT(vector_of(some, "b"), ElementsAre(3, 4)) << file;
    EXPECT_THAT(all.notes(), IsEmpty()) << file;
  }
  const std::string pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const std::string& bytes : {text, gzip(text), test::zip({{"v.txt", text}})}) {
    std::thread writer([&] { std::ofstream(pipe, std::ios::binary) << bytes; });
    EXPECT_THAT(vector_of(Glove::open(pipe), "b"), ElementsAre(3, 4));
    writer.join();
  }
  write("bad.txt", "a 1 2\nb\n");
  for (const char* file : {"bad.txt", "absent.txt"})
    EXPECT_THAT(error_of([&] { Glove::open(folder / file); }), HasSubstr(file));
  fs::remove_all(folder);
}

// Pearson of average ranks, by its definition.
double spearman(const std::vector<double>& x, const std::vector<double>& y) {
  const auto ranks = [](const std::vector<double>& values) {
    std::vector<double> out;
    for (double v : values) {
      double below = 0, equal = 0;
      for (double other : values) below += other < v, equal += other == v;
      out.push_back(below + (equal + 1) / 2);
    }
    return out;
  };
  const std::vector<double> rx = ranks(x), ry = ranks(y);
  const double mean = (static_cast<double>(x.size()) + 1) / 2;
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < rx.size(); ++i) {
    xy += (rx[i] - mean) * (ry[i] - mean);
    xx += (rx[i] - mean) * (rx[i] - mean);
    yy += (ry[i] - mean) * (ry[i] - mean);
  }
  return xy / std::sqrt(xx * yy);
}

// Expected: numpy and scipy.stats.spearmanr on the same files.
TEST(GlovePublished, MrpcValidation) {
  const char* shared = std::getenv("FATHOM_SHARED");
  const fs::path data =
      fs::path(shared && *shared ? shared : concat(test::kSourceDir, "/../shared")) / "data";
  const fs::path vectors = data / "glove/glove.6B.50d.subset.txt",
                 pairs = data / "glue/MRPC/dev.tsv";
  if (!find_text_file(vectors) || !find_text_file(pairs)) GTEST_SKIP() << data << " is not there";
  const Glove glove = Glove::open(vectors);
  EXPECT_EQ(glove.dim(), 50u);
  EXPECT_EQ(glove.n_word(), 10536u);

  const std::string text = read_text_file(pairs);
  std::vector<double> scores, labels;
  Coverage coverage;
  const std::vector<std::string_view> lines = split_lines(text);
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string_view> fields = split_tabs(lines[i]);
    std::vector<float> a(50), b(50);
    coverage += glove.embed(fields.at(3), {}, a);
    coverage += glove.embed(fields.at(4), {}, b);
    const double dot = std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
    const double aa = std::inner_product(a.begin(), a.end(), a.begin(), 0.0);
    const double bb = std::inner_product(b.begin(), b.end(), b.begin(), 0.0);
    scores.push_back(dot / std::sqrt(aa * bb));
    labels.push_back(fields[0] == "1" ? 1 : 0);
  }
  EXPECT_EQ(coverage.words, 17968u);
  EXPECT_EQ(coverage.known, 15682u);
  EXPECT_NEAR(coverage.share(), 0.873, 5e-4);
  EXPECT_NEAR(spearman(scores, labels), 0.40643621183986106, 1e-9);
}

}  // namespace
}  // namespace fathom::glove_test
