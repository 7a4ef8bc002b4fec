// SPDX-License-Identifier: Apache-2.0
// bench_model() without the program. No time is judged.
#include "study/bench_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error_of.h"
#include "study/study_bench.h"

namespace fathom::test::bench_model_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

BenchPlan plan_for(const StudyBench& bench) {
  return {.open = {.model = bench.model_file},
          .dtypes = {Compute::kF32},
          .threads = {1},
          .tokens = {4, 1},
          .length = 3,
          .encode = [](const Config& c) { return EncodeOptions{Reading{.layers = {c.n_layer}}}; },
          .bench = {.n_repeat = 1, .min_seconds = 0, .ceiling = false}};
}

TEST(BenchModel, RunsEveryWorkloadOnEveryNumberOfThreads) {
  StudyBench bench(2);
  BenchPlan plan = plan_for(bench);
  plan.threads = {1, 2};
  plan.file = {.name = "mine", .texts = {"red cat", "blue"}};
  const BenchReport report = bench_model(plan, bench.listener);
  ASSERT_EQ(report.loads.size(), 1u);
  EXPECT_EQ(report.loads[0].dtype, "f32");
  EXPECT_GT(report.loads[0].weight_bytes, 0u);
  std::vector<std::string> runs;
  for (const BenchRun& run : report.runs) runs.push_back(concat(run.workload, " ", run.threads));
  EXPECT_THAT(
      runs, ElementsAre("4 tokens 1", "1 token 1", "mine 1", "4 tokens 2", "1 token 2", "mine 2"));
  EXPECT_EQ(report.runs[0].result.n_sequence, 2u) << "3 tokens and 1";
  EXPECT_EQ(report.runs[2].result.n_token, 11u) << "bytes of both texts";
  EXPECT_FALSE(report.about["model"].contains("dtype"));
  EXPECT_TRUE(report.about.contains("tokenizer"));
  EXPECT_THAT(bench.stages, ElementsAre("measuring f32"));
}

TEST(BenchModel, ReadsIdsOfALine) {
  const TempFolder folder;
  EXPECT_THAT(read_ids_file(folder.write("ids.jsonl", "[1,2]\n\n[3]\n")),
              ElementsAre(ElementsAre(1u, 2u), ElementsAre(3u)));
  const std::string wrong = folder.write("wrong.jsonl", "[1]\n[-1]\n");
  EXPECT_THAT(error_of([&] { read_ids_file(wrong); }),
              HasSubstr(wrong + ", line 2: expected a JSON list of token ids"));
  const std::string none = folder.write("none.jsonl", "\n");
  EXPECT_THAT(error_of([&] { read_ids_file(none); }), HasSubstr("no list of ids in it"));
}

}  // namespace
}  // namespace fathom::test::bench_model_test
