// SPDX-License-Identifier: Apache-2.0
// A sweep without the program: what is kept, what is told, what is missing.
#include "study/run_sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error_of.h"
#include "base/mapped_file.h"
#include "study/result_store.h"
#include "study/study_bench.h"

namespace fathom::test::run_sweep_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

RunSweepOptions options(const StudyBench& bench, std::vector<const char*> names) {
  RunSweepOptions o{.policies = {"exit:entropy"},
                    .task = {.data = bench.data()},
                    .n_resample = 20,
                    .timing = false,
                    .parts = bench.folder.file("parts")};
  for (const char* name : names) o.tasks.push_back(&find_task(name));
  return o;
}

TEST(RunSweep, FindsTellsAndPassesOver) {
  StudyBench bench;
  FeatureSource source = bench.source();
  std::vector<std::string> swept, missing;
  const SweepResult found =
      run_sweep(options(bench, {"cola", "wnli", "stsb"}), source,
                {.swept = [&](const SweptTask& task) { swept.push_back(task.name); },
                 .missing = [&](const std::string& line) { missing.push_back(line); }});
  EXPECT_THAT(swept, ElementsAre("cola", "stsb"));
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_THAT(missing[0], HasSubstr("wnli: missing: "));
  EXPECT_EQ(found.missing, missing);
  ASSERT_EQ(found.tasks.size(), 2u);
  ASSERT_EQ(found.tasks[0].policies.size(), 2u);
  EXPECT_EQ(found.tasks[0].policies[0].policy, "fixed") << "put in front";
  EXPECT_EQ(found.tasks[0].n_layer(), 3u);
  EXPECT_EQ(found.tasks[1].policies.size(), 1u) << "entropy needs classes";
  EXPECT_EQ(found.tasks[1].answer.verdict, Verdict::kNoneAsCheap);
  EXPECT_EQ(found.means.size(), 2u);
  EXPECT_TRUE(found.tasks[0].policies[0].times.empty());
  EXPECT_THAT(bench.stages, Contains("cola policies"));
  EXPECT_EQ(found.settings.n_resample, 20u);
}

TEST(RunSweep, GoesOnWithWhatIsKeptToTheSameBytes) {
  StudyBench bench;
  FeatureSource source = bench.source();
  RunSweepOptions o = options(bench, {"cola"});
  o.timing = true;
  o.pass_seconds = 0.001;
  const std::string first = dump_json(to_json(run_sweep(o, source)));
  bench.stages.clear();
  EXPECT_EQ(dump_json(to_json(run_sweep(o, source))), first) << "times included";
  EXPECT_THAT(bench.stages, ElementsAre("cola policies", "cola seeds")) << "no vectors, no heads";
  // Parts that are JSON but no results are made again.
  for (const auto& part : std::filesystem::directory_iterator(bench.folder.file("parts"))) {
    OrderedJson j = parse_ordered_json(MappedFile(part.path()).text());
    if (j["result"].is_array()) continue;           // times
    if (!j["result"].contains("points")) continue;  // a seed's
    j["result"].erase("points");
    bench.folder.write("parts/" + part.path().filename().string(), dump_json(j));
  }
  bench.stages.clear();
  EXPECT_EQ(dump_json(to_json(run_sweep(o, source))), first);
  EXPECT_THAT(bench.stages, Contains("cola heads"));
  o.parts.clear();
  o.timing = false;
  const SweepResult unkept = run_sweep(o, source);
  EXPECT_TRUE(unkept.tasks[0].policies[0].times.empty());
}

// Every seed is a part of its own: one more seed makes one more part, and leaves the others alone.
TEST(RunSweep, SeedsGoOnWhereTheyAre) {
  StudyBench bench;
  FeatureSource source = bench.source();
  RunSweepOptions o = options(bench, {"cola"});
  const auto n_part = [&] {
    return std::distance(std::filesystem::directory_iterator(bench.folder.file("parts")), {});
  };
  o.n_seed = 2;
  const SweepResult two = run_sweep(o, source);
  EXPECT_EQ(n_part(), 5) << "the shift, fixed, entropy and two seeds";
  const OverSeeds& over = *two.tasks[0].over_seeds;
  EXPECT_THAT(over.seeds, ElementsAre(1u, 2u));
  // Two kinds of heads, alone and as ensembles; each on its rows and on all, with an envelope or
  // without.
  EXPECT_EQ(over.fixed.size(), 16u);
  EXPECT_EQ(over.exits.size(), 5u) << "and the best of them";
  EXPECT_EQ(over.gains.size(), 80u);
  EXPECT_NE(over.gain(kBestExits, over.strongest), nullptr);
  EXPECT_EQ(over.calibration_error.size(), 3u);
  o.n_seed = 3;
  bench.stages.clear();
  const SweepResult three = run_sweep(o, source);
  EXPECT_EQ(n_part(), 6);
  EXPECT_THAT(bench.stages, ElementsAre("cola policies", "cola seeds", "cola-train",
                                        "cola-validation", "cola heads"))
      << "the third alone, its vectors from the files";
  const OverSeeds& more = *three.tasks[0].over_seeds;
  ASSERT_EQ(more.fixed[0].quality.by_seed.size(), 3u);
  for (size_t s : {0, 1})
    EXPECT_EQ(more.fixed[0].quality.by_seed[s], over.fixed[0].quality.by_seed[s]);
  EXPECT_EQ(dump_json(to_json(run_sweep(o, source))), dump_json(to_json(three)));
}

TEST(RunSweep, MeasuresThatCoincideCountOnce) {
  StudyBench bench;
  FeatureSource source = bench.source();
  RunSweepOptions o = options(bench, {"cola"});
  o.policies = {"exit:margin", "exit:pcee", "exit:entropy"};
  const SweptTask task = run_sweep(o, source).tasks[0];
  ASSERT_EQ(task.policies.size(), 3u) << "fixed, margin, pcee";
  EXPECT_THAT(task.policies[1].also, ElementsAre("exit:entropy"));
  EXPECT_THAT(task.notes, Contains(HasSubstr("exit:entropy leaves as exit:margin does")));
  EXPECT_EQ(task.over_seeds->measures.size(), 2u);
}

TEST(RunSweep, RefusesBeforeTheWork) {
  StudyBench bench;
  FeatureSource source = bench.source();
  RunSweepOptions o = options(bench, {"cola"});
  o.policies = {"mask:none.policy"};
  EXPECT_THAT(error_of([&] { run_sweep(o, source); }), HasSubstr("none.policy"));
  EXPECT_THAT(bench.stages, ElementsAre()) << "no vector was made";
  EXPECT_THAT(error_of([&] { run_sweep(options(bench, {"wnli"}), source); }),
              HasSubstr("none of the tasks has its data"));
}

TEST(ResultStore, KnowsItsResultsByTheWholeKey) {
  TempFolder folder;
  const ResultStore store(folder.file("parts"));
  const OrderedJson key{{"seed", 1}}, other{{"seed", 2}};
  EXPECT_FALSE(store.find("a", key));
  store.keep("a", key, {{"score", 0.5}});
  ASSERT_TRUE(store.find("a", key));
  EXPECT_EQ((*store.find("a", key))["score"], 0.5);
  EXPECT_FALSE(store.find("a", other));
  EXPECT_FALSE(store.find("b", key));
  // Another key under this name, and a file cut short, are no results.
  std::filesystem::copy_file(store.path_of("a", key), store.path_of("a", other));
  EXPECT_FALSE(store.find("a", other));
  folder.write("parts/" + store.path_of("a", key).filename().string(), "{\"key\":");
  EXPECT_FALSE(store.find("a", key));
  const std::string name = store.path_of("t-mask:/x/y" + std::string(200, 'z'), key).filename();
  EXPECT_EQ(name.find_first_of(":/"), std::string::npos);
  EXPECT_LT(name.size(), 120u);
}

}  // namespace
}  // namespace fathom::test::run_sweep_test
