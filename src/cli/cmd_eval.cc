// SPDX-License-Identifier: Apache-2.0
// fathom eval: quality and cost at every depth on a task with labelled sentence pairs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/data_notes.h"
#include "cli/depth_flag.h"
#include "cli/flags.h"
#include "cli/numbers.h"
#include "cli/progress.h"
#include "cli/static_vectors.h"
#include "cli/task_list.h"
#include "encode/describe.h"
#include "eval/cost.h"
#include "eval/run.h"
#include "results/eval_report.h"
#include "study/fit_heads.h"
#include "text/text_file.h"

namespace fathom::cli {
namespace {

struct Flags {
  ModelFlags model;
  EncodeFlags encode;
  DepthFlag depth;
  StaticFlags statics;
  std::string task = "mrpc", data, split, out = "results";
  size_t sample = 0, train_sample = 0, n_resample = 2000;
  uint64_t seed = 1;
  bool no_timing = false;
};

struct Splits {
  Dataset evaluated;
  std::optional<Dataset> train;  // for thresholds
  std::vector<std::string> notes;
};

// The split that is asked for, else the one that the task is reported on.
Split split_of(const Flags& flags, const Task& task) {
  return flags.split.empty() ? task.report : parse_split(flags.split);
}

Splits load_splits(const Flags& flags, const Task& task, const std::filesystem::path& root) {
  Splits s{load_dataset(task, split_of(flags, task), root), {}, {}};
  s.notes = notes_of(s.evaluated);
  if (flags.sample) s.evaluated = sample(s.evaluated, flags.sample, flags.seed);
  if (task.gold != Gold::kLabel) return s;
  if (s.evaluated.split == Split::kTrain) {
    s.train = s.evaluated;
    s.notes.push_back("Thresholds were chosen on the evaluated pairs: this is the train split.");
    return s;
  }
  try {
    s.train = load_dataset(task, Split::kTrain, root);
    for (std::string& note : notes_of(*s.train)) s.notes.push_back(std::move(note));
    if (flags.train_sample && flags.train_sample < s.train->pairs.size()) {
      s.train = sample(*s.train, flags.train_sample, flags.seed);
      s.notes.push_back(fmt::format("Thresholds were chosen on {} of the train pairs (seed {}).",
                                    flags.train_sample, flags.seed));
    }
  } catch (const MissingData& e) {
    s.notes.push_back(concat("No accuracy or F1 at a threshold from train: ", e.what()));
  }
  return s;
}

// Before the model is opened, so that GloVe's peak memory is its own.
void run_glove(const Flags& flags, const Splits& s, EvalReport& report,
               std::vector<Scores>& systems) {
  const WordOptions options = flags.statics.words();
  const std::vector<std::string_view> evaluated = texts_in_order(s.evaluated);
  std::vector<std::string_view> train;
  if (s.train) train = texts_in_order(*s.train);
  const Glove glove = open_glove(flags.statics, {evaluated, train});
  const PairTexts texts = texts_of(s.evaluated);
  GloveScores scores = glove_scores(glove, options, texts);
  report.glove = flags.statics.glove;
  report.glove_coverage = scores.coverage.share();
  report.glove_warning = warn_of_unknown_words("GloVe", scores.coverage);
  if (report.glove_warning) report.notes.insert(report.notes.begin(), *report.glove_warning);
  report.notes.insert(report.notes.end(), glove.notes().begin(), glove.notes().end());
  report.settings["glove"] = {
      {"file", flags.statics.glove},      {"dim", glove.dim()},
      {"lower_case", options.lower_case}, {"split_punctuation", options.split_punctuation},
      {"unknown_words", "left out"},      {"words", scores.coverage.words},
      {"known", scores.coverage.known},   {"coverage", scores.coverage.share()}};
  systems.push_back({"glove", {}, std::move(scores.scores), {}});
  if (s.train) systems.back().train = glove_scores(glove, options, texts_of(*s.train)).scores;
  report.costs.push_back(glove_cost(glove, options, texts, {.measure = !flags.no_timing}));
}

void run_bag(const TokenBag& bag, const Flags& flags, const Splits& s, EvalReport& report,
             std::vector<Scores>& systems) {
  const PairTexts texts = texts_of(s.evaluated);
  report.bag = flags.statics.bag;
  report.settings["bag"] = {
      {"file", flags.statics.bag}, {"dim", bag.dim()}, {"tokenizer", bag.vocabulary()}};
  systems.push_back({"bag", {}, bag_scores(bag, texts), {}});
  if (s.train) systems.back().train = bag_scores(bag, texts_of(*s.train));
  report.costs.push_back(bag_cost(bag, texts, {.measure = !flags.no_timing}));
}

// Counts vectors that are not finite, layer by layer, in settings, notes and on standard error.
void add_nonfinite(const Dataset& data, std::span<const size_t> layers,
                   std::span<const NonFiniteVectors> counts, EvalReport& report) {
  OrderedJson& list = report.settings["nonfinite_vectors"];
  if (list.is_null()) list = OrderedJson::array();
  std::vector<std::string> notes;
  for (size_t i = 0; i < counts.size(); ++i) {
    const NonFiniteVectors& c = counts[i];
    if (c.n == 0) continue;
    const std::string layer = layer_name(layers[i], report.n_layer),
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
  tell(notes);
  report.notes.insert(report.notes.end(), notes.begin(), notes.end());
}

void run_rwkv(const Flags& flags, const Splits& s, OpenModel& open, const Encoder& encoder,
              const DepthChoice& depth, EvalReport& report, std::vector<Scores>& systems) {
  const Tokenizer& tokenizer = require_tokenizer(open.vocabulary);
  const Config& config = open.model.config();
  const EncodeOptions& options = encoder.options();
  const std::vector<size_t> layers =
      depth.policy ? std::vector<size_t>{policy_layer(config.n_layer)} : options.layers;
  report.model = describe(open.model);
  report.model["tokenizer"] = open.vocabulary.source;
  report.n_layer = config.n_layer;
  report.version = config.version;
  report.has_hf_index = !pools_state(encoder.options().pooling) && !encoder.options().head;
  const OrderedJson how = describe(encoder.options(), config);
  for (const auto& [key, value] : how.items()) report.settings[key] = value;
  report.settings["threads"] = open.work.pool().size();
  report.settings["batch_tokens"] = encoder.options().batch_tokens;
  if (depth.policy) {  // what its file was fitted with, where the flags do not say
    report.pooling = name_of(options.pooling);
    report.norm = name_of(options.norm);
    report.scan = name_of(options.scan);
  }

  const PairTexts texts = texts_of(s.evaluated);
  const auto score = [&](const Dataset& data, const char* label,
                         std::vector<DepthTrace>* trace = nullptr) {
    Progress progress(label, data.pairs.size());
    std::vector<NonFiniteVectors> nonfinite;
    auto scores = rwkv_scores(encoder, tokenizer, texts_of(data), open.work,
                              {.progress = [&](size_t done) { progress.at(done); },
                               .trace = trace,
                               .nonfinite = &nonfinite,
                               .place = [&](size_t pair) { return place_of(data, pair); }});
    add_nonfinite(data, layers, nonfinite, report);
    return scores;
  };
  std::vector<DepthTrace> trace;  // of the evaluated sentences
  auto evaluated = score(s.evaluated, "evaluated pairs", depth.policy ? &trace : nullptr);
  auto train = s.train && s.train->split != s.evaluated.split ? score(*s.train, "train pairs")
               : s.train                                      ? evaluated
                                                              : decltype(evaluated)(layers.size());
  std::vector<Scores> rwkv;
  for (size_t i = 0; i < layers.size(); ++i)
    rwkv.push_back({"rwkv", layers[i], std::move(evaluated[i]), std::move(train[i])});
  systems.insert(systems.begin(), std::make_move_iterator(rwkv.begin()),
                 std::make_move_iterator(rwkv.end()));

  Progress progress("timing layers", layers.size());
  const CostOptions cost{.measure = !flags.no_timing};
  std::vector<CostRow> costs;
  if (depth.policy) {
    report.settings["depth"] = describe(depth);
    report.settings["depth"]["evaluated"] = summarise(trace, config.n_layer);
    costs.push_back(policy_cost(encoder, tokenizer, texts, trace, open.work, cost));
  } else {
    costs = rwkv_costs(encoder, tokenizer, texts, open.work, cost,
                       [&](size_t done) { progress.at(done); });
  }
  report.costs.insert(report.costs.begin(), costs.begin(), costs.end());
  report.rows = metric_rows(systems, s.evaluated, s.train ? &*s.train : nullptr,
                            {.n_resample = flags.n_resample, .seed = 1}, open.work.pool());
}

// One task on its way to a report.
struct TaskRun {
  Splits splits;
  EvalReport report;
  std::vector<Scores> systems;
};

// Rows left out, of each split that was read.
OrderedJson left_out_of(const Splits& s) {
  OrderedJson j;
  j[std::string(name_of(s.evaluated.split))] = left_out_json(s.evaluated.left_out);
  if (s.train) j[std::string(name_of(s.train->split))] = left_out_json(s.train->left_out);
  return j;
}

EvalReport start_report(const Flags& flags, const Splits& s) {
  EvalReport report;
  report.command = command_line();
  report.task = s.evaluated.task->name;
  report.title = s.evaluated.task->title;
  report.split = name_of(s.evaluated.split);
  report.n_pair = s.evaluated.pairs.size();
  report.binary = s.evaluated.task->gold == Gold::kLabel;
  report.n_positive =
      static_cast<size_t>(std::count_if(s.evaluated.pairs.begin(), s.evaluated.pairs.end(),
                                        [](const Pair& p) { return p.gold == 1; }));
  report.pooling = flags.encode.pooling();
  report.norm = flags.encode.norm;
  report.scan = flags.encode.scan;
  report.notes = s.notes;
  report.settings["data_files"] = OrderedJson::array();
  for (const auto& file : s.evaluated.files) report.settings["data_files"].push_back(file.string());
  report.settings["left_out"] = left_out_of(s);
  if (flags.sample) report.settings["sample"] = {{"n", flags.sample}, {"seed", flags.seed}};
  report.settings["bootstrap"] = {
      {"n_resample", flags.n_resample}, {"seed", 1}, {"interval", "percentile, 95 %"}};
  return report;
}

// What can be evaluated; of several tasks those that cannot are said to be missing, a single one is
// an error.
std::vector<TaskRun> load_tasks(const Flags& flags, std::vector<MissingTask>& missing) {
  const std::vector<const Task*> chosen = parse_tasks("--task", flags.task);
  const std::filesystem::path root = find_data_root(flags.data);
  const std::vector<const Task*> readable = tasks_in(chosen, root);
  std::vector<TaskRun> runs;
  for (const Task* task : chosen) {
    const std::string split(name_of(split_of(flags, *task)));
    const auto leave_out = [&](const std::string& why) {
      missing.push_back({std::string(task->name), std::string(task->title), split, why});
      fmt::print(stderr, "fathom: {}: {}\n", task->name, why);
    };
    if (!task->is_zero_shot()) {
      const std::string why = task->is_pair() ? "three classes have no zero-shot figure"
                                              : "single sentences have no zero-shot figure";
      if (chosen.size() == 1)
        throw UsageError(concat("--task ", task->name, ": ", why, "; see fathom fit"));
      leave_out(why);
      continue;
    }
    if (std::ranges::find(readable, task) == readable.end()) {
      leave_out(concat("missing: ", split, " (", root.string(), " is the folder of another task)"));
      continue;
    }
    try {
      Splits splits = load_splits(flags, *task, root);
      tell(notes_of(splits.evaluated));
      if (splits.train && splits.train->split != splits.evaluated.split)
        tell(notes_of(*splits.train));
      EvalReport report = start_report(flags, splits);
      runs.push_back({std::move(splits), std::move(report), {}});
    } catch (const MissingData& e) {
      if (chosen.size() == 1) throw;
      leave_out(concat("missing: ", split, e.hint().empty() ? "" : concat("; ", e.hint())));
    }
  }
  FATHOM_REQUIRE(!runs.empty(), "--task ", flags.task, ": none of these tasks has data in ",
                 root.string());
  return runs;
}

void print_report(const EvalReport& report) {
  fmt::print("{} {}: {} pairs{}\n", report.title, report.split, report.n_pair,
             report.binary ? fmt::format(", {} positive", report.n_positive) : std::string());
  std::cout << to_text(summary_table(report), 140);
  if (report.glove) fmt::print("GloVe coverage {:.3f}\n", report.glove_coverage);
  for (const std::string& note : report.notes) fmt::print("{}\n", note);
}

void run(const Flags& flags) {
  // Wrong flags are told before minutes of work.
  flags.encode.check();
  std::vector<MissingTask> missing;
  std::vector<TaskRun> runs = load_tasks(flags, missing);
  const std::filesystem::path out = flags.out;
  const bool several = runs.size() + missing.size() > 1;
  OutputSet outputs;
  for (const TaskRun& r : runs) expect_report(outputs, several ? out / r.report.task : out);
  if (several) expect_summary(outputs, out);
  if (!flags.statics.glove.empty()) {
    std::error_code ignored;
    if (runs.size() > 1 && !std::filesystem::is_regular_file(
                               find_text_file(flags.statics.glove).value_or(""), ignored))
      throw UsageError(concat("--glove ", flags.statics.glove,
                              ": read once for each task; with several expected a regular file"));
    for (TaskRun& r : runs) run_glove(flags, r.splits, r.report, r.systems);
    reset_peak_rss();
  }
  if (!flags.statics.bag.empty()) {
    const TokenBag bag = TokenBag::open(flags.statics.bag);
    for (TaskRun& r : runs) run_bag(bag, flags, r.splits, r.report, r.systems);
  }
  OpenModel open = open_model(
      flags.model, [&](const Config& c) { return flags.depth.n_block(flags.encode, c); });
  EncodeOptions options = flags.encode.options(open.model.config());
  const DepthChoice depth = flags.depth.open(open.model, options);
  const Encoder encoder(open.model, options, depth.policy.get());
  std::vector<EvalReport> reports;
  for (TaskRun& r : runs) {
    run_rwkv(flags, r.splits, open, encoder, depth, r.report, r.systems);
    write_report(r.report, several ? out / r.report.task : out, outputs);
    print_report(r.report);
    reports.push_back(std::move(r.report));
  }
  if (several) {
    write_summary(reports, missing, out, outputs);
    for (const MissingTask& m : missing) fmt::print("{}: {}\n", m.title, m.why);
    fmt::print("{}\n", (out / "results.json").string());
  } else {
    fmt::print("{}\n", (out / "report.html").string());
  }
}

}  // namespace

void add_eval(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  flags->encode.layers = "all";
  CLI::App* command = app.add_subcommand("eval", "quality and cost at every depth on a task");
  flags->model.add_to(*command);
  std::string names;
  for (const Task& task : tasks()) names += concat(names.empty() ? "" : ", ", task.name);
  command->add_option("--task", flags->task, "one or several with commas between, or all: " + names)
      ->capture_default_str();
  command->add_option("--data", flags->data,
                      "folder that holds glue/, sts/, sick/ [$FATHOM_SHARED/data, ../shared/data]");
  command->add_option("--split", flags->split,
                      "train, validation or test [validation; test for STS12 to STS16]");
  command->add_option("--sample", flags->sample, "evaluate only this many pairs of the split")
      ->transform(whole_number(1));
  command->add_option("--seed", flags->seed, "of the samples")
      ->capture_default_str()
      ->transform(whole_number());
  command
      ->add_option("--train-sample", flags->train_sample,
                   "choose thresholds on this many train pairs [all]")
      ->transform(whole_number(1));
  flags->statics.add_to(*command);
  command->add_option("--bootstrap", flags->n_resample, "resamples")
      ->capture_default_str()
      ->transform(whole_number(1, 1000000));
  command->add_flag("--no-timing", flags->no_timing, "leave the clock out of the cost");
  command->add_option("-o,--out", flags->out, "folder for results.json, results.csv, report.html")
      ->capture_default_str();
  flags->encode.add_to(*command);
  flags->depth.add_to(*command);
  command->footer(
      "Layers: 0 = after ln0, i = after block i, final = ln_out of the last block.\n"
      "Examples:\n"
      "  fathom eval v6-Finch-1B6-HF/ --task mrpc --data data/ --glove glove.6B.50d.txt "
      "--out results/\n"
      "  fathom eval model/ --split train --sample 1000 --seed 1 --layers 1,3,5,7,9,11\n"
      "  fathom eval model/ --task stsb --depth exit:saturation.policy\n"
      "  fathom eval model/ --pool state-rows --layers 1-12\n"
      "  fathom eval model/ --task mrpc,stsb,sts12 --no-timing   # a folder for each in results/");
  command->callback([flags] { run(*flags); });
}

}  // namespace fathom::cli
