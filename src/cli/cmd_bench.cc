// SPDX-License-Identifier: Apache-2.0
// fathom bench: how fast a model embeds here, and where the time goes.
#include <filesystem>
#include <iostream>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/numbers.h"
#include "cli/progress.h"
#include "results/bench_report.h"
#include "text/sentences.h"

namespace fathom::cli {
namespace {

struct BenchFlags {
  ModelFlags model;    // but for dtype and threads, which are lists here
  EncodeFlags encode;  // batch_tokens: 0 if not given
  std::string dtypes, threads, tokens = "1,32,128,512,2048", by = "median";
  std::string input, ids_file, field;
  size_t length = 32;
  BenchOptions bench;
  bool no_ceiling = false, json = false;
};

// What the flags say, before anything is read.
BenchPlan plan_of(const BenchFlags& flags) {
  constexpr size_t kMaxThreads = 1024, kMaxTokens = size_t{1} << 20;
  flags.encode.check();
  BenchPlan plan{.open = flags.model.open_options(),
                 .length = flags.length,
                 .batch_tokens = flags.encode.batch_tokens,
                 .encode = [&flags](const Config& c) { return flags.encode.options(c); },
                 .bench = flags.bench,
                 .command = command_line()};
  const std::vector<std::string_view> dtypes = parse_items("dtype", flags.dtypes);
  fathom::backend(flags.model.backend);  // refuses another name
  for (std::string_view dtype : dtypes) plan.dtypes.push_back(parse_compute(std::string(dtype)));
  plan.threads = flags.threads.empty() ? std::vector<size_t>{available_threads()}
                                       : parse_counts("threads", flags.threads, kMaxThreads);
  const bool has_file = !flags.input.empty() || !flags.ids_file.empty();
  if (flags.tokens != "none")
    plan.tokens = parse_counts("tokens", flags.tokens, kMaxTokens);
  else if (!has_file)
    throw UsageError("--tokens none: expected a file then: -i FILE or --ids-file FILE");
  plan.statistic = parse_statistic(flags.by);
  plan.bench.ceiling = !flags.no_ceiling;
  return plan;
}

std::string file_name(const std::string& path) {
  return path == "-" ? path : std::filesystem::path(path).filename().string();
}

void run(const BenchFlags& flags) {
  BenchPlan plan = plan_of(flags);
  if (!flags.input.empty())
    plan.file = {.name = file_name(flags.input),
                 .texts = read_sentences(flags.input, flags.field, Empty::kError, tell_user).texts};
  if (!flags.ids_file.empty())
    plan.file = {.name = file_name(flags.ids_file), .ids = read_ids_file(flags.ids_file)};
  const BenchReport report = bench_model(plan, terminal_listener());
  if (flags.json)
    std::cout << dump_json(to_json(report), 2) << '\n';
  else
    std::cout << to_text(report);
}

}  // namespace

void add_bench(CLI::App& app) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* command =
      app.add_subcommand("bench", "speed, where the time goes, and the share of the GEMM ceiling");
  flags->model.add_to(*command);
  flags->encode.add_to(*command);
  flags->dtypes = flags->model.dtype;
  for (const char* replaced : {"--dtype", "--threads", "--batch-tokens"})
    command->remove_option(command->get_option(replaced));
  flags->encode.batch_tokens = 0;
  command->add_option("--dtype", flags->dtypes, "list of f32, bf16, int8, auto")
      ->capture_default_str();
  command->add_option("--threads", flags->threads,
                      "list of thread counts [all that the process may use]");
  command
      ->add_option("--batch-tokens", flags->encode.batch_tokens,
                   "tokens in one packed batch [1024; packed workloads up to 2048: all]")
      ->transform(whole_number(1, 1 << 20));
  command->add_option("--tokens", flags->tokens, "list of packed workloads, of random tokens; none")
      ->capture_default_str();
  command->add_option("--length", flags->length, "tokens in each of their sequences")
      ->capture_default_str()
      ->transform(whole_number(1, 1 << 20));
  auto* input = command->add_option(
      "-i,--input", flags->input,
      "sentences to embed as well: one a line, or JSON lines, .csv, .tsv; .xz, .gz, .zst too");
  command->add_option("--field", flags->field, "their column or field")->needs(input);
  command
      ->add_option("--ids-file", flags->ids_file,
                   "the same as token ids: a JSON list of ids a line")
      ->excludes(input);
  command->add_option("--repeats", flags->bench.n_repeat, "of every workload, at least")
      ->capture_default_str()
      ->transform(whole_number(1, 100000));
  command
      ->add_option("--min-seconds", flags->bench.min_seconds,
                   "more repeats of a workload until it has run this long")
      ->capture_default_str()
      ->transform(real_number({.at_least = 0, .at_most = 3600}));
  command->add_option("--by", flags->by, "which repeat is shown: median or best")
      ->capture_default_str();
  command->add_flag("--all-layers", flags->bench.all_layers,
                    "also time the pass that pools every layer");
  command->add_flag("--no-ceiling", flags->no_ceiling, "leave out the ceiling and the floor");
  command->add_flag("--json", flags->json, "machine-readable: every repeat, operator, kind");
  command->footer(
      "Examples:\n"
      "  fathom bench v6-Finch-1B6-HF/ --dtype bf16,int8\n"
      "  fathom bench model.pth --dtype auto --threads 1,2 -i sentences.txt --all-layers\n"
      "  fathom bench model/ --tokens 512,16384 --length 16384       # cost against length\n"
      "  fathom bench model/ --tokens none --ids-file ids.jsonl --json");
  command->callback([flags] { run(*flags); });
}

}  // namespace fathom::cli
