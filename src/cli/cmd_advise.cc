// SPDX-License-Identifier: Apache-2.0
// fathom advise: the cheapest depth policy that keeps a task's quality.
#include <charconv>
#include <cmath>
#include <iostream>

#include "base/error.h"
#include "base/output_set.h"
#include "cli/commands.h"
#include "cli/numbers.h"
#include "cli/progress.h"
#include "cli/task_flags.h"
#include "results/advise_report.h"
#include "study/policy_names.h"
#include "study/sweep_clock.h"

namespace fathom::cli {
namespace {

struct AdviseFlags {
  TaskFlags task;
  OwnTaskFlags own;
  std::string name, policies = "fixed,exit", max_loss = "1%", output;
  double guarantee = 0, confidence = 0.95;
  bool optimistic = false, match_lengths = false, match_shift = false, json = false;
  size_t bootstrap = 2000;
};

// "1%" or "0.01".
double parse_share(const std::string& text) {
  std::string_view digits = text;
  const bool percent = digits.ends_with('%');
  if (percent) digits.remove_suffix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (percent) value /= 100;
  if (error != std::errc() || end != digits.data() + digits.size() || !(value >= 0 && value < 1))
    throw UsageError(
        concat("--max-loss: expected a share such as 1% or 0.01, below 1, got '", text, "'"));
  return value;
}

// 1 - share, as a person would write it: 0.05 and not 0.050000000000000044.
double rest_of(double share) { return std::round((1 - share) * 1e9) / 1e9; }

AdviceTarget target_of(const AdviseFlags& flags) {
  AdviceTarget target{.max_loss = parse_share(flags.max_loss),
                      .epsilon = rest_of(flags.confidence)};
  if (flags.optimistic) target.promise = AdvicePromise::kOptimistic;
  if (flags.guarantee > 0) {
    target.promise = AdvicePromise::kAnswers;
    target.epsilon = flags.guarantee;
  }
  if (target.promise != AdvicePromise::kOptimistic && target.max_loss == 0)
    throw UsageError(
        "--max-loss 0: no number of rows certifies it; expected a share above 0, or --optimistic");
  return target;
}

// Really run, beside full depth.
PointTime time_of(const AdvisedPolicy& advised, SweepClock& clock) {
  const Method* method = advised.method();
  if (advised.file_policy()) return clock.file(*advised.file_policy());
  if (!method || method->name == "fixed") return clock.baseline(advised.point());
  return clock.exit(method->rule, advised.point());
}

void run(const AdviseFlags& flags) {
  const AdviceTarget target = target_of(flags);
  const AdviseOptions options{.policies = parse_candidates(flags.policies),
                              .target = target,
                              .match_lengths = flags.match_lengths,
                              .match_shift = flags.match_shift,
                              .n_resample = flags.bootstrap,
                              .task = flags.task.options(),
                              .command = command_line()};
  if (flags.name.empty()) throw UsageError("expected --task NAME or --task-file FILE");
  const Task& task = find_task(flags.name);
  flags.task.check();
  const std::filesystem::path output = flags.output;
  OutputSet outputs;
  outputs.expect(output);
  const Listener listener = terminal_listener();
  const TaskData data(task, options.task, listener);
  std::vector<std::string> alike;
  candidates_for(options.policies, task, &alike);
  OpenModel open = open_model(flags.task.features.model);
  FeatureSource source(
      open, flags.task.features.options(open.model.config(), output.parent_path() / "features"),
      listener);
  for (const std::string& policy : options.policies)
    if (is_file(policy)) open_depth(policy, source.model());  // refuses a wrong one before the work
  const std::string resolution = to_text(resolution_before(data, options), task, target);
  if (!resolution.empty()) listener.tell(resolution);
  listener.tell(alike);
  const PreparedTask prepared(data, options.task, source);
  const AdvisedPolicy advised = advise_task(prepared, options, source);
  SweepClock clock(prepared, source, advised.layers.back());
  const PointTime timed = time_of(advised, clock);
  write_policy_file(outputs.open(output), advised.file);
  outputs.commit();
  const CommandPlaces places{flags.task.features.model.model, flags.output};
  if (flags.json) {
    std::cout << dump_json(to_json(advised, timed, task, places), 2) << '\n';
    return;
  }
  std::cout << to_text(advised, task, target) << to_text(timed);
  for (const std::string& note : data.notes) std::cout << note << '\n';
  std::cout << to_text(closing_of(advised, task, places));
}

void add_target_flags(CLI::App& command, AdviseFlags& flags) {
  command
      .add_option("--max-loss", flags.max_loss,
                  "share of the quality of full depth that may be lost")
      ->capture_default_str();
  auto* confidence =
      command
          .add_option("--confidence", flags.confidence,
                      "probability with which the loss is at most --max-loss, for rows like the "
                      "calibration rows")
          ->capture_default_str()
          ->transform(real_number({.at_least = 0.5, .at_most = 0.999999}));
  auto* guarantee =
      command
          .add_option(
              "--guarantee", flags.guarantee,
              "EPSILON: instead, answers differ from those of full depth by at most --max-loss "
              "(mean over examples) with probability 1 - EPSILON")
          ->transform(real_number({.at_least = 1e-9, .at_most = 0.5}))
          ->excludes(confidence);
  command
      .add_flag("--optimistic", flags.optimistic,
                "promise nothing: choose by the mean loss on one half of the calibration rows")
      ->excludes(confidence)
      ->excludes(guarantee);
}

}  // namespace

void add_advise(CLI::App& app) {
  auto flags = std::make_shared<AdviseFlags>();
  CLI::App* command =
      app.add_subcommand("advise", "the cheapest depth policy that keeps a task's quality");
  flags->task.add_to(*command);
  flags->own.add_to(*command);
  command->add_option("--task", flags->name, "as in fathom eval");
  add_target_flags(*command, *flags);
  auto* lengths =
      command->add_flag("--match-lengths", flags->match_lengths,
                        "draw the calibration rows again, so that their lengths are distributed as "
                        "those of the rows that are reported");
  command
      ->add_flag("--match-shift", flags->match_shift,
                 "the same by length and by confidence at layer 0 and at the last, with a density "
                 "ratio that a classifier estimates")
      ->excludes(lengths);
  command
      ->add_option("--policies", flags->policies,
                   "what to choose from, with commas between: fixed, exit (every measure), "
                   "exit:MEASURE, policy files (mask:FILE insists on a kind)")
      ->capture_default_str();
  command->add_option("-o,--output", flags->output, "policy file for --depth")->required();
  command->add_flag("--json", flags->json, "machine-readable");
  command->add_option("--bootstrap", flags->bootstrap, "resamples for intervals")
      ->capture_default_str()
      ->transform(whole_number(1, 100000));
  command->footer(
      "A policy is taken where an upper bound of its loss on the calibration rows is at most\n"
      "--max-loss. The first lines show what so many rows can certify. Savings and losses have\n"
      "95 % intervals, on the calibration rows and on the reported split. A fixed depth is "
      "written\n"
      "as a mask that keeps the first blocks; fathom policy show explains it.\n"
      "Examples:\n"
      "  fathom advise model/ --task mrpc --max-loss 1% -o mrpc.policy\n"
      "  fathom advise model/ --task sst2 --max-loss 5% --guarantee 0.05 -o sst2.policy\n"
      "  fathom advise model/ --task sst2 --max-loss 2% --calibrate-on sst-binary -o sst2.policy\n"
      "  fathom advise model/ --task sst2 --max-loss 5% --match-shift -o sst2.policy\n"
      "  fathom advise model/ --task stsb --policies fixed,mask:pruned.policy -o stsb.policy\n"
      "  fathom advise model/ --task-file reviews.csv --text text --label stars -o stars.policy\n"
      "  fathom embed model/ -i sentences.txt -o e.npy --depth mrpc.policy");
  command->callback([flags, command] {
    flags->own.spec.seed = flags->task.seed;
    flags->own.apply_to(*command, "--task", flags->name);
    run(*flags);
  });
}

}  // namespace fathom::cli
