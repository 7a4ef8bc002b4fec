// SPDX-License-Identifier: Apache-2.0
// A paper's experiment: which layers its numbers are, its two splits, what the model has not.
#include "study/preset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error_of.h"
#include "base/invalid_option.h"
#include "study/study_bench.h"

namespace fathom::test::preset_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const Preset& paper() { return find_preset("arxiv-2502.14620"); }

TEST(Preset, NumbersAreLayersInBothCountings) {
  const std::vector<PresetLayers> finch = preset_layers(paper(), 24, Version::kV6);
  ASSERT_EQ(finch.size(), 6u);
  for (const PresetLayers& one : finch) {
    EXPECT_EQ(one.ours, one.number);
    EXPECT_EQ(one.hugging_face, one.number + 1) << "hidden_states[i] is one block deeper";
  }
  EXPECT_THAT(layers_to_run(paper(), 24, Version::kV6),
              ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 25));
  // fla lists the raw embedding in front.
  for (const PresetLayers& one : preset_layers(paper(), 24, Version::kV7))
    EXPECT_EQ(one.hugging_face, one.ours);
  // Three blocks: hidden_states[3] is the last one, behind ln_out.
  const std::vector<PresetLayers> shallow = preset_layers(paper(), 3, Version::kV6);
  EXPECT_EQ(shallow[0].hugging_face, 2u);
  EXPECT_EQ(shallow[1].ours, 3u);
  EXPECT_EQ(shallow[1].hugging_face, 4u);
  EXPECT_FALSE(shallow[2].ours || shallow[2].hugging_face);
  EXPECT_THAT(layers_to_run(paper(), 3, Version::kV6), ElementsAre(1, 2, 3, 4));
}

TEST(Preset, OfAnotherNameOrWithoutWordVectorsIsRefused) {
  EXPECT_THAT(error_of([] { find_preset("arxiv-1"); }), HasSubstr("arxiv-2502.14620"));
  EXPECT_THAT(error_of([] { preset_options(paper(), {}); }), HasSubstr("word vectors"));
}

double spearman(const EvalResult& r, const std::string& system, std::optional<size_t> layer) {
  for (const MetricRow& row : r.rows)
    if (row.system == system && row.layer == layer && row.metric == "spearman") return row.value;
  ADD_FAILURE() << system;
  return 0;
}

TEST(Preset, GivesTheFiguresOfBothSplits) {
  StudyBench bench(30);
  // Train differs from validation: the first rows alone.
  StudyBench few(20);
  std::filesystem::copy_file(few.folder.file("data/glue/MRPC/train.tsv"),
                             bench.folder.file("data/glue/MRPC/train.tsv"),
                             std::filesystem::copy_options::overwrite_existing);
  const std::string glove =
      bench.folder.write("words.txt", "red 1 0\nblue 0 1\ncat 1 1\ndog 2 1\nsun 1 2\n");
  const EvalOptions asked{.data = bench.data(),
                          .seed = 3,
                          .n_resample = 20,
                          .timing = false,
                          .baselines = {{.place = glove}}};
  const PresetResult result = run_preset(
      paper(), preset_options(paper(), asked),
      [&] { return OpenModel({.model = bench.model_file, .options = {.n_thread = 1}}); },
      [](const Config&) { return EncodeOptions(); }, bench.listener);
  EXPECT_EQ(result.validation.n_pair, 30u);
  EXPECT_EQ(result.train.n_pair, 20u);
  EXPECT_EQ(result.train.split, "train");
  EXPECT_EQ(result.seed, 3u);
  ASSERT_EQ(result.left_out.size(), 2u);
  EXPECT_THAT(result.left_out[0], HasSubstr("3 blocks: layer 5, 7, 9, 11"));
  EXPECT_TRUE(result.validation.verdict.has_value());
  EXPECT_THAT(result.validation.verdict->chosen_on, HasSubstr("20 train pairs"));

  // The same as the train split evaluated by itself.
  EvalOptions on_train = asked;
  on_train.split = Split::kTrain;
  std::vector<MissingTask> missing;
  const std::vector<const Task*> mrpc = {&find_task("mrpc")};
  std::vector<EvalTask> tasks = load_eval_tasks(mrpc, on_train, bench.listener, missing);
  evaluate_baselines(tasks, on_train);
  const Encoder encoder(bench.open.model, {Reading{.layers = {1, 2, 3, 4}}});
  evaluate(tasks.at(0), on_train, bench.open, encoder, {}, bench.listener);
  for (size_t layer : {1, 2, 3, 4})
    EXPECT_EQ(spearman(result.train, "rwkv", layer), spearman(tasks[0].result, "rwkv", layer));
  EXPECT_EQ(spearman(result.train, "glove", {}), spearman(tasks[0].result, "glove", {}));
  EXPECT_NE(spearman(result.train, "rwkv", 2), spearman(result.validation, "rwkv", 2));
}

}  // namespace
}  // namespace fathom::test::preset_test
