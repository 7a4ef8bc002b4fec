// SPDX-License-Identifier: Apache-2.0
#include "study/preset.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/invalid_option.h"
#include "depth/layers.h"

namespace fathom {

const Preset& find_preset(const std::string& name) {
  static const Preset preset{
      .name = "arxiv-2502.14620",
      .paper = "arXiv 2502.14620",
      .n_train = 1000,
      .layers = {1, 3, 5, 7, 9, 11},
      .glove = {.spearman = 0.4326, .seconds = 0.0006, .peak_bytes = 3000e6},
      .first_layer = {.spearman = 0.3498},
      .last_layer = {.seconds = 0.4141, .peak_bytes = 3000e6},
  };
  if (name != preset.name) throw InvalidOption("preset", preset.name, concat("'", name, "'"));
  return preset;
}

std::vector<PresetLayers> preset_layers(const Preset& preset, size_t n_layer, Version version) {
  std::vector<PresetLayers> all;
  for (size_t number : preset.layers) {
    PresetLayers one{.number = number, .ours = {}, .hugging_face = {}};
    if (number <= n_layer) one.ours = number;
    for (size_t layer = 0; layer <= final_layer(n_layer); ++layer)
      if (hf_index(layer, n_layer, version) == number) one.hugging_face = layer;
    all.push_back(one);
  }
  return all;
}

std::vector<size_t> layers_to_run(const Preset& preset, size_t n_layer, Version version) {
  std::vector<size_t> layers = {final_layer(n_layer)};
  for (const PresetLayers& one : preset_layers(preset, n_layer, version))
    for (const std::optional<size_t>& layer : {one.ours, one.hugging_face})
      if (layer) layers.push_back(*layer);
  std::ranges::sort(layers);
  const auto repeated = std::ranges::unique(layers);
  layers.erase(repeated.begin(), repeated.end());
  return layers;
}

EvalOptions preset_options(const Preset& preset, EvalOptions options) {
  const std::vector<BaselineSpec> specs = resolved(options.baselines);
  if (std::ranges::find(specs, "glove", &BaselineSpec::name) == specs.end())
    throw InvalidOption("preset", concat("word vectors beside it: `glove` FILE, ", preset.paper,
                                         " compares with GloVe 6B of 50 dimensions"));
  options.split = Split::kValidation;
  options.sample = 0;
  options.train_sample = preset.n_train;
  return options;
}

namespace {

// The train pairs as what is evaluated. Their thresholds are those of the same pairs: left out.
EvalResult train_result(const EvalTask& task, const EvalOptions& options, ThreadPool& pool) {
  EvalResult train = task.result;
  train.split = name_of(Split::kTrain);
  train.n_pair = task.train->pairs.size();
  train.n_positive = static_cast<size_t>(
      std::ranges::count_if(task.train->pairs, [](const Pair& p) { return p.gold == 1; }));
  train.verdict.reset();
  std::vector<Scores> systems;
  for (const Scores& s : task.systems) systems.push_back({s.system, s.layer, s.train, {}});
  train.rows = metric_rows(systems, *task.train, nullptr,
                           {.n_resample = options.n_resample, .seed = 1}, pool);
  return train;
}

PresetResult preset_result_of(const Preset& preset, const EvalTask& task,
                              const EvalOptions& options, ThreadPool& pool) {
  FATHOM_REQUIRE(task.train, task.result.title, ": ", preset.paper,
                 " needs its train split beside validation");
  PresetResult result{.preset = preset,
                      .seed = options.seed,
                      .validation = task.result,
                      .train = train_result(task, options, pool),
                      .layers = preset_layers(preset, task.result.n_layer, task.result.version),
                      .left_out = {}};
  std::string ours, theirs;
  const auto add = [](std::string& list, size_t number) {
    list += concat(list.empty() ? "" : ", ", number);
  };
  for (const PresetLayers& one : result.layers) {
    if (!one.ours) add(ours, one.number);
    if (!one.hugging_face) add(theirs, one.number);
  }
  if (!ours.empty())
    result.left_out.push_back(fmt::format("The model has {} blocks: layer {} of {} is left out.",
                                          task.result.n_layer, ours, preset.paper));
  if (!theirs.empty())
    result.left_out.push_back(fmt::format(
        "hidden_states of Hugging Face would have no index {} for this model.", theirs));
  return result;
}

}  // namespace

PresetResult run_preset(const Preset& preset, const EvalOptions& options,
                        const std::function<OpenModel()>& open,
                        const std::function<EncodeOptions(const Config&)>& encode,
                        const Listener& listener) {
  std::vector<MissingTask> missing;
  std::vector<EvalTask> tasks =
      load_eval_tasks(std::array{&find_task("mrpc")}, options, listener, missing);
  EvalTask& task = tasks.at(0);
  evaluate_baselines(tasks, options);
  OpenModel model = open();
  const Config& config = model.model.config();
  EncodeOptions how = encode(config);
  how.layers = layers_to_run(preset, config.n_layer, config.version);
  const Encoder encoder(model.model, how);
  evaluate(task, options, model, encoder, {}, listener);
  return preset_result_of(preset, task, options, model.work.pool());
}

}  // namespace fathom
