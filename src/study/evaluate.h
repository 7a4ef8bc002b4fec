// SPDX-License-Identifier: Apache-2.0
// Quality and cost at every depth, or under a depth policy: cosines on tasks of labelled sentence
// pairs, linear probes on other tasks. Call load_eval_tasks(), then evaluate_baselines(), then open
// the model and call evaluate() for each task.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
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
#include "study/eval_parts.h"
#include "study/listener.h"
#include "study/own_process.h"
#include "study/verdict.h"

namespace fathom {

inline constexpr size_t kGradedTrainPairs = 1000;

struct EvalOptions {
  std::string data = {};            // the root of the data sets; "": find_data_root()
  std::optional<Split> split = {};  // nullopt: the one that a task is reported on
  size_t sample = 0;                // pairs of it; 0: all
  // Train pairs that thresholds and a layer are chosen on; 0: none, and what needs them is left
  // out;
  // nullopt: all, of graded tasks kGradedTrainPairs, for probes ProbeOptions::max_train.
  std::optional<size_t> train_sample = {};
  uint64_t seed = 1;  // of the samples
  size_t n_resample = 2000;
  bool timing = true;                        // the clock, and `memory`
  size_t n_repeat = 5;                       // passes of a timing: median and quartiles
  std::vector<BaselineSpec> baselines = {};  // to compare the model with
  std::filesystem::path features = {};       // folder of the vectors that probes are fitted on
  // Measures peak memory, each system in a process of its own; nullptr: it is left out.
  std::shared_ptr<MemoryMeter> memory = {};
  std::shared_ptr<EvalParts> parts = {};  // to go on from; nullptr: nothing is kept
  // For the record: what a user typed, the model as it was named, and what results call the reading
  // of the texts (under a policy file that of the file).
  std::string command = {}, model = {}, pooling = "mean", norm = "none", scan = "forward";
};

struct EvalBaseline {
  std::string system;              // in rows and costs: "glove", "bag", "glove-2"
  std::string title;               // for people
  std::string place;               // its file or folder
  std::optional<double> coverage;  // share of the evaluated words that it knows; word vectors alone
  std::optional<std::string> warning;  // that it knows hardly any word; in notes as well
};

struct EvalResult {
  std::string command;
  OrderedJson model, settings;  // as recorded in results.json
  std::string task, title, split;
  size_t n_pair = 0, n_positive = 0;
  bool binary = true;
  bool probe = false;                        // answers are those of linear probes, not cosines
  std::string lead = "spearman";             // the metric that leads
  std::vector<std::string> metrics = {};     // of probes, the leading one first
  bool is_pair = true;                       // examples are pairs of texts
  std::optional<LayerVerdict> verdict = {};  // nullopt: fewer than two layers, or a depth policy
  std::string model_argument = {};           // EvalOptions::model
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

// A requested task without figures.
struct MissingTask {
  std::string task, title, split, why;
};
// One task: its data, its result so far, and the scores behind the figures.
struct EvalTask {
  Dataset evaluated;
  std::optional<Dataset> train;  // for thresholds
  EvalResult result;
  std::vector<Scores> systems;
  bool probe = false;  // see probe_curve.h; the scores are then classes that probes answered
};

// Of these tasks what can be evaluated. Of several those that cannot are put in `missing` and told;
// a single one is an error. The result may be empty. Throws UsageError, MissingData, Error.
std::vector<EvalTask> load_eval_tasks(std::span<const Task* const> chosen,
                                      const EvalOptions& options, const Listener& listener,
                                      std::vector<MissingTask>& missing);

// The scores and costs of options.baselines. Throws
// Error naming the file, InvalidOption for word vectors that can be read only once and several
// tasks.
void evaluate_baselines(std::span<EvalTask> tasks, const EvalOptions& options);

// The model, and every metric of every system: task.result is then whole. depth: of the encoder.
// Throws as rwkv_scores() does.
void evaluate(EvalTask& task, const EvalOptions& options, OpenModel& open, const Encoder& encoder,
              const DepthChoice& depth, const Listener& listener);

// How costs are measured; times that were measured before a stop are taken from options.parts.
CostOptions cost_options(const EvalOptions& options, OpenModel& open, const Encoder& encoder,
                         const EvalTask& task);
// Peak memory of every cost row, where options say so; where it cannot be had, a note.
void add_peak_memory(EvalTask& task, const EvalOptions& options, const Encoder& encoder,
                     const Listener& listener);

// Its part for task.probe: linear probes at the encoder's layers. Throws InvalidOption for what
// probes cannot do: a depth policy, pooled states, a head.
void evaluate_probe(EvalTask& task, const EvalOptions& options, OpenModel& open,
                    const Encoder& encoder, const Listener& listener);

}  // namespace fathom
