// SPDX-License-Identifier: Apache-2.0
// fathom sweep: every depth policy at many operating points on many tasks, against fixed depth.
#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/numbers.h"
#include "cli/progress.h"
#include "cli/task_flags.h"
#include "eval/task_list.h"
#include "report/option_names.h"
#include "results/sweep_report.h"
#include "study/policy_names.h"
#include "study/run_sweep.h"

namespace fathom::cli {
namespace {

struct SweepFlags {
  TaskFlags task;
  OwnTaskFlags own;
  std::string tasks = "mrpc,stsb,sst2,cola,rte,sickr,sicke", policies = "all", output;
  std::string head_input = "layer,first+layer";
  size_t n_point = 12, time_points = 3, bootstrap = 2000, streak = 2, seeds = 1;
  double pass_seconds = 0.05;
  bool no_timing = false;

  RunSweepOptions options() const;
};

RunSweepOptions SweepFlags::options() const {
  return {.tasks = parse_tasks("--tasks", tasks),
          .policies = parse_policies(policies),
          .task = task.options(),
          .n_point = n_point,
          .streak = streak,
          .n_seed = seeds,
          .head_inputs = parse_head_inputs(head_input),
          .n_resample = bootstrap,
          .timing = !no_timing,
          .time_points = time_points,
          .pass_seconds = pass_seconds,
          .parts = std::filesystem::path(output) / "parts",
          .command = command_line()};
}

void print(const SweptTask& t) {
  fmt::print("{}: {} of {} rows of {}, heads on {}, thresholds on {}\n", t.title, t.metric,
             t.n_evaluated, t.split, t.rows().heads, t.rows().calibration);
  std::cout << to_text(score_table(t), 120) << '\n';
  if (const std::string line = headline_of(t); !line.empty()) fmt::print("{}\n", line);
  std::cout << to_text(baseline_table(t, true), 120) << to_text(kept_table(t, true), 120) << '\n'
            << std::flush;
}

void print(const SweepResult& result) {
  if (result.tasks.size() > 1) std::cout << "Mean over tasks\n" << to_text(mean_table(result), 120);
  std::cout << "Exits chosen on calibration rows against the best fixed layer\n"
            << to_text(answer_table(result), 120)
            << "What keeps 99 % of full depth on calibration rows\n"
            << to_text(cheaper_table(result), 120);
  if (const Table t = strongest_table(result); !t.rows().empty())
    std::cout << "Exits against the strongest fixed depth\n" << to_text(t, 120);
  for (const SweptTask& task : result.tasks)
    for (const std::string& note : task.notes) fmt::print("{}\n", note);
}

void run(const SweepFlags& flags) {
  const RunSweepOptions options = flags.options();
  flags.task.check();
  // A folder that does not exist is refused before the model is opened.
  tasks_in(options.tasks, find_data_root(options.tasks, options.task.data));
  const std::filesystem::path folder = flags.output;
  OutputSet outputs;
  expect_sweep(outputs, folder);
  const Listener listener = terminal_listener();
  OpenModel open = open_model(flags.task.features.model);
  FeatureSource source(open, flags.task.features.options(open.model.config(), folder / "features"),
                       listener);
  const SweepEvents events{
      .swept = [](const SweptTask& task) { print(task); },
      .missing = [](const std::string& line) { std::cerr << with_flags(line) << '\n'; }};
  SweepResult result = run_sweep(options, source, events);
  for (std::string& line : result.missing) line = with_flags(line);
  print(result);
  write_sweep(result, folder, outputs);
  fmt::print("{}\n", (folder / "report.html").string());
}

}  // namespace

void add_sweep(CLI::App& app) {
  auto flags = std::make_shared<SweepFlags>();
  CLI::App* command = app.add_subcommand(
      "sweep", "depth policies at many operating points against fixed depth, task by task");
  flags->task.add_to(*command);
  flags->own.add_to(*command);
  command->add_option("--tasks", flags->tasks, "as in fathom eval, with commas between, or all")
      ->capture_default_str();
  command
      ->add_option(
          "--policies", flags->policies,
          "with commas between: all, exit (every measure), exit:MEASURE, embedding, fixed, "
          "best-fixed, random, oracle, and policy files (mask:FILE insists on a kind)")
      ->capture_default_str();
  command->add_option("-o,--output", flags->output, "folder for results and reports")->required();
  command
      ->add_option("--seeds", flags->seeds,
                   "cuts of the training rows into those for heads, tune and calibration, from "
                   "--seed on; figures become means over them")
      ->capture_default_str()
      ->transform(whole_number(1, 1000));
  command
      ->add_option("--head-input", flags->head_input,
                   "what heads of fixed depths and exits read, with commas between: layer, "
                   "first+layer, concat (all layers so far), mean (of them, learned)")
      ->capture_default_str();
  command->add_option("--points", flags->n_point, "operating points of a policy")
      ->capture_default_str()
      ->transform(whole_number(8, 60));
  command->add_option("--streak", flags->streak, "exits in a row, for pcee and f-pabee")
      ->capture_default_str()
      ->transform(whole_number(1, 1000));
  command->add_option("--bootstrap", flags->bootstrap, "resamples for intervals")
      ->capture_default_str()
      ->transform(whole_number(1, 100000));
  command
      ->add_option("--time-points", flags->time_points,
                   "points of a policy that are timed; of fixed depth at least 12")
      ->capture_default_str()
      ->transform(whole_number(1, 60));
  command
      ->add_option("--pass-seconds", flags->pass_seconds,
                   "examples are timed that take full depth about so long")
      ->capture_default_str()
      ->transform(real_number({.at_least = 1e-4, .at_most = 60}));
  command->add_flag("--no-timing", flags->no_timing, "leave the clock out");
  command->footer(
      "A sweep that was stopped goes on where it was: give the same command again.\n"
      "Examples:\n"
      "  fathom sweep model/ --tasks mrpc,cola --data data/ -o sweep/\n"
      "  fathom sweep model/ --tasks trec,sicke --seeds 5 --head-input layer,first+layer,mean -o "
      "sweep/\n"
      "  fathom sweep model/ --tasks all --policies fixed,exit:entropy,oracle -o sweep/\n"
      "  fathom sweep model/ --tasks stsb --policies all,pruned.policy -o sweep/ --no-timing");
  command->callback([flags, command] {
    flags->own.spec.seed = flags->task.seed;
    flags->own.apply_to(*command, "--tasks", flags->tasks);
    run(*flags);
  });
}

}  // namespace fathom::cli
