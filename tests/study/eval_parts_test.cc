// SPDX-License-Identifier: Apache-2.0
// Evaluations that go on where they were stopped, processes of their own, policy files by name.
#include "study/eval_parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error_of.h"
#include "study/evaluate.h"
#include "study/own_process.h"
#include "study/policy_names.h"
#include "study/study_bench.h"

namespace fathom::test::eval_parts_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Pairs {
  explicit Pairs(size_t n) {
    for (size_t i = 0; i < n; ++i) {
      held.push_back(concat(sentence(i)[0], i));
      held.push_back(concat(sentence(i + 3)[0], i / 2));
    }
    for (size_t i = 0; i < n; ++i) {
      texts.a.push_back(held[2 * i]);
      texts.b.push_back(held[2 * i + 1]);
    }
  }
  std::vector<std::string> held;
  PairTexts texts;
};

TEST(EvalParts, AStoppedScoringGoesOnBehindTheLastBlock) {
  StudyBench bench(3);
  const Pairs pairs(1500);
  const Encoder encoder(bench.open.model, {Reading{.layers = {0, 2}}});
  const auto direct =
      rwkv_scores(encoder, bench.open.tokenizer(), pairs.texts, bench.open.work, {});
  const std::filesystem::path folder = bench.folder.file("out/parts");
  {
    EvalParts parts(folder);
    ScoreOptions stops{.progress = [](size_t done) {
      if (done > 1024) throw Error("stopped");
    }};
    EXPECT_THAT(
        error_of([&] { scores_in_parts(encoder, bench.open, "a", pairs.texts, stops, &parts); }),
        HasSubstr("stopped"));
  }
  bench.folder.write("out/parts/of-another.json", "{}");
  EvalParts parts(folder);
  size_t least = std::numeric_limits<size_t>::max();
  const ScoreOptions watch{.progress = [&](size_t done) { least = std::min(least, done); }};
  EXPECT_EQ(scores_in_parts(encoder, bench.open, "a", pairs.texts, watch, &parts), direct)
      << "to the last bit";
  EXPECT_EQ(least, 1024u) << "the first block was there";
  // Other texts have parts of their own.
  EXPECT_NE(scores_key(bench.open, encoder, pairs.texts),
            scores_key(bench.open, encoder, Pairs(1499).texts));
  parts.remove();
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    left.push_back(entry.path().filename());
  EXPECT_THAT(left, ElementsAre("of-another.json"));
}

TEST(EvalParts, KeepsWhatIsNotFiniteAndTimes) {
  const TempFolder folder;
  const OrderedJson key{{"what", 1}};
  const double nan = std::nan("");
  const auto refuse = []() -> ScoredBlock { throw Error("made again"); };
  {
    EvalParts parts(folder.file("parts"));
    parts.scores("s", key, [&] { return ScoredBlock{{{0.1, nan}}, {{2, 1, "block 3"}}}; });
    parts.time("t", key, [] { return PairTime{{0.1, 0.05, 0.2}, {1, 2, 3}}; });
  }
  EvalParts parts(folder.file("parts"));
  const ScoredBlock block = parts.scores("s", key, refuse);
  EXPECT_EQ(block.scores[0][0], 0.1);
  EXPECT_TRUE(std::isnan(block.scores[0][1]));
  EXPECT_EQ(block.nonfinite[0].n, 2u);
  EXPECT_EQ(block.nonfinite[0].first_pair, 1u);
  EXPECT_EQ(block.nonfinite[0].why, "block 3");
  EXPECT_EQ(parts.time("t", key, [] { return PairTime(); }).batch1.high, 0.2);
  EXPECT_THAT(error_of([&] { parts.scores("s", {{"what", 2}}, refuse); }), HasSubstr("made again"));
}

TEST(OwnProcess, RunsTheJobsThatItWrites) {
  StudyBench bench(3);
  const Encoder encoder(bench.open.model, {Reading{.layers = {0, 3}}});
  const std::vector<std::string_view> texts = {"red sun", "a cat"};
  const OrderedJson job = model_job({.model = bench.model_file}, encoder, 3, texts, 2);
  EXPECT_EQ(job["compute"], "f32");
  EXPECT_GT(run_memory_job(parse_ordered_json(dump_json(job)))["peak_rss_bytes"], 1 << 20);
  const std::string words = bench.folder.write("words.txt", "red 1 0\nsun 0 1\n");
  const BaselineSpec spec = resolved({{.place = words}}).at(0);
  EXPECT_GT(run_memory_job(baseline_job(spec, texts))["peak_rss_bytes"], 1 << 20);
  OrderedJson wrong = job;
  wrong["model"] = bench.folder.file("nowhere");
  EXPECT_THAT(error_of([&] { run_memory_job(wrong); }), HasSubstr("nowhere"));
  EXPECT_THAT(error_of([] { run_memory_job(OrderedJson::object()); }), HasSubstr("a job"));
}

TEST(OwnProcess, WithoutAnAnswerThereIsANoteAndNoFigure) {
  StudyBench bench(12);
  for (const char* program : {"/bin/false", "/nowhere/fathom"}) {
    const EvalOptions options{
        .data = bench.data(),
        .n_resample = 20,
        .n_repeat = 1,
        .memory = std::make_shared<MemoryMeter>(program, OpenOptions{.model = bench.model_file})};
    std::vector<MissingTask> missing;
    const std::vector<const Task*> chosen = {&find_task("mrpc")};
    std::vector<EvalTask> tasks = load_eval_tasks(chosen, options, bench.listener, missing);
    const Encoder encoder(bench.open.model, {Reading{.layers = {1, 2}}});
    evaluate(tasks.at(0), options, bench.open, encoder, {}, bench.listener);
    for (const CostRow& cost : tasks[0].result.costs) {
      EXPECT_FALSE(cost.peak_rss_bytes.has_value());
      ASSERT_TRUE(cost.batch1_spread.has_value());
      EXPECT_EQ(cost.batch1_spread->median, cost.seconds_per_pair_batch1);
      EXPECT_EQ(cost.batch1_spread->low, cost.batch1_spread->high) << "of one repeat";
    }
    EXPECT_THAT(tasks[0].result.notes,
                Contains(HasSubstr("Layer 1: no peak memory of a process of its own")));
  }
}

TEST(Evaluate, WithoutTrainRowsTheirTasksAreLeftOut) {
  StudyBench bench(12);
  const EvalOptions options{.data = bench.data(), .train_sample = 0, .timing = false};
  std::vector<MissingTask> missing;
  const std::vector<const Task*> both = {&find_task("mrpc"), &find_task("cola")};
  const std::vector<EvalTask> tasks = load_eval_tasks(both, options, bench.listener, missing);
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_FALSE(tasks[0].train.has_value());
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_THAT(missing[0].why, HasSubstr("linear probes need train rows"));
  const std::vector<const Task*> one = {&find_task("cola")};
  EXPECT_THAT(error_of([&] { load_eval_tasks(one, options, bench.listener, missing); }),
              HasSubstr("train_sample"));
}

TEST(PolicyNames, AFileTellsItsKind) {
  StudyBench bench(3);
  FeatureSource source = bench.source();
  PolicyFile file = source.policy_file(OrderedJson::object());
  file.rule = BlockMask::all(3);
  const std::string mask = bench.folder.file("half");
  write_policy_file(mask, file);
  EXPECT_THAT(parse_policies(concat("fixed,", mask)), ElementsAre("fixed", "mask:" + mask));
  EXPECT_THAT(parse_policies(concat("mask:", mask, ",", mask)), ElementsAre("mask:" + mask));
  EXPECT_THAT(error_of([] { parse_policies("no-such-file"); }), HasSubstr("policy file: FILE"));
  const std::string text = bench.folder.write("text.policy", "not a policy");
  EXPECT_THAT(error_of([&] { parse_policies(text); }), HasSubstr("text.policy"));
}

}  // namespace
}  // namespace fathom::test::eval_parts_test
