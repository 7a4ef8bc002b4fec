// SPDX-License-Identifier: Apache-2.0
// Quality and cost at every depth, or under a depth policy, on tasks of labelled sentence pairs. In
// this order: load_eval_tasks(), evaluate_baselines(), then the model is opened and evaluate() called
// for each task. Baselines come first so that their peak memory is their own.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "baseline/baseline.h"
#include "depth/policy_file.h"
#include "encode/open_model.h"
#include "eval/dataset.h"
#include "eval/run.h"
#include "study/listener.h"

namespace fathom {

struct EvalOptions {
  std::string data = {};            // the root of the data sets; "": find_data_root()
  std::optional<Split> split = {};  // nullopt: the one that a task is reported on
  size_t sample = 0;                // pairs of it; 0: all
  size_t train_sample = 0;          // train pairs that thresholds are chosen on; 0: all
  uint64_t seed = 1;                // of the samples
  size_t n_resample = 2000;
  bool timing = true;
  std::vector<BaselineSpec> baselines = {};  // to compare the model with
  // For the record: what a user typed, and what results call the reading of the texts (under a
  // policy file that of the file).
  std::string command = {}, pooling = "mean", norm = "none", scan = "forward";
};

struct EvalBaseline {
  std::string system;              // in rows and costs: "glove", "bag", "glove-2"
  std::string title;               // for people
  std::string place;               // its file or folder
  std::optional<double> coverage;  // share of the evaluated words that it knows; not of a token bag
  std::optional<std::string> warning;  // that it knows hardly any word; in notes as well
};

struct EvalResult {
  std::string command;
  OrderedJson model, settings;  // as recorded in results.json
  std::string task, title, split;
  size_t n_pair = 0, n_positive = 0;
  bool binary = true;
  size_t n_layer = 0;
  Version version = Config().version;
  std::string pooling, norm, scan;
  bool has_hf_index = true;  // pooled from rows that Hugging Face lists, too: no state, no head
  std::vector<EvalBaseline> baselines = {};  // in the order of their specs
  std::vector<MetricRow> rows;
  std::vector<CostRow> costs;
  std::vector<std::string> notes;

  const EvalBaseline* baseline(std::string_view system) const;  // nullptr if there is none
};

// A task that was asked for and has no figures.
struct MissingTask {
  std::string task, title, split, why;
};
// One task: its data, its result as far as it is known, and the scores that figures are made of.
struct EvalTask {
  Dataset evaluated;
  std::optional<Dataset> train;  // for thresholds
  EvalResult result;
  std::vector<Scores> systems;
};

// Of these tasks what can be evaluated. Of several those that cannot are put in `missing` and told;
// a single one is an error. Perhaps none is left. Throws UsageError, MissingData, Error.
std::vector<EvalTask> load_eval_tasks(std::span<const Task* const> chosen,
                                      const EvalOptions& options, const Listener& listener,
                                      std::vector<MissingTask>& missing);

// The scores and costs of options.baselines. Starts the count of peak memory anew behind each. Throws
// Error naming the file, InvalidOption for word vectors that can be read only once and several tasks.
void evaluate_baselines(std::span<EvalTask> tasks, const EvalOptions& options);

// The model, and every metric of every system: task.result is then whole. depth: of the encoder. Throws
// as rwkv_scores() does.
void evaluate(EvalTask& task, const EvalOptions& options, OpenModel& open, const Encoder& encoder,
              const DepthChoice& depth, const Listener& listener);

}  // namespace fathom
