// SPDX-License-Identifier: Apache-2.0
// prune() without the program: every method, and what its result says.
#include "study/prune.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error_of.h"
#include "study/mask_task.h"
#include "study/prune_heal.h"
#include "study/study_bench.h"

namespace fathom::test::prune_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

size_t n_sublayer(const BlockMask& mask) {
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
    EXPECT_EQ(n_sublayer(result.search.mask), 4u);
    EXPECT_EQ(n_sublayer(std::get<BlockMask>(result.file.rule)), 4u);
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

MaskCorpus task_corpus(StudyBench& bench, const char* task) {
  return {bench.open,
          {},
          {.tasks = {task}, .data = bench.data(), .sample = 60, .held_out = 40},
          bench.listener};
}

TEST(PruneTask, FindsAMaskByTheLossOfHeads) {
  StudyBench bench(300);
  MaskCorpus corpus = task_corpus(bench, "cola");
  ASSERT_EQ(corpus.fitted.label.size(), corpus.fitted.texts.size());
  EXPECT_TRUE(corpus.fitted.gold.empty()) << "single sentences have no zero-shot figure";
  const TaskMaskLoss loss(*corpus.task, {corpus.texts(corpus.fitted), corpus.fitted.label},
                          {corpus.texts(corpus.held_out), corpus.held_out.label}, 1,
                          bench.open.work);
  const PruneResult result =
      prune(corpus, {.size = {.n_remove = 1}, .objective = ObjectiveKind::kTask});
  EXPECT_EQ(n_sublayer(result.search.mask), 5u);
  EXPECT_DOUBLE_EQ(result.found.fitted, loss.fitted(result.search.mask));
  EXPECT_DOUBLE_EQ(result.found.held_out, loss.held_out(result.search.mask));
  const PruneProblem problem = result.problem;
  for (size_t u = 0; u < problem.units.size(); ++u) {
    std::vector<bool> removed(problem.units.size());
    removed[u] = true;
    EXPECT_GE(loss.fitted(problem.without(removed)), result.found.fitted) << u;
  }
  EXPECT_FALSE(summary_json(result).contains("reference_layer"));
  EXPECT_EQ(summary_json(result)["objective"], "task");
  // Endings tell the classes apart, and the model sees bytes: heads do better than a coin.
  EXPECT_LT(result.whole.held_out, 0.65);
}

TEST(PruneTask, TakesPairsAndScores) {
  StudyBench bench(300);
  for (const char* task : {"mrpc", "stsb"}) {
    MaskCorpus corpus = task_corpus(bench, task);
    EXPECT_EQ(2 * corpus.fitted.label.size(), corpus.fitted.texts.size());
    const PruneResult result = prune(corpus, {.size = {.n_remove = 1},
                                              .method = PruneMethod::kInfluence,
                                              .objective = ObjectiveKind::kTask});
    // An ending tells these pairs apart, which heads learn: no worse than a coin, or than the mean.
    EXPECT_GE(result.found.held_out, 0) << task;
    EXPECT_LT(result.found.held_out, 0.65) << task;
    const TaskMaskLoss loss(*corpus.task, {corpus.texts(corpus.fitted), corpus.fitted.label},
                            {corpus.texts(corpus.held_out), corpus.held_out.label}, 1,
                            bench.open.work);
    EXPECT_DOUBLE_EQ(result.found.held_out, loss.held_out(result.search.mask)) << task;
  }
}

TEST(PruneTask, NeedsOneTaskAndRowsOfEveryClass) {
  StudyBench bench;
  MaskCorpus texts = bench.corpus();
  EXPECT_THAT(
      error_of([&] { prune(texts, {.size = {.n_remove = 1}, .objective = ObjectiveKind::kTask}); }),
      HasSubstr("objective: expected cosine or rsa without `tasks` of one task"));
  MaskCorpus few(bench.open, {},
                 {.tasks = {"cola"}, .data = bench.data(), .sample = 20, .held_out = 20},
                 bench.listener);
  EXPECT_THAT(
      error_of([&] { prune(few, {.size = {.n_remove = 1}, .objective = ObjectiveKind::kTask}); }),
      HasSubstr("expected a `sample` of at least 40 examples of cola, got 20"));
}

// The model itself stands for one that no tuning changed: nothing is won.
TEST(PruneHeal, JudgesTheTunedModelUnderTheMask) {
  StudyBench bench;
  MaskCorpus corpus = task_corpus(bench, "cola");
  OpenModel healed({.model = bench.model_file, .options = {.n_thread = 1}});
  BlockMask mask = BlockMask::all(3);
  mask.time_mix[1] = false;
  const HealedFigures f = judge_healed(corpus, mask, healed);
  EXPECT_EQ(f.metric, "matthews");
  EXPECT_EQ(f.split, "validation");
  EXPECT_EQ(f.n_train, 120u);
  EXPECT_EQ(f.n_evaluated, 120u);
  EXPECT_EQ(f.healed, f.masked);
  const PolicyFile file = healed_file(corpus, mask, healed, f, {{"data", "cola"}});
  EXPECT_EQ(file.model, fingerprint_of(healed.model));
  EXPECT_EQ(file.fitted["from"]["data"], "cola");
  EXPECT_EQ(file.fitted["healed"]["masked"], f.masked);
  const HealedFigures all = judge_healed(corpus, BlockMask::all(3), healed);
  EXPECT_EQ(all.whole, all.healed);
  MaskCorpus texts = bench.corpus();
  EXPECT_THAT(error_of([&] { judge_healed(texts, mask, healed); }),
              HasSubstr("tasks: expected one task"));
  EXPECT_EQ(healed_model(bench.folder.file("data")), bench.folder.file("data"));
  std::filesystem::create_directories(bench.folder.file("tuned/model"));
  EXPECT_EQ(healed_model(bench.folder.file("tuned")), bench.folder.file("tuned/model"));
}

TEST(MaskCorpus, NamesTheOptionThatLeavesNothing) {
  StudyBench bench;
  EXPECT_THAT(error_of([&] {
                MaskCorpus(bench.open, {}, {.texts = bench.texts, .sample = 200, .held_out = 1},
                           bench.listener);
              }),
              HasSubstr("`held_out` 1 leaves none to judge a mask on"));
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
}  // namespace fathom::test::prune_test
