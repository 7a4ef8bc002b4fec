// SPDX-License-Identifier: Apache-2.0
// prune() without the program: every method, and what its result says.
#include "study/prune.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error_of.h"
#include "study/study_bench.h"

namespace fathom::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

size_t n_half(const BlockMask& mask) {
  size_t n = 0;
  for (size_t l = 0; l < mask.n_layer(); ++l) n += mask.time_mix[l] + mask.channel_mix[l];
  return n;
}

TEST(PruneStudy, EveryMethodFindsAMaskOfTheSizeThatIsAskedFor) {
  StudyBench bench(12);
  MaskCorpus corpus = bench.corpus();
  EXPECT_EQ(corpus.fitted.texts.size(), 20u);
  EXPECT_EQ(corpus.held_out.texts.size(), 15u);
  for (const char* name : {"bi", "angular", "greedy", "cem", "random"}) {
    SCOPED_TRACE(name);
    const PruneMethod method = parse_prune_method(name);
    EXPECT_EQ(name_of(method), name);
    const PruneResult result =
        prune(corpus, {.size = {.n_remove = 2}, .method = method, .command = "a test"});
    EXPECT_EQ(n_half(result.search.mask), 4u);
    EXPECT_EQ(n_half(std::get<BlockMask>(result.file.rule)), 4u);
    EXPECT_EQ(result.reference, 3u);
    EXPECT_NEAR(result.whole.held_out, 0, 1e-9) << "the reference itself";
    EXPECT_NEAR(result.random.share, result.found.share, 1e-9) << "masks of the same size";
    EXPECT_LE(result.best_random, result.random.held_out);
    EXPECT_EQ(result.file.fitted["method"], name);
    EXPECT_EQ(result.file.fitted["command"], "a test");
    EXPECT_EQ(result.file.fitted["target"], "remove 2 units");
    EXPECT_EQ(result.file.fitted["found"]["loss"], result.found.held_out);
    EXPECT_EQ(summary_json(result)["masks_evaluated"], result.search.n_evaluated);
  }
  EXPECT_THAT(bench.stages, Contains("masks"));
}

TEST(PruneStudy, GreedyIsNoWorseOnItsTextsThanTheMeanOfRandomMasks) {
  StudyBench bench(12);
  MaskCorpus corpus = bench.corpus();
  const PruneResult result = prune(corpus, {.size = {.n_remove = 1}});
  EXPECT_LE(result.found.fitted, result.random.fitted + 1e-12);
}

TEST(PruneStudy, ThePolicySaysWhereItCameFrom) {
  StudyBench bench(12);
  MaskCorpus corpus = bench.corpus();
  const PruneResult result = prune(corpus, {.size = {.unit = UnitKind::kBlock, .keep = 0.6}});
  const OrderedJson& fitted = result.file.fitted;
  EXPECT_EQ(fitted["data"], bench.texts);
  EXPECT_EQ(fitted["n_text"], 20);
  EXPECT_EQ(fitted["n_held_out"], 15);
  EXPECT_EQ(fitted["unit"], "block");
  EXPECT_EQ(fitted["target"], "keep 0.6 of the FLOPs");
  EXPECT_EQ(fitted["left_out"]["empty"], 0);
}

TEST(PruneStudy, LabelsAndReferencesNeedWhatTheTextsHave) {
  StudyBench bench(60);
  MaskCorpus texts = bench.corpus();
  EXPECT_THAT(error_of([&] {
                prune(texts, {.size = {.n_remove = 1}, .objective = ObjectiveKind::kLabel});
              }),
              HasSubstr("objective: expected cosine or rsa"));
  EXPECT_THAT(error_of([&] { reference_layer("best", texts); }),
              HasSubstr("reference: expected a layer or full"));
  EXPECT_THAT(error_of([&] { reference_layer("4", texts); }),
              HasSubstr("expected 0 to 3, full or best, got '4'"));
  EXPECT_EQ(reference_layer("", texts), 3u);
  EXPECT_EQ(reference_layer("1", texts), 1u);
  EXPECT_THROW(parse_prune_method("best"), UsageError);
  MaskCorpus pairs(bench.open, {},
                   {.tasks = {"stsb"}, .data = bench.data(), .sample = 8, .held_out = 40},
                   bench.listener);
  EXPECT_EQ(pairs.fitted.texts.size(), 2 * pairs.fitted.gold.size());
  const PruneResult result =
      prune(pairs, {.size = {.n_remove = 1}, .objective = ObjectiveKind::kLabel});
  EXPECT_FALSE(summary_json(result).contains("reference_layer"));
}

TEST(MaskCorpus, HoldsOutNoSentenceThatIsFittedOn) {
  StudyBench bench;  // whose tasks repeat their sentences
  MaskCorpus corpus(bench.open, {},
                    {.tasks = {"mrpc"}, .data = bench.data(), .sample = 30, .held_out = 30},
                    bench.listener);
  for (const std::string& text : corpus.held_out.texts)
    EXPECT_THAT(corpus.fitted.texts, testing::Not(Contains(text)));
  EXPECT_TRUE(corpus.fitted.gold.empty() || corpus.fitted.gold.size() == 30);
  EXPECT_THAT(error_of([&] {
                MaskCorpus(bench.open, {}, {.tasks = {"rte"}, .data = bench.data()},
                           bench.listener);
              }),
              HasSubstr("rte: missing: train ("));
}

TEST(MaskCorpus, TellsOfEmptyLines) {
  StudyBench bench(12);
  const std::string file = bench.folder.write("gaps.txt", "red cat\n\nblue dog\n\nsun\nrain\n");
  const MaskCorpus corpus(bench.open, {}, {.texts = file, .sample = 2, .held_out = 2},
                          bench.listener);
  EXPECT_THAT(bench.notes, ElementsAre(concat("2 empty lines of ", file, " were left out")));
  EXPECT_EQ(corpus.provenance["left_out"]["empty"], 2);
}

}  // namespace
}  // namespace fathom::test
