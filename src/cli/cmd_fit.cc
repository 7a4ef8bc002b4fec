// SPDX-License-Identifier: Apache-2.0
// fathom fit: heads at every layer and an early-exit policy, from one pass over the training texts.
#include <fmt/format.h>

#include <charconv>
#include <iostream>
#include <optional>

#include "base/error.h"
#include "base/list.h"
#include "base/output_set.h"
#include "cli/commands.h"
#include "cli/numbers.h"
#include "cli/progress.h"
#include "cli/task_flags.h"
#include "eval/task_list.h"
#include "results/fit_report.h"
#include "study/fit_task.h"
#include "study/small_data.h"

namespace fathom::cli {
namespace {

struct FitFlags {
  FeatureFlags features;
  BaselineFlags baselines;
  OwnTaskFlags own;
  std::string task, texts, field, output, heads, submit;
  std::string post = "none", measure, loss = "consistency", exits = "all";
  std::string guarantee, calibrate_on;
  double target_speed = 0, max_loss = -1, risk_control = -1, tolerance = 0.05, alpha = 1;
  size_t calibration = 2, streak = 1, n_resample = 2000;
  uint64_t seed = 1;
  bool json = false;
};

ExitTarget parse_target(const FitFlags& flags) {
  using Kind = ExitTarget::Kind;
  if (flags.target_speed > 0) return {Kind::kSpeed, flags.target_speed, 0};
  if (flags.max_loss >= 0) return {Kind::kLoss, flags.max_loss, 0};
  if (flags.risk_control >= 0) return {Kind::kRiskControl, flags.risk_control, 0};
  const std::string text = flags.guarantee.empty() ? "0.05,0.05" : flags.guarantee;
  const std::vector<std::string_view> parts = split_commas(text);
  ExitTarget target;
  const auto read = [](std::string_view part, double& value) {
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    return error == std::errc() && end == part.data() + part.size() && value > 0 && value < 1;
  };
  if (parts.size() != 2 || !read(parts[0], target.value) || !read(parts[1], target.epsilon))
    throw UsageError(
        concat("--guarantee: expected two numbers between 0 and 1, such as 0.05,0.05 "
               "(loss, chance to fail), got '",
               text, "'"));
  return target;
}

// Cached vectors lie beside what is written, unless a flag says otherwise.
std::filesystem::path features_beside(const FitFlags& flags) {
  const std::string& output = flags.output.empty() ? flags.heads : flags.output;
  return std::filesystem::path(output).parent_path() / "features";
}

void check(const FitFlags& flags) {
  if (flags.task.empty() == flags.texts.empty())
    throw UsageError("expected either --task NAME, --task-file FILE or --texts FILE");
  if (flags.output.empty() && flags.heads.empty())
    throw UsageError("expected --output FILE (an exit policy), --heads FILE, or both");
  if (!flags.measure.empty()) parse_measure(flags.measure);
  parse_target(flags);
  parse_loss(flags.loss, flags.task.empty() ? nullptr : &find_task(flags.task));
  parse_postprocess(flags.post);
  flags.features.check();
  if (!flags.submit.empty() && flags.task.empty())
    throw UsageError("--submit: needs a --task of GLUE");
  if (!flags.calibrate_on.empty() && (flags.task.empty() || flags.calibration == 0))
    throw UsageError("--calibrate-on: needs a --task and a --calibration above 0");
  if (flags.task.empty() && flags.baselines.any())
    throw UsageError("--compare-to, --bag, --glove: need a --task, whose heads they get");
}

PolicyRequest request_of(const FitFlags& flags) {
  return {.measure = flags.measure,
          .exits = flags.exits,
          .loss = flags.loss,
          .streak = flags.streak,
          .alpha = flags.alpha,
          .tolerance = flags.tolerance,
          .target = parse_target(flags)};
}

FitData load_data(const FitFlags& flags) {
  if (flags.task.empty())
    return fit_data(read_sentences(flags.texts, flags.field, Empty::kSkip, tell_user), flags.texts);
  const Task* const task = &find_task(flags.task);
  const std::filesystem::path root = find_data_root({&task, 1}, flags.features.data);
  FitData data = fit_data(*task, root);
  if (!flags.calibrate_on.empty()) calibrate_on(data, flags.calibrate_on, root, flags.seed);
  return data;
}

void print_figures(const FitData& data, const FitResult& result) {
  if (data.task) {
    fmt::print("{}: heads on {} rows{}\n", data.task->title, result.rows.heads.size(),
               data.has_evaluated
                   ? fmt::format(", figures on {} of {}", data.evaluated.pairs.size(),
                                 name_of(data.task->report))
                   : std::string());
    std::cout << to_text(curve_table(result), 120);
  }
  for (const std::string& note : data.notes) fmt::print("{}\n", note);
}

// What the policy was chosen for, printed at the end.
Closing write_policy(const FitFlags& flags, const FitData& data, FitResult& result,
                     FeatureSource& source, OutputSet& outputs, OrderedJson& json) {
  PolicyRequest request = request_of(flags);
  const AdaptedTarget target =
      adapt_target(request.target, !flags.guarantee.empty(), result.rows.calibration.size());
  if (!target.note.empty()) tell_user(target.note);
  request.target = target.target;
  const PolicyFile file = fit_exits(request, data, result, source);
  write_policy_file(outputs.open(flags.output), file);
  json["output"] = flags.output;
  json["fitted"] = file.fitted;
  return closing_of(file, target.target, data.task, {flags.features.model.model, flags.output});
}

void write_submissions(const FitFlags& flags, std::span<const Dataset> submissions,
                       const FitResult& result, FeatureSource& source, OutputSet& outputs) {
  for (const Dataset& rows : submissions) {
    const auto path = std::filesystem::path(flags.submit) / rows.task->submission;
    outputs.write(path, submission_text(*rows.task, answer(rows, result, source)));
    if (!flags.json) fmt::print("{}: layer {}\n", path.string(), result.layers[best_layer(result)]);
  }
}

void run(const FitFlags& flags) {
  check(flags);
  OutputSet outputs;
  for (const std::string& output : {flags.output, flags.heads})
    if (!output.empty()) outputs.expect(output);
  FitData data = load_data(flags);
  tell(data.notes);
  const std::vector<FitBaseline> baselines = open_baselines(flags.baselines.specs(), data);
  std::vector<std::string> submission_notes;
  std::vector<Dataset> submissions;
  if (!flags.submit.empty())
    submissions = load_submissions(*data.task, find_data_root({&data.task, 1}, flags.features.data),
                                   submission_notes);
  for (const Dataset& rows : submissions) outputs.expect_in(flags.submit, {rows.task->submission});
  const Listener listener = terminal_listener();
  OpenModel open = open_model(flags.features.model);
  FeatureSource source(open, flags.features.options(open.model.config(), features_beside(flags)),
                       listener);
  exit_layers(flags.exits, source.n_layer());  // refuses wrong ones before the work
  FitResult result = fit_task(data, baselines,
                              {.post = flags.post,
                               .calibration = flags.calibration,
                               .seed = flags.seed,
                               .n_resample = flags.n_resample,
                               .command = command_line()},
                              source);
  if (!flags.json) print_figures(data, result);
  OrderedJson json = to_json(result, data.notes);
  std::optional<Closing> closing;
  if (!flags.output.empty()) closing = write_policy(flags, data, result, source, outputs, json);
  if (!flags.heads.empty()) {
    write_heads(outputs.open(flags.heads), result);
    json["heads"] = flags.heads;
    if (!closing && data.task)
      closing = closing_of(result, data.evaluated.pairs.size(),
                           {flags.features.model.model, flags.heads});
  }
  write_submissions(flags, submissions, result, source, outputs);
  for (const std::string& note : submission_notes) tell_user(note);
  outputs.commit();
  if (closing) json["closing"] = to_json(*closing);
  std::cout << (flags.json ? dump_json(json, 2) + '\n' : closing ? to_text(*closing) : "");
}

void add_data_flags(CLI::App& command, FitFlags& flags) {
  command.add_option("--task", flags.task, task_names());
  command.add_option("--texts", flags.texts,
                     "instead of a task: sentences without labels, one a line");
  command.add_option("--field", flags.field, "of --texts: the texts' column or field");
  flags.own.add_to(command);
  command.add_option("-o,--output", flags.output, "policy file for --depth FILE");
  command.add_option("--heads", flags.heads,
                     "all heads, prototypes, post-processings: a safetensors file");
  command.add_option("--submit", flags.submit, "folder for GLUE's submission files");
  command.add_flag("--json", flags.json, "machine-readable");
}

void add_calibration_flags(CLI::App& command, FitFlags& flags) {
  command
      .add_option("--calibration", flags.calibration,
                  "tenths of the training rows kept for thresholds (a further one for "
                  "temperatures); 0: all rows fit heads")
      ->capture_default_str()
      ->transform(whole_number(0, 8));
  command.add_option("--calibrate-on", flags.calibrate_on,
                     "TASK[:N]: calibrate on N (1000) training rows of this task instead, which "
                     "are like those to come: sst-binary's sentences for sst2");
}

void add_target_flags(CLI::App& command, FitFlags& flags) {
  auto* speed = command
                    .add_option("--target-speed", flags.target_speed,
                                "as many times less work, 2 say, than full depth")
                    ->transform(real_number({.at_least = 1, .at_most = 1000}));
  auto* loss = command
                   .add_option("--max-loss", flags.max_loss,
                               "mean loss on calibration rows, without a guarantee")
                   ->transform(real_number({.at_least = 0, .at_most = 1}));
  auto* risk = command
                   .add_option("--risk-control", flags.risk_control,
                               "expected loss of a new example (conformal risk control)")
                   ->transform(real_number({.at_least = 0, .at_most = 1}));
  auto* guarantee = command.add_option("--guarantee", flags.guarantee,
                                       "DELTA,EPSILON: loss at most DELTA with probability "
                                       "1 - EPSILON (Learn-then-Test) [0.05,0.05]");
  speed->excludes(loss)->excludes(risk)->excludes(guarantee);
  loss->excludes(risk)->excludes(guarantee);
  risk->excludes(guarantee);
}

}  // namespace

void add_fit(CLI::App& app) {
  auto flags = std::make_shared<FitFlags>();
  CLI::App* command =
      app.add_subcommand("fit", "heads at every layer and an early-exit policy for a task");
  flags->features.add_to(*command);
  add_data_flags(*command, *flags);
  flags->baselines.add_to(*command);
  command
      ->add_option("--post", flags->post,
                   "post-processing: none, centre, scale, abtt[:D], whiten[:K], soft:A[:K]")
      ->capture_default_str();
  command->add_option("--measure", flags->measure,
                      measure_names() + " [entropy; saturation where there are no classes]");
  command
      ->add_option("--streak", flags->streak,
                   "exits in a row, for pcee, f-pabee, score and, of scores, patience")
      ->capture_default_str()
      ->transform(whole_number(1, 1000));
  command->add_option("--alpha", flags->alpha, "weight of the distances, for prototype")
      ->capture_default_str()
      ->transform(real_number({.at_least = 0}));
  command->add_option("--exits", flags->exits, "layers at which texts may stop, or all")
      ->capture_default_str();
  command->add_option("--loss", flags->loss, "consistency (with full depth) or risk")
      ->capture_default_str();
  command
      ->add_option("--tolerance", flags->tolerance,
                   "loss up to which a vector or score counts as right, for learned")
      ->capture_default_str()
      ->transform(real_number({.at_least = 0, .at_most = 1}));
  add_target_flags(*command, *flags);
  add_calibration_flags(*command, *flags);
  command->add_option("--seed", flags->seed, "of the cuts")
      ->capture_default_str()
      ->transform(whole_number());
  command->add_option("--bootstrap", flags->n_resample, "resamples, for the 95 % intervals")
      ->capture_default_str()
      ->transform(whole_number(1, 1000000));
  command->footer(
      "Cached vectors make a second run start where the first one stopped, whatever stopped it.\n"
      "Examples:\n"
      "  fathom fit model/ --task mrpc --data data/ -o mrpc.policy --guarantee 0.05,0.05\n"
      "  fathom fit model/ --task sst2 -o sst2.policy --measure learned --target-speed 2\n"
      "  fathom fit model/ --task cola --heads cola.safetensors --calibration 0 --submit out/\n"
      "  fathom fit model/ --task trec --heads trec.safetensors --bag bag/ --glove words.txt\n"
      "  fathom fit model/ --task-file reviews.csv --text text --label stars -o stars.policy\n"
      "  fathom fit model/ --texts sentences.txt -o any.policy --post centre --max-loss 0.05\n"
      "  fathom embed model/ -i sentences.txt -o e.npy --depth any.policy");
  command->callback([flags, command] {
    flags->own.spec.seed = flags->seed;
    flags->own.apply_to(*command, "--task", flags->task);
    run(*flags);
  });
}

}  // namespace fathom::cli
