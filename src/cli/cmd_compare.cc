// SPDX-License-Identifier: Apache-2.0
// fathom compare: two models, or two settings of one, with paired differences.
#include <fmt/format.h>

#include <iostream>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/numbers.h"
#include "cli/progress.h"
#include "cli/task_flags.h"
#include "eval/task_list.h"
#include "results/compare_report.h"

namespace fathom::cli {
namespace {

// What the second side may have of its own; "": as the first.
struct Other {
  std::string model, layers, pool, norm, scan, dtype;
};

struct CompareFlags {
  ModelFlags model;
  EncodeFlags encode;
  OwnTaskFlags own;
  Other other;
  std::string task = "mrpc", data, split, out = "compared";
  size_t n_resample = 2000;
  uint64_t seed = 1;
};

// A side: its model and how it reads.
struct Side {
  ModelFlags model;
  EncodeFlags encode;
  std::string name;
};

Side second_of(const CompareFlags& flags) {
  Side b{flags.model, flags.encode, flags.other.model};
  b.model.model = flags.other.model;
  const auto take = [&](const char* flag, const std::string& value, std::string& into) {
    if (value.empty()) return;
    into = value;
    b.name += concat(" ", flag, " ", value);
  };
  take("--layers", flags.other.layers, b.encode.layers);
  take("--pool", flags.other.pool, b.encode.pool);
  take("--norm", flags.other.norm, b.encode.norm);
  take("--scan", flags.other.scan, b.encode.scan);
  take("--dtype", flags.other.dtype, b.model.dtype);
  return b;
}

std::vector<EvalTask> evaluate_side(const Side& side, const CompareFlags& flags,
                                    std::span<const Task* const> chosen, const Listener& listener) {
  EvalOptions how{.data = flags.data,
                  .seed = flags.seed,
                  .n_resample = flags.n_resample,
                  .timing = false,
                  .features = std::filesystem::path(flags.out) / "features",
                  .command = command_line(),
                  .model = side.model.model,
                  .pooling = side.encode.pooling(),
                  .norm = side.encode.norm,
                  .scan = side.encode.scan};
  if (!flags.split.empty()) how.split = parse_split(flags.split);
  std::vector<MissingTask> missing;
  std::vector<EvalTask> tasks = load_eval_tasks(chosen, how, listener, missing);
  OpenModel open = open_model(side.model, [&](const Config& c) { return side.encode.n_block(c); });
  const Encoder encoder(open.model, side.encode.options(open.model.config()));
  for (EvalTask& task : tasks) evaluate(task, how, open, encoder, {}, listener);
  return tasks;
}

void run(const CompareFlags& flags) {
  const Side a{flags.model, flags.encode, flags.model.model}, b = second_of(flags);
  a.encode.check();
  b.encode.check();
  const std::vector<const Task*> chosen = parse_tasks("--task", flags.task);
  const std::filesystem::path out = flags.out;
  OutputSet outputs;
  expect_comparison(outputs, out);
  const Listener listener = terminal_listener();
  const std::vector<EvalTask> first = evaluate_side(a, flags, chosen, listener),
                              second = evaluate_side(b, flags, chosen, listener);
  FATHOM_REQUIRE(!first.empty(), "--task ", flags.task, ": none of these tasks has data");
  const ComparedSides sides{.a = a.name,
                            .b = b.name == a.name ? b.name + " (again)" : b.name,
                            .command = command_line(),
                            .settings_a = first[0].result.settings,
                            .settings_b = second[0].result.settings,
                            .n_layer_a = first[0].result.n_layer,
                            .n_layer_b = second[0].result.n_layer};
  ThreadPool pool(flags.model.n_thread());
  std::vector<Comparison> found;
  for (size_t i = 0; i < first.size(); ++i) {
    found.push_back(compare(first[i], second[i], {.n_resample = flags.n_resample}, pool));
    std::cout << to_text(found.back(), sides);
  }
  write_comparison(found, sides, out, outputs);
  fmt::print("{}\n", (out / "report.html").string());
}

}  // namespace

void add_compare(CLI::App& app) {
  auto flags = std::make_shared<CompareFlags>();
  flags->encode.layers = "all";
  CLI::App* command =
      app.add_subcommand("compare", "two models, or two settings of one, on the same rows");
  flags->model.add_to(*command);
  Other& b = flags->other;
  command->add_option("model_b", b.model, "the second model, or the first again")
      ->required()
      ->type_name("MODEL_B");
  command->add_option("--task", flags->task, "as in fathom eval")->capture_default_str();
  command->add_option("--data", flags->data,
                      "folder that holds glue/, sts/, ... [$FATHOM_SHARED/data, ../shared/data]");
  command->add_option("--split", flags->split, "as in fathom eval");
  command->add_option("--seed", flags->seed, "of samples and splits")->transform(whole_number());
  command->add_option("--bootstrap", flags->n_resample, "resamples")
      ->capture_default_str()
      ->transform(whole_number(1, 1000000));
  flags->own.add_to(*command);
  command->add_option("-o,--out", flags->out, "folder for results.json, results.csv, report.html")
      ->capture_default_str();
  flags->encode.add_to(*command);
  command->add_option("--layers-b", b.layers, "of the second side alone, as the next four");
  command->add_option("--pool-b", b.pool, "pooling");
  command->add_option("--norm-b", b.norm, "norm");
  command->add_option("--scan-b", b.scan, "scan");
  command->add_option("--dtype-b", b.dtype, "dtype");
  command->footer(
      "Differences are the second minus the first, on the same bootstrap resamples of rows.\n"
      "Examples:\n"
      "  fathom compare models/finch-lm models/finch-embed --task stsb\n"
      "  fathom compare model/ model/ --task mrpc --pool-b last\n"
      "  fathom compare a/ b/ --task-file reviews.csv --text text --label stars");
  command->callback([flags, command] {
    flags->own.spec.seed = flags->seed;
    flags->own.apply_to(*command, "--task", flags->task);
    run(*flags);
  });
}

}  // namespace fathom::cli
