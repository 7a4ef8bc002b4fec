// SPDX-License-Identifier: Apache-2.0
// Word vectors and means of static token embeddings behind one interface.
#include "baseline/baseline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "formats/temp_folder.h"
#include "model/synthetic_layouts.h"

namespace fathom::test::baseline_test {
namespace {

using testing::ElementsAre;
using testing::Eq;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;
using testing::ThrowsMessage;

using Kind = BaselineSpec::Kind;

class BaselineTest : public testing::Test {
 protected:
  BaselineTest() {
    words_ = folder_.write("words.txt", "red 1 0\nblue 0 1\n");
    bag_ = folder_.file("bag");
    std::filesystem::create_directory(bag_);
    Array table{"emb.weight", {256, 2}, {}};
    for (int i = 0; i < 256; ++i)
      for (const int v : {i, 1}) table.values.push_back(static_cast<float>(v));
    write_arrays(folder_.file("bag/model.safetensors"), {table});
  }
  std::unique_ptr<const Baseline> open(BaselineSpec spec, std::vector<std::string_view> texts) {
    return Baseline::open(resolved({std::move(spec)}).front(), {texts});
  }

  TempFolder folder_;
  std::string words_, bag_;
};

TEST_F(BaselineTest, AFolderIsABagAllElseIsWords) {
  const std::vector<BaselineSpec> specs =
      resolved({{.place = words_},
                {.place = bag_},
                {.place = words_},
                {.place = "nowhere"},
                {.place = bag_},
                {.place = words_, .kind = Kind::kWords, .name = "mine"}});
  std::vector<std::string> names;
  for (const BaselineSpec& spec : specs) names.push_back(spec.name);
  EXPECT_THAT(names, ElementsAre("glove", "bag", "glove-2", "glove-3", "bag-2", "mine"));
  EXPECT_EQ(specs[1].kind, Kind::kTokens);
  EXPECT_EQ(specs[3].kind, Kind::kWords);
  EXPECT_EQ(baseline_title("glove"), "Word vectors");
  EXPECT_EQ(baseline_title("bag"), "Static embeddings");
  EXPECT_EQ(baseline_title("glove-2"), "Word vectors 2");
  EXPECT_EQ(baseline_title("bag-13"), "Static embeddings 13");
  EXPECT_EQ(baseline_title("mine"), "mine");
}

TEST_F(BaselineTest, WordVectorsAreTheMeanOfTheWordsThatTheyKnow) {
  const auto words = open({.place = words_}, {"Red red grey", "blue"});
  EXPECT_EQ(words->name(), "glove");
  EXPECT_EQ(words->dim(), 2u);
  EXPECT_FALSE(words->knows_all());
  std::vector<float> mean(2);
  const Coverage coverage = words->embed("Red blue grey", mean);
  EXPECT_EQ(coverage.words, 3u);
  EXPECT_EQ(coverage.known, 2u);
  EXPECT_THAT(mean, ElementsAre(0.5f, 0.5f));
  const std::vector<std::string_view> texts = {"red grey", "grey grey"};
  EXPECT_EQ(coverage_of(*words, {texts}).known, 1u);
  EXPECT_EQ(coverage_of(*words, {texts, texts}).words, 8u);
  const OrderedJson about = words->about();
  EXPECT_EQ(about["file"], words_);
  EXPECT_EQ(about["dim"], 2);
  EXPECT_EQ(about["lower_case"], true);
  // Words that no text needs are not kept, and case stays where it is asked to.
  const auto kept = open({.place = words_, .words = {.lower_case = false}}, {"red Blue"});
  EXPECT_EQ(kept->embed("red Blue", mean).known, 1u);
  EXPECT_EQ(kept->embed("blue", mean).known, 0u);
}

TEST_F(BaselineTest, StaticEmbeddingsKnowEveryToken) {
  const auto bag = open({.place = bag_}, {});
  EXPECT_EQ(bag->name(), "bag");
  EXPECT_TRUE(bag->knows_all());
  std::vector<float> mean(2);
  const Coverage coverage = bag->embed("aac", mean);
  EXPECT_EQ(coverage.words, 3u);
  EXPECT_EQ(coverage.known, 3u);
  EXPECT_EQ(mean[1], 1);
  EXPECT_EQ(bag->memory_bytes(), 256u * 2 * 4);
  EXPECT_EQ(bag->about()["file"], bag_);
  EXPECT_TRUE(bag->about().contains("tokenizer"));
  EXPECT_THAT(bag->notes(), IsEmpty());
}

TEST_F(BaselineTest, WarnsOfOneThatKnowsHardlyAWord) {
  const auto words = open({.place = words_}, {"red"});
  EXPECT_THAT(warn_of_unknown_words(*words, {.words = 1000, .known = 99}),
              Optional(HasSubstr("WARNING: words knows 99 of 1000 words (9.9 %)")));
  EXPECT_THAT(warn_of_unknown_words(*words, {.words = 1000, .known = 100}), Eq(std::nullopt));
  EXPECT_THAT(warn_of_unknown_words(*words, {}), Eq(std::nullopt));
}

TEST_F(BaselineTest, NamesTheFileThatIsNone) {
  EXPECT_THAT([&] { open({.place = "no-such-words.txt"}, {"red"}); },
              ThrowsMessage<Error>(HasSubstr("no-such-words.txt")));
  EXPECT_THAT([&] { open({.place = words_, .kind = Kind::kTokens}, {}); },
              ThrowsMessage<Error>(HasSubstr("words.txt")));
}

}  // namespace
}  // namespace fathom::test::baseline_test
