// SPDX-License-Identifier: Apache-2.0
#include "study/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <memory>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/invalid_option.h"
#include "encode/describe.h"
#include "eval/cost.h"
#include "eval/own_task.h"
#include "eval/task_list.h"
#include "probe/folds.h"
#include "study/data_notes.h"
#include "study/fit_heads.h"
#include "text/text_file.h"

namespace fathom {
namespace {

struct Splits {
  Dataset evaluated;
  std::optional<Dataset> train;  // for thresholds
  std::vector<std::string> notes;
};

Split split_of(const EvalOptions& options, const Task& task) {
  return options.split.value_or(task.report);
}

// A user's few pairs are all evaluated: cosines are fitted to none of them.
bool takes_all_rows(const EvalOptions& options, const Task& task) {
  return task.own && task.is_zero_shot() && task.own->spec.test_file.empty() && !options.split &&
         (task.own->n_fold > 0 || task.own->rows.size() < kSmallTask);
}

Splits load_all_rows(const EvalOptions& options, const Task& task) {
  constexpr size_t kAnyFolds = 2;
  std::vector<uint32_t> ignored;
  Splits s{load_own_whole(task, kAnyFolds, ignored), {}, {}};
  s.notes = notes_of(s.evaluated);
  s.notes.push_back(fmt::format("All {} rows are evaluated: cosines are fitted to none of them.",
                                s.evaluated.pairs.size()));
  if (options.sample) s.evaluated = sample(s.evaluated, options.sample, options.seed);
  if (task.gold != Gold::kLabel) return s;
  s.train = s.evaluated;
  s.notes.push_back("Thresholds were chosen on the evaluated pairs.");
  return s;
}

Splits load_splits(const EvalOptions& options, const Task& task,
                   const std::filesystem::path& root) {
  if (takes_all_rows(options, task)) return load_all_rows(options, task);
  Splits s{load_dataset(task, split_of(options, task), root), {}, {}};
  s.notes = notes_of(s.evaluated);
  if (options.sample) s.evaluated = sample(s.evaluated, options.sample, options.seed);
  const bool binary = task.gold == Gold::kLabel;
  if (!task.is_zero_shot() || options.train_sample == 0) return s;
  if (s.evaluated.split == Split::kTrain) {
    if (!binary) return s;
    s.train = s.evaluated;
    s.notes.push_back("Thresholds were chosen on the evaluated pairs: this is the train split.");
    return s;
  }
  const size_t n_train = options.train_sample.value_or(binary ? SIZE_MAX : kGradedTrainPairs);
  try {
    s.train = load_dataset(task, Split::kTrain, root);
    for (std::string& note : notes_of(*s.train)) s.notes.push_back(std::move(note));
    if (n_train < s.train->pairs.size()) {
      s.train = sample(*s.train, n_train, options.seed);
      s.notes.push_back(fmt::format("{} chosen on {} of the train pairs (seed {}).",
                                    binary ? "Thresholds were" : "The layer was", n_train,
                                    options.seed));
    }
  } catch (const MissingData& e) {
    if (binary)
      s.notes.push_back(concat("No accuracy or F1 at a threshold from train: ", e.what()));
  }
  return s;
}

void run_baseline(const Baseline& baseline, const EvalOptions& options, EvalTask& task) {
  EvalResult& result = task.result;
  const PairTexts texts = texts_of(task.evaluated);
  BaselineScores scores = baseline_scores(baseline, texts);
  EvalBaseline about{.system = baseline.name(),
                     .title = baseline_title(baseline.name()),
                     .place = baseline.place(),
                     .coverage = {},
                     .warning = {}};
  OrderedJson& settings = result.settings[baseline.name()];
  settings = baseline.about();
  if (!baseline.knows_all()) {
    about.coverage = scores.coverage.share();
    about.warning = warn_of_unknown_words(baseline, scores.coverage);
    if (about.warning) result.notes.insert(result.notes.begin(), *about.warning);
    settings["unknown_words"] = "left out";
    settings["words"] = scores.coverage.words;
    settings["known"] = scores.coverage.known;
    settings["coverage"] = scores.coverage.share();
  }
  result.notes.insert(result.notes.end(), baseline.notes().begin(), baseline.notes().end());
  result.baselines.push_back(std::move(about));
  task.systems.push_back({baseline.name(), {}, std::move(scores.scores), {}});
  if (task.train)
    task.systems.back().train = baseline_scores(baseline, texts_of(*task.train)).scores;
  result.costs.push_back(
      baseline_cost(baseline, texts, {.measure = options.timing, .n_repeat = options.n_repeat}));
}

// What can be opened again: no pipe.
bool can_be_read_again(const BaselineSpec& spec) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(find_text_file(spec.place).value_or(""), ignored);
}

PeakMemory peak_of_baseline(const EvalTask& task, const EvalOptions& options,
                            const std::string& name) {
  for (const BaselineSpec& spec : resolved(options.baselines)) {
    if (spec.name != name) continue;
    if (spec.kind == BaselineSpec::Kind::kWords && !can_be_read_again(spec))
      return {{}, "its file can be read only once"};
    return options.memory->baseline(spec, texts_in_order(task.evaluated));
  }
  return {{}, "it is none of the baselines that were asked for"};
}

// Word vectors are read for each task, those alone that it needs.
void require_file(const BaselineSpec& spec) {
  if (!can_be_read_again(spec))
    throw InvalidOption(spec.field, "a regular file with several tasks", spec.place,
                        "read once for each task");
}

// Counts vectors that are not finite, layer by layer, in settings and notes.
void add_nonfinite(const Dataset& data, std::span<const size_t> layers,
                   std::span<const NonFiniteVectors> counts, const Listener& listener,
                   EvalResult& result) {
  OrderedJson& list = result.settings["nonfinite_vectors"];
  if (list.is_null()) list = OrderedJson::array();
  std::vector<std::string> notes;
  for (size_t i = 0; i < counts.size(); ++i) {
    const NonFiniteVectors& c = counts[i];
    if (c.n == 0) continue;
    const std::string layer = layer_name(layers[i], result.n_layer),
                      first = place_of(data, c.first_pair);
    list.push_back({{"split", std::string(name_of(data.split))},
                    {"layer", layer},
                    {"vectors", c.n},
                    {"of", 2 * data.pairs.size()},
                    {"first", first},
                    {"why", c.why}});
    notes.push_back(fmt::format(
        "{}, {}: layer {} has no figures: {} of {} vectors are not finite; "
        "the first at {}: {}",
        data.task->name, name_of(data.split), layer, c.n, 2 * data.pairs.size(), first, c.why));
  }
  listener.tell(notes);
  result.notes.insert(result.notes.end(), notes.begin(), notes.end());
}

// How the model was run, as results record it.
void record_model(const OpenModel& open, const Encoder& encoder, const DepthChoice& depth,
                  size_t n_thread, EvalResult& result) {
  const Config& config = open.model.config();
  const EncodeOptions& how = encoder.options();
  result.model = describe(open.model);
  result.model["tokenizer"] = open.vocabulary.source;
  result.n_layer = config.n_layer;
  result.version = config.version;
  result.has_hf_index = !pools_state(how.pooling) && !how.head;
  result.settings.update(describe(how, config));
  result.settings["threads"] = n_thread;
  result.settings["batch_tokens"] = how.batch_tokens;
  if (!depth.policy) return;  // what its file was fitted with, where the options do not say
  result.pooling = name_of(how.pooling);
  result.norm = name_of(how.norm);
  result.scan = name_of(how.scan);
}

// Cosines of both splits at every layer, in front of the baselines' scores.
void score_splits(EvalTask& task, std::span<const size_t> layers, OpenModel& open,
                  const Encoder& encoder, const Listener& listener, std::vector<DepthTrace>* trace,
                  EvalParts* parts) {
  const auto score = [&](const Dataset& data, const char* name, std::vector<DepthTrace>* traced) {
    const std::string part = concat(task.result.task, "-", name_of(data.split));
    Stage stage(listener, name, data.pairs.size());
    std::vector<NonFiniteVectors> nonfinite;
    auto scores = scores_in_parts(encoder, open, part, texts_of(data),
                                  {.progress = [&](size_t done) { stage.at(done); },
                                   .trace = traced,
                                   .nonfinite = &nonfinite,
                                   .place = [&](size_t pair) { return place_of(data, pair); }},
                                  parts);
    add_nonfinite(data, layers, nonfinite, listener, task.result);
    return scores;
  };
  auto evaluated = score(task.evaluated, "evaluated pairs", trace);
  auto train = task.train && task.train->split != task.evaluated.split
                   ? score(*task.train, "train pairs", nullptr)
               : task.train ? evaluated
                            : decltype(evaluated)(layers.size());
  std::vector<Scores> rwkv;
  for (size_t i = 0; i < layers.size(); ++i)
    rwkv.push_back({"rwkv", layers[i], std::move(evaluated[i]), std::move(train[i])});
  task.systems.insert(task.systems.begin(), std::make_move_iterator(rwkv.begin()),
                      std::make_move_iterator(rwkv.end()));
}

// The layer by Spearman: chosen on train pairs, kChoiceRows of them at most, where there are any.
std::optional<LayerVerdict> verdict_of(const EvalTask& task, const EvalOptions& options,
                                       ThreadPool& pool) {
  constexpr size_t kChoiceRows = 4000;
  std::vector<const Scores*> layers;
  for (const Scores& s : task.systems)
    if (s.layer) layers.push_back(&s);
  if (layers.size() < 2) return std::nullopt;
  std::ranges::sort(layers, {}, [](const Scores* s) { return *s->layer; });
  std::vector<size_t> names;
  std::vector<double> flops;
  for (const Scores* s : layers) {
    names.push_back(*s->layer);
    const auto cost = std::ranges::find(task.result.costs, s->layer, &CostRow::layer);
    flops.push_back(cost->flops_per_pair);
  }
  std::vector<RankedPairs> pairs;
  pairs.reserve(2 * layers.size());
  const auto rows_of = [&](const Dataset& data, std::span<const size_t> rows, auto scores,
                           std::string name) {
    VerdictRows out{{}, rows.size(), std::move(name)};
    std::vector<double> gold;
    for (size_t row : rows) gold.push_back(data.pairs[row].gold);
    for (const Scores* layer : layers) {
      std::vector<double> chosen;
      for (size_t row : rows) chosen.push_back((layer->*scores)[row]);
      const RankedPairs* ranked = &pairs.emplace_back(chosen, gold);
      out.statistics.emplace_back([ranked](Multiplicities t) { return ranked->spearman(t); });
    }
    return out;
  };
  const size_t n = task.evaluated.pairs.size();
  const VerdictRows shown =
      rows_of(task.evaluated, draw_rows(n, n, 1), &Scores::evaluated, "this split");
  std::optional<VerdictRows> choice;
  if (task.train && task.train->split != task.evaluated.split) {
    const std::vector<size_t> rows = draw_rows(task.train->pairs.size(), kChoiceRows, options.seed);
    choice = rows_of(*task.train, rows, &Scores::train, fmt::format("{} train pairs", rows.size()));
  }
  return judge_layers(names, flops, "spearman", shown, choice ? &*choice : nullptr,
                      {.n_resample = options.n_resample, .seed = 1}, pool);
}

// Rows left out, of each split that was read.
OrderedJson left_out_of(const Splits& s) {
  OrderedJson j;
  j[std::string(name_of(s.evaluated.split))] = left_out_json(s.evaluated.left_out);
  if (s.train) j[std::string(name_of(s.train->split))] = left_out_json(s.train->left_out);
  return j;
}

EvalResult start_result(const EvalOptions& options, const Splits& s) {
  EvalResult result;
  result.command = options.command;
  result.task = s.evaluated.task->name;
  result.title = s.evaluated.task->title;
  result.split = name_of(s.evaluated.split);
  result.n_pair = s.evaluated.pairs.size();
  result.binary = s.evaluated.task->gold == Gold::kLabel;
  result.n_positive =
      static_cast<size_t>(std::count_if(s.evaluated.pairs.begin(), s.evaluated.pairs.end(),
                                        [](const Pair& p) { return p.gold == 1; }));
  result.model_argument = options.model;
  result.pooling = options.pooling;
  result.norm = options.norm;
  result.scan = options.scan;
  result.notes = s.notes;
  result.settings["data_files"] = OrderedJson::array();
  for (const auto& file : s.evaluated.files) result.settings["data_files"].push_back(file.string());
  result.settings["left_out"] = left_out_of(s);
  if (options.sample) result.settings["sample"] = {{"n", options.sample}, {"seed", options.seed}};
  result.settings["bootstrap"] = {
      {"n_resample", options.n_resample}, {"seed", 1}, {"interval", "percentile, 95 %"}};
  return result;
}

EvalTask load_one(const EvalOptions& options, const Task& task, const std::filesystem::path& root,
                  const Listener& listener) {
  Splits splits = load_splits(options, task, root);
  const bool probe = !task.is_zero_shot();
  if (probe && options.train_sample == 0)
    throw InvalidOption("train_sample", concat("train rows for ", task.name), "0",
                        "linear probes are fitted on them");
  // A user's rows may all be answered in folds: probes say themselves how they were split.
  if (!probe || !task.own) listener.tell(notes_of(splits.evaluated));
  if (splits.train && splits.train->split != splits.evaluated.split)
    listener.tell(notes_of(*splits.train));
  // What probes are fitted on; they read it themselves.
  if (probe && !task.own) load_dataset(task, Split::kTrain, root);
  EvalResult result = start_result(options, splits);
  return {std::move(splits.evaluated), std::move(splits.train), std::move(result), {}, probe};
}

}  // namespace

std::vector<EvalTask> load_eval_tasks(std::span<const Task* const> chosen,
                                      const EvalOptions& options, const Listener& listener,
                                      std::vector<MissingTask>& missing) {
  const std::filesystem::path root = find_data_root(chosen, options.data);
  const std::vector<const Task*> readable = tasks_in({chosen.begin(), chosen.end()}, root);
  std::vector<EvalTask> loaded;
  for (const Task* task : chosen) {
    const std::string split(name_of(split_of(options, *task)));
    const auto leave_out = [&](const std::string& why) {
      missing.push_back({std::string(task->name), std::string(task->title), split, why});
      listener.tell(concat(task->name, ": ", why));
    };
    if (std::ranges::find(readable, task) == readable.end()) {
      leave_out(concat("missing: ", split, " (", root.string(), " is the folder of another task)"));
      continue;
    }
    try {
      loaded.push_back(load_one(options, *task, root, listener));
    } catch (const InvalidOption& e) {
      if (chosen.size() == 1 || e.field() != "train_sample") throw;
      leave_out("left out: linear probes need train rows, and none are to be used");
    } catch (const MissingData& e) {
      if (chosen.size() == 1) throw;
      leave_out(concat("missing: ", split, e.hint().empty() ? "" : concat("; ", e.hint())));
    }
  }
  return loaded;
}

const EvalBaseline* EvalResult::baseline(std::string_view system) const {
  const auto at = std::ranges::find(baselines, system, &EvalBaseline::system);
  return at == baselines.end() ? nullptr : &*at;
}

void evaluate_baselines(std::span<EvalTask> tasks, const EvalOptions& options) {
  for (const BaselineSpec& spec : resolved(options.baselines)) {
    const bool anew = spec.kind == BaselineSpec::Kind::kWords;
    if (anew && tasks.size() > 1) require_file(spec);
    std::unique_ptr<const Baseline> baseline;
    for (EvalTask& task : tasks) {
      if (task.probe) continue;  // their baselines are probed beside the model
      const std::vector<std::string_view> evaluated = texts_in_order(task.evaluated),
                                          train = task.train ? texts_in_order(*task.train)
                                                             : std::vector<std::string_view>();
      if (anew) baseline.reset();
      if (!baseline) baseline = Baseline::open(spec, {evaluated, train});
      run_baseline(*baseline, options, task);
    }
  }
}

CostOptions cost_options(const EvalOptions& options, OpenModel& open, const Encoder& encoder,
                         const EvalTask& task) {
  CostOptions cost{.measure = options.timing, .n_repeat = options.n_repeat};
  const EncodeOptions& how = encoder.options();
  if (!options.parts || encoder.policy() || how.head || !how.post.empty()) return cost;
  OrderedJson key = scores_key(open, encoder, texts_of(task.evaluated));
  key["repeats"] = options.n_repeat;
  key["threads"] = open.work.pool().size();
  key["batch_tokens"] = how.batch_tokens;
  cost.times = [&options, key, name = task.result.task](
                   size_t layer, const std::function<PairTime()>& measure) mutable {
    key["layer"] = layer;
    return options.parts->time(concat(name, "-time-", layer), key, measure);
  };
  return cost;
}

void add_peak_memory(EvalTask& task, const EvalOptions& options, const Encoder& encoder,
                     const Listener& listener) {
  if (!options.timing || !options.memory) return;
  const bool pairs = task.result.is_pair;
  const std::vector<std::string_view> texts = texts_in_order(task.evaluated);
  Stage stage(listener, "memory", task.result.costs.size());
  size_t done = 0;
  bool noted = false;
  for (CostRow& row : task.result.costs) {
    const PeakMemory peak = row.layer
                                ? options.memory->model(encoder, *row.layer, texts, pairs ? 2 : 1)
                                : peak_of_baseline(task, options, row.system);
    row.peak_rss_bytes = peak.bytes;
    if (!peak.bytes && !std::exchange(noted, row.layer.has_value()))
      task.result.notes.push_back(
          fmt::format("{}: no peak memory of a process of its own: {}",
                      row.layer ? "Layer " + layer_name(*row.layer, task.result.n_layer)
                                : baseline_title(row.system),
                      peak.why));
    stage.at(++done);
  }
}

void evaluate(EvalTask& task, const EvalOptions& options, OpenModel& open, const Encoder& encoder,
              const DepthChoice& depth, const Listener& listener) {
  EvalResult& result = task.result;
  const Tokenizer& tokenizer = open.tokenizer();
  const size_t n_layer = open.model.config().n_layer;
  const std::vector<size_t> layers =
      depth.policy ? std::vector<size_t>{policy_layer(n_layer)} : encoder.options().layers;
  if (task.probe && depth.policy)
    throw InvalidOption("depth", concat("full for ", result.task, ", which needs linear probes"),
                        depth.policy->name(), "fathom sweep judges policies on such tasks");
  record_model(open, encoder, depth, open.work.pool().size(), result);
  if (task.probe) {
    evaluate_probe(task, options, open, encoder, listener);
    return;
  }
  std::vector<DepthTrace> trace;  // of the evaluated sentences
  score_splits(task, layers, open, encoder, listener, depth.policy ? &trace : nullptr,
               options.parts.get());

  const PairTexts texts = texts_of(task.evaluated);
  Stage stage(listener, "timing layers", layers.size());
  const CostOptions cost = cost_options(options, open, encoder, task);
  std::vector<CostRow> costs;
  if (depth.policy) {
    result.settings["depth"] = describe(depth);
    result.settings["depth"]["evaluated"] = summarise(trace, n_layer);
    costs.push_back(policy_cost(encoder, tokenizer, texts, trace, open.work, cost));
  } else {
    costs = rwkv_costs(encoder, tokenizer, texts, open.work, cost,
                       [&](size_t done) { stage.at(done); });
  }
  result.costs.insert(result.costs.begin(), costs.begin(), costs.end());
  add_peak_memory(task, options, encoder, listener);
  result.rows = metric_rows(task.systems, task.evaluated, task.train ? &*task.train : nullptr,
                            {.n_resample = options.n_resample, .seed = 1}, open.work.pool());
  if (!depth.policy) result.verdict = verdict_of(task, options, open.work.pool());
}

}  // namespace fathom
