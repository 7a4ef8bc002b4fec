// SPDX-License-Identifier: Apache-2.0
// fathom eval: quality and cost at every depth on a task with labelled sentence pairs.
#include <fmt/format.h>

#include <iostream>
#include <iterator>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/depth_flag.h"
#include "cli/numbers.h"
#include "cli/progress.h"
#include "cli/task_flags.h"
#include "encode/recommended.h"
#include "eval/task_list.h"
#include "results/eval_report.h"
#include "results/eval_summary.h"
#include "results/eval_verdict.h"
#include "results/preset_report.h"

namespace fathom::cli {
namespace {

struct EvalFlags {
  ModelFlags model;
  EncodeFlags encode;
  DepthFlag depth;
  BaselineFlags baselines;
  OwnTaskFlags own;
  std::string task = "mrpc", data, split, out = "results", table = "text", preset;
  size_t sample = 0, n_resample = 2000, n_repeat = 5;
  std::optional<size_t> train_sample;
  uint64_t seed = 1;
  bool no_timing = false, write_recommendation = false;
};

EvalOptions options_of(const EvalFlags& flags) {
  EvalOptions options{
      .data = flags.data,
      .sample = flags.sample,
      .train_sample = flags.train_sample,
      .seed = flags.seed,
      .n_resample = flags.n_resample,
      .timing = !flags.no_timing,
      .n_repeat = flags.n_repeat,
      .baselines = flags.baselines.specs(),
      .features = std::filesystem::path(flags.out) / "features",
      .memory = std::make_shared<MemoryMeter>("/proc/self/exe", flags.model.open_options()),
      .parts = std::make_shared<EvalParts>(std::filesystem::path(flags.out) / "parts"),
      .command = command_line(),
      .model = flags.model.model,
      .pooling = flags.encode.pooling(),
      .norm = flags.encode.norm,
      .scan = flags.encode.scan};
  if (!flags.split.empty()) options.split = parse_split(flags.split);
  return options;
}

void check_recommendation(const EvalFlags& flags) {
  if (!flags.depth.is_full() || !flags.encode.head.empty() || !flags.encode.post.empty())
    throw UsageError(
        "--write-recommendation: expected neither --depth, --head nor --post: it is of layers");
  // Throws before the work if the file cannot take a recommendation.
  merged_recommendation(recommendation_path(flags.model.model), OrderedJson::object());
}

void recommend(const EvalFlags& flags, const EvalResult& result, const EncodeOptions& how,
               OutputSet& outputs) {
  if (!result.verdict)
    throw UsageError("--write-recommendation: expected a task and two layers at least to compare");
  const std::filesystem::path file = recommendation_path(flags.model.model);
  outputs.write(file,
                dump_json(merged_recommendation(file, recommendation_json(result, how)), 2) + "\n");
  outputs.commit();
  fmt::print("{}: layer {}\n", file.string(),
             layer_name(result.verdict->best.layer, result.n_layer));
}

// A paper's experiment: its layers, its rows, its table.
void run_preset(const EvalFlags& flags) {
  const TableForm form = parse_table_form(flags.table);
  flags.encode.check();
  const Preset& preset = find_preset(flags.preset);
  const EvalOptions how = preset_options(preset, options_of(flags));
  OutputSet outputs;
  expect_report(outputs, flags.out);
  const PresetResult result = run_preset(
      preset, how, [&] { return open_model(flags.model); },
      [&](const Config& c) { return flags.encode.options(c); }, terminal_listener());
  write_preset(result, flags.out, outputs);
  how.parts->remove();
  std::cout << to_text(result, form) << (std::filesystem::path(flags.out) / "report.html").string()
            << '\n';
}

void run(const EvalFlags& flags) {
  // Wrong flags are told before minutes of work.
  const TableForm form = parse_table_form(flags.table);
  flags.encode.check();
  if (flags.write_recommendation) check_recommendation(flags);
  const std::vector<const Task*> chosen = parse_tasks("--task", flags.task);
  const EvalOptions how = options_of(flags);
  const Listener listener = terminal_listener();
  std::vector<MissingTask> missing;
  std::vector<EvalTask> tasks = load_eval_tasks(chosen, how, listener, missing);
  FATHOM_REQUIRE(!tasks.empty(), "--task ", flags.task, ": none of these tasks has data in ",
                 find_data_root(chosen, flags.data).string());
  const std::filesystem::path out = flags.out;
  const bool several = tasks.size() + missing.size() > 1;
  OutputSet outputs;
  for (const EvalTask& t : tasks) expect_report(outputs, several ? out / t.result.task : out);
  if (several) expect_summary(outputs, out);
  evaluate_baselines(tasks, how);
  OpenModel open = open_model(
      flags.model, [&](const Config& c) { return flags.depth.n_block(flags.encode, c); });
  EncodeOptions options = flags.encode.options(open.model.config());
  const DepthChoice depth = flags.depth.open(open.model, options);
  const Encoder encoder(open.model, options, depth.policy.get());
  std::vector<EvalResult> results;
  for (EvalTask& task : tasks) {
    evaluate(task, how, open, encoder, depth, listener);
    write_report(task.result, several ? out / task.result.task : out, outputs);
    std::cout << to_text(task.result, form);
    results.push_back(std::move(task.result));
  }
  if (flags.write_recommendation) recommend(flags, results.front(), encoder.options(), outputs);
  if (several) {
    write_summary(results, missing, out, outputs);
    if (results.size() > 1) std::cout << to_text(tasks_table(results), 140);
    for (const MissingTask& m : missing) std::cout << m.title << ": " << m.why << '\n';
  }
  how.parts->remove();
  std::cout << (out / "report.html").string() << '\n';
}

void add_memory_command(CLI::App& app) {
  // What study/own_process.h starts.
  app.add_subcommand(kMemoryCommand, "peak memory of one system")->group("")->callback([] {
    const std::string job{std::istreambuf_iterator<char>(std::cin), {}};
    std::cout << dump_json(run_memory_job(parse_ordered_json(job, "standard input"))) << '\n';
  });
}

// Which rows, and what is made of them.
void add_rows_to(CLI::App& command, EvalFlags& flags) {
  command
      .add_option("--task", flags.task,
                  "one or several with commas between, or all: " + task_names())
      ->capture_default_str();
  command.add_option("--preset", flags.preset,
                     "arxiv-2502.14620: that paper's experiment beside its figures, on MRPC; sets "
                     "--task, --split, --layers and --train-sample");
  command.add_option("--data", flags.data,
                     "folder that holds glue/, sts/, sick/ [$FATHOM_SHARED/data, ../shared/data]");
  command.add_option("--split", flags.split,
                     "train, validation or test [validation; test for STS12 to STS16]");
  command.add_option("--sample", flags.sample, "evaluate only this many pairs of the split")
      ->transform(whole_number(1));
  command.add_option("--seed", flags.seed, "of the samples")
      ->capture_default_str()
      ->transform(whole_number());
  command
      .add_option("--train-sample", flags.train_sample,
                  "choose thresholds and the layer on this many train pairs; fit probes on so many "
                  "rows; 0: do without [all; 1000 of graded pairs; 5000 for probes]")
      ->transform(whole_number());
  command.add_flag("--write-recommendation", flags.write_recommendation,
                   "write the best layer into fathom.json beside the model: embed then uses it");
}

}  // namespace

void add_eval(CLI::App& app) {
  auto flags = std::make_shared<EvalFlags>();
  flags->encode.layers = "all";
  CLI::App* command = app.add_subcommand("eval", "quality and cost at every depth on a task");
  flags->model.add_to(*command);
  add_rows_to(*command, *flags);
  flags->own.add_to(*command);
  flags->baselines.add_to(*command);
  command->add_option("--bootstrap", flags->n_resample, "resamples")
      ->capture_default_str()
      ->transform(whole_number(1, 1000000));
  command->add_option("--table", flags->table, "on the terminal: text, markdown or latex")
      ->capture_default_str();
  command->add_option("--repeats", flags->n_repeat, "of a timing: median and quartiles")
      ->capture_default_str()
      ->transform(whole_number(1, 1000));
  command->add_flag("--no-timing", flags->no_timing, "leave time and peak memory out of the cost");
  command->add_option("-o,--out", flags->out, "folder for results.json, results.csv, report.html")
      ->capture_default_str();
  flags->encode.add_to(*command);
  flags->depth.add_to(*command);
  command->footer(
      "Layers: 0 = after ln0, i = after block i, final = ln_out of the last block.\n"
      "An evaluation that was stopped goes on where it was: give the same command again.\n"
      "Examples:\n"
      "  fathom eval models/finch-embed --preset arxiv-2502.14620 --glove models/words-50d.txt\n"
      "  fathom eval v6-Finch-1B6-HF/ --task mrpc --data data/ --glove glove.6B.50d.txt "
      "--out results/\n"
      "  fathom eval model/ --split train --sample 1000 --seed 1 --layers 1,3,5,7,9,11\n"
      "  fathom eval model/ --task stsb --depth exit:saturation.policy\n"
      "  fathom eval model/ --pool state-rows --layers 1-12\n"
      "  fathom eval model/ --task-file reviews.csv --text text --label stars -o reviews/\n"
      "  fathom eval model/ --task stsb --write-recommendation\n"
      "  fathom eval model/ --task mrpc,stsb,sts12 --no-timing   # a folder for each in results/");
  command->callback([flags, command] {
    flags->own.spec.seed = flags->seed;
    flags->own.apply_to(*command, "--task", flags->task);
    if (flags->preset.empty()) return run(*flags);
    for (const char* laid_down : {"--task", "--task-file", "--split", "--layers", "--sample",
                                  "--train-sample", "--depth", "--write-recommendation"})
      if (command->count(laid_down) > 0)
        throw UsageError(concat(laid_down, ": --preset ", flags->preset, " sets it; leave it out"));
    run_preset(*flags);
  });
  add_memory_command(app);
}

}  // namespace fathom::cli
