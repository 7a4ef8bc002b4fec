// SPDX-License-Identifier: Apache-2.0
#include "study.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <atomic>

#include "base/file_roles.h"
#include "base/output_set.h"
#include "errors.h"
#include "eval/task_list.h"
#include "interrupt.h"
#include "options.h"
#include "pages.h"
#include "results/eval_report.h"
#include "results/fit_report.h"
#include "results/prune_report.h"
#include "results/sweep_report.h"
#include "study/fit_task.h"
#include "study/policy_names.h"
#include "study/run_sweep.h"

namespace fathom::python {
namespace {

using namespace nb::literals;

// (JSON, HTML page), both UTF-8.
using Report = std::pair<std::string, std::string>;
using Strings = std::vector<std::string>;

// Runs a study while this thread looks for signals. `progress` of Python is called with (stage, done,
// total, over), `note` with a line.
template <class Result>
Result run_study(nb::handle progress, nb::handle note,
                 const std::function<Result(const Listener&)>& study) {
  std::atomic<bool> stopped = false;
  const Listener listener{.progress =
                              [&](const StageState& state) {
                                if (stopped && !state.over)
                                  throw Stopped("stopped before it was done");
                                const nb::gil_scoped_acquire gil;
                                progress(nb::str(state.name.data(), state.name.size()), state.done,
                                         state.total, state.over);
                              },
                          .note =
                              [&](const std::string& text) {
                                const nb::gil_scoped_acquire gil;
                                note(nb::str(text.data(), text.size()));
                              }};
  std::optional<Result> result;
  forget_inputs();
  run_interruptibly([&] { result.emplace(study(listener)); }, [&] { stopped = true; });
  return std::move(*result);
}

OpenModel open(const Source& source, const Listener& listener) {
  return reading_files([&] {
    return OpenModel(source.open_options(), [&](const std::string& text) { listener.tell(text); });
  });
}

std::vector<BaselineSpec> specs_of(const Strings& places, bool keep_case, bool split_punctuation) {
  std::vector<BaselineSpec> specs;
  for (const std::string& place : places)
    specs.push_back({.place = place,
                     .words = {.lower_case = !keep_case, .split_punctuation = split_punctuation}});
  return specs;
}

FeatureOptions features_in(const std::string& folder, const ReadingOptions& reading) {
  return {.encode = reading.encode_options({0}), .dtype = StoredType::kF32, .folder = folder};
}

// --- evaluate

struct EvaluateArgs {
  Source source;
  ReadingOptions reading;
  std::string layers, depth;
  Strings tasks;
  EvalOptions how;
};

DepthChoice depth_of(const std::string& depth, const Model& model, EncodeOptions& options) {
  DepthChoice choice = open_depth(depth, model);
  if (!choice.policy) return choice;
  options.layers.clear();
  if (choice.file) options.pool_as(choice.file->reading);
  return choice;
}

std::string joined(const Strings& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
  return text;
}

struct Evaluated {
  std::vector<Report> reports;
  Strings missing;
};

Evaluated evaluate_tasks(const EvaluateArgs& args, const Listener& listener) {
  const std::vector<const Task*> chosen = parse_tasks("task", joined(args.tasks));
  std::vector<MissingTask> missing;
  std::vector<EvalTask> tasks = load_eval_tasks(chosen, args.how, listener, missing);
  if (tasks.empty())
    throw FileFault(concat("task: none of ", joined(args.tasks), " has data in ",
                           find_data_root(args.how.data).string()));
  evaluate_baselines(tasks, args.how);
  OpenModel model = open(args.source, listener);
  EncodeOptions options =
      args.reading.encode_options(parse_layers(args.layers, model.model.config().n_layer));
  const DepthChoice depth = depth_of(args.depth, model.model, options);
  const Encoder encoder(model.model, options, depth.policy.get());
  Evaluated done;
  for (EvalTask& task : tasks) {
    evaluate(task, args.how, model, encoder, depth, listener);
    done.reports.emplace_back(dump_json(to_json(task.result)), to_html(task.result));
  }
  for (const MissingTask& m : missing) done.missing.push_back(concat(m.task, ": ", m.why));
  return done;
}

nb::tuple py_evaluate(const Source& source, const ReadingOptions& reading,
                      const std::string& layers, const std::string& depth, Strings tasks,
                      const std::string& data, const std::string& split, size_t sample,
                      std::optional<size_t> train_sample, uint64_t seed, size_t n_resample,
                      bool timing, size_t n_repeat, const std::string& program,
                      const Strings& compare_to, bool keep_case, bool split_punctuation,
                      const std::string& command, nb::handle progress, nb::handle note) {
  EvaluateArgs args{source, reading, layers, depth, std::move(tasks), {}};
  args.how = {.data = data,
              .split = split.empty() ? std::nullopt : std::optional(parse_split(split)),
              .sample = sample,
              .train_sample = train_sample,
              .seed = seed,
              .n_resample = n_resample,
              .timing = timing,
              .n_repeat = n_repeat,
              .baselines = specs_of(compare_to, keep_case, split_punctuation),
              .memory = program.empty()
                            ? nullptr
                            : std::make_shared<MemoryMeter>(program, source.open_options()),
              .command = command,
              .pooling = std::string(name_of(reading.pooling)),
              .norm = std::string(name_of(reading.norm)),
              .scan = std::string(name_of(reading.scan))};
  const auto done = run_study<Evaluated>(
      progress, note, [&](const Listener& listener) { return evaluate_tasks(args, listener); });
  return nb::make_tuple(nb::cast(done.reports), nb::cast(done.missing));
}

// --- fit

struct FitArgs {
  Source source;
  ReadingOptions reading;
  std::string task, texts, data, output, heads, features;
  std::vector<BaselineSpec> baselines;
  FitTaskOptions how;
  std::optional<PolicyRequest> policy;
};

OrderedJson fit_json(const FitData& data, const FitResult& result, const OrderedJson& fitted) {
  OrderedJson j{{"task", data.source}, {"about", result.about}};
  j["split"] = data.has_evaluated ? OrderedJson(name_of(data.task->report)) : OrderedJson(nullptr);
  j["layers"] = data.task ? curve_json(result) : OrderedJson::array();
  j["baselines"] = data.task ? baselines_json(result) : OrderedJson::array();
  j["best_layer"] =
      data.task ? OrderedJson(result.layers[best_layer(result)]) : OrderedJson(nullptr);
  j["metric"] = data.task ? OrderedJson(name_of(data.task->metrics.front())) : OrderedJson(nullptr);
  j["notes"] = data.notes;
  j["policy"] = fitted;
  return j;
}

Report fit(const FitArgs& args, const Listener& listener) {
  OutputSet outputs;
  for (const std::string& output : {args.output, args.heads})
    if (!output.empty()) outputs.expect(output);
  FitData data =
      args.task.empty()
          ? fit_data(read_sentences(args.texts, "", Empty::kSkip,
                                    [&](const std::string& text) { listener.tell(text); }),
                     args.texts)
          : fit_data(find_task(args.task), find_data_root(args.data));
  const std::vector<FitBaseline> baselines = open_baselines(args.baselines, data);
  OpenModel model = open(args.source, listener);
  FeatureSource source(model, features_in(args.features, args.reading), listener);
  if (args.policy) exit_layers(args.policy->exits, source.n_layer());
  FitResult result = fit_task(data, baselines, args.how, source);
  OrderedJson fitted;
  if (args.policy) {
    const PolicyFile file = fit_exits(*args.policy, data, result, source);
    fitted = file.fitted;
    if (!args.output.empty()) write_policy_file(outputs.open(args.output), file);
  }
  if (!args.heads.empty()) write_heads(outputs.open(args.heads), result);
  outputs.commit();
  return {dump_json(fit_json(data, result, fitted)), fit_page(result)};
}

ExitTarget target_of(const std::string& kind, double value, double epsilon) {
  using Kind = ExitTarget::Kind;
  if (kind == "target_speed") return {Kind::kSpeed, value, 0};
  if (kind == "max_loss") return {Kind::kLoss, value, 0};
  if (kind == "risk_control") return {Kind::kRiskControl, value, 0};
  return {Kind::kGuarantee, value, epsilon};
}

Report py_fit(const Source& source, const ReadingOptions& reading, const std::string& task,
              const std::string& texts, const std::string& data, const std::string& output,
              const std::string& heads, const std::string& features, const Strings& compare_to,
              bool keep_case, bool split_punctuation, const std::string& post, size_t calibration,
              uint64_t seed, size_t n_resample, bool policy, const std::string& measure,
              const std::string& exits, const std::string& loss, size_t streak, double alpha,
              double tolerance, const std::string& target, double target_value, double epsilon,
              const std::string& command, nb::handle progress, nb::handle note) {
  FitArgs args{source, reading, task, texts, data, output, heads, features, {}, {}, {}};
  args.baselines = specs_of(compare_to, keep_case, split_punctuation);
  args.how = {.post = post,
              .calibration = calibration,
              .seed = seed,
              .n_resample = n_resample,
              .command = command};
  parse_postprocess(post);
  if (policy) {
    if (!measure.empty()) parse_measure(measure);
    parse_loss(loss, task.empty() ? nullptr : &find_task(task));
    args.policy = {.measure = measure,
                   .exits = exits,
                   .loss = loss,
                   .streak = streak,
                   .alpha = alpha,
                   .tolerance = tolerance,
                   .target = target_of(target, target_value, epsilon)};
  }
  return run_study<Report>(progress, note,
                           [&](const Listener& listener) { return fit(args, listener); });
}

// --- sweep

Report py_sweep(const Source& source, const ReadingOptions& reading, const Strings& tasks,
                const Strings& policies, const std::string& data, const std::string& folder,
                const std::string& features, const std::string& parts, const std::string& post,
                size_t max_train, size_t calibration, uint64_t seed, size_t n_point, size_t streak,
                size_t n_resample, bool timing, const std::string& command, nb::handle progress,
                nb::handle note) {
  RunSweepOptions options{.tasks = parse_tasks("task", joined(tasks)),
                          .policies = parse_policies(joined(policies)),
                          .task = {.data = data,
                                   .post = post,
                                   .max_train = max_train,
                                   .calibration = calibration,
                                   .seed = seed},
                          .n_point = n_point,
                          .streak = streak,
                          .n_resample = n_resample,
                          .timing = timing,
                          .parts = parts,
                          .command = command};
  parse_postprocess(post);
  return run_study<Report>(progress, note, [&](const Listener& listener) -> Report {
    OutputSet outputs;
    if (!folder.empty()) expect_sweep(outputs, folder);
    OpenModel model = open(source, listener);
    FeatureSource vectors(model, features_in(features, reading), listener);
    const SweepResult result = run_sweep(options, vectors);
    if (!folder.empty()) write_sweep(result, folder, outputs);
    return {dump_json(to_json(result)), to_html(result)};
  });
}

// --- advise

OrderedJson advise_json(const AdvisedPolicy& advised, const Task& task,
                        const std::vector<std::string>& notes) {
  OrderedJson j{{"task", std::string(task.name)},
                {"policy", advised.name},
                {"setting", advised.setting},
                {"kind", std::string(advised.file.kind())}};
  const auto figures = [](const AdviceFigures& f) {
    const auto estimate = [](const Estimate& e) {
      return OrderedJson{{"value", e.value}, {"low", e.low}, {"high", e.high}};
    };
    return OrderedJson{{"n", f.n},
                       {"saving", estimate(f.saving)},
                       {"loss", estimate(f.loss)},
                       {"differs", estimate(f.differs)}};
  };
  j["chosen_on"] = figures(advised.advice.chosen_on);
  if (advised.advice.held_out) j["held_out"] = figures(*advised.advice.held_out);
  j["evaluated"] = figures(advised.advice.evaluated);
  j["warnings"] = advised.warnings;
  j["fitted"] = advised.file.fitted;
  j["notes"] = notes;
  return j;
}

AdvicePromise promise_of(const std::string& name) {
  if (name == "quality") return AdvicePromise::kQuality;
  if (name == "answers") return AdvicePromise::kAnswers;
  FATHOM_ASSERT(name == "none");
  return AdvicePromise::kOptimistic;
}

Report py_advise(const Source& source, const ReadingOptions& reading, const std::string& task,
                 const Strings& policies, double max_loss, const std::string& promise,
                 double epsilon, const std::string& data, const std::string& output,
                 const std::string& features, const std::string& post, size_t max_train,
                 size_t calibration, uint64_t seed, size_t n_resample, const std::string& command,
                 nb::handle progress, nb::handle note) {
  const AdviseOptions options{
      .policies = parse_candidates(joined(policies)),
      .target = {.max_loss = max_loss, .promise = promise_of(promise), .epsilon = epsilon},
      .n_resample = n_resample,
      .task = {.data = data,
               .post = post,
               .max_train = max_train,
               .calibration = calibration,
               .seed = seed},
      .command = command};
  const Task& found = find_task(task);
  parse_postprocess(post);
  return run_study<Report>(progress, note, [&](const Listener& listener) -> Report {
    OutputSet outputs;
    if (!output.empty()) outputs.expect(output);
    const TaskData task_data(found, options.task, listener);
    OpenModel model = open(source, listener);
    FeatureSource vectors(model, features_in(features, reading), listener);
    for (const std::string& policy : options.policies)
      if (is_file(policy)) open_depth(policy, vectors.model());
    const PreparedTask prepared(task_data, options.task, vectors);
    const AdvisedPolicy advised = advise_task(prepared, options, vectors);
    if (!output.empty()) write_policy_file(outputs.open(output), advised.file);
    outputs.commit();
    return {dump_json(advise_json(advised, found, task_data.notes)),
            advise_page(advised, found, options.target)};
  });
}

// --- prune

Report py_prune(const Source& source, const ReadingOptions& reading, const std::string& texts,
                const Strings& tasks, const std::string& data, const std::string& output,
                const std::string& method, const std::string& objective, const std::string& unit,
                double keep, size_t n_remove, size_t n_protected, const std::string& reference,
                bool pooled_rows, size_t sample, size_t held_out, uint64_t seed,
                const std::string& command, nb::handle progress, nb::handle note) {
  const PruneOptions options{
      .size = {.unit = unit == "block" ? UnitKind::kBlock : UnitKind::kSublayer,
               .keep = keep,
               .n_remove = n_remove,
               .n_protected = n_protected},
      .method = parse_prune_method(method),
      .objective = parse_objective(objective),
      .pooled_rows = pooled_rows,
      .reference = reference,
      .seed = seed,
      .command = command};
  for (const std::string& task : tasks) find_task(task);
  const MaskSources sources{.texts = texts,
                            .tasks = tasks,
                            .data = data,
                            .sample = sample,
                            .held_out = held_out,
                            .seed = seed};
  return run_study<Report>(progress, note, [&](const Listener& listener) -> Report {
    OutputSet outputs;
    if (!output.empty()) outputs.expect(output);
    OpenModel model = open(source, listener);
    MaskCorpus corpus(model, reading.encode_options({0}), sources, listener);
    const PruneResult result = prune(corpus, options);
    if (!output.empty()) write_policy_file(outputs.open(output), result.file);
    outputs.commit();
    return {dump_json(to_json(result, corpus, output)), prune_page(result)};
  });
}

}  // namespace

void bind_study(nb::module_& m) {
  m.def("task_names", &task_names);
  m.def("evaluate", &py_evaluate, nb::kw_only(), "source"_a, "reading"_a, "layers"_a, "depth"_a,
        "tasks"_a, "data"_a, "split"_a, "sample"_a, "train_sample"_a.none(), "seed"_a,
        "n_resample"_a, "timing"_a, "n_repeat"_a, "program"_a, "compare_to"_a, "keep_case"_a,
        "split_punctuation"_a, "command"_a, "progress"_a, "note"_a);
  m.def("fit", &py_fit, nb::kw_only(), "source"_a, "reading"_a, "task"_a, "texts"_a, "data"_a,
        "output"_a, "heads"_a, "features"_a, "compare_to"_a, "keep_case"_a, "split_punctuation"_a,
        "post"_a, "calibration"_a, "seed"_a, "n_resample"_a, "policy"_a, "measure"_a, "exits"_a,
        "loss"_a, "streak"_a, "alpha"_a, "tolerance"_a, "target"_a, "target_value"_a, "epsilon"_a,
        "command"_a, "progress"_a, "note"_a);
  m.def("sweep", &py_sweep, nb::kw_only(), "source"_a, "reading"_a, "tasks"_a, "policies"_a,
        "data"_a, "folder"_a, "features"_a, "parts"_a, "post"_a, "max_train"_a, "calibration"_a,
        "seed"_a, "n_point"_a, "streak"_a, "n_resample"_a, "timing"_a, "command"_a, "progress"_a,
        "note"_a);
  m.def("advise", &py_advise, nb::kw_only(), "source"_a, "reading"_a, "task"_a, "policies"_a,
        "max_loss"_a, "promise"_a, "epsilon"_a, "data"_a, "output"_a, "features"_a, "post"_a,
        "max_train"_a, "calibration"_a, "seed"_a, "n_resample"_a, "command"_a, "progress"_a,
        "note"_a);
  m.def("prune", &py_prune, nb::kw_only(), "source"_a, "reading"_a, "texts"_a, "tasks"_a, "data"_a,
        "output"_a, "method"_a, "objective"_a, "unit"_a, "keep"_a, "n_remove"_a, "n_protected"_a,
        "reference"_a, "pooled_rows"_a, "sample"_a, "held_out"_a, "seed"_a, "command"_a,
        "progress"_a, "note"_a);
}

}  // namespace fathom::python
