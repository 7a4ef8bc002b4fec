// SPDX-License-Identifier: Apache-2.0
// fathom bench: how fast a model embeds here, and where the time goes.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <functional>
#include <iostream>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/numbers.h"
#include "cli/progress.h"
#include "cli/sentences.h"
#include "encode/describe.h"
#include "eval/cost.h"
#include "results/bench_report.h"
#include "text/text_file.h"

namespace fathom::cli {
namespace {

struct Flags {
  ModelFlags model;    // but for dtype and threads, which are lists here
  EncodeFlags encode;  // batch_tokens: 0 if not given
  std::string dtypes, threads, tokens = "1,32,128,512,2048", by = "median";
  std::string input, ids_file;
  size_t length = 32;
  BenchOptions bench;
  bool no_ceiling = false, json = false;
};

std::vector<std::string> split_list(const std::string& flag, const std::string& text) {
  std::vector<std::string> items;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (begin == end) throw UsageError(concat(flag, ": an empty item in '", text, "'"));
    items.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return items;
}

std::vector<size_t> parse_counts(const std::string& flag, const std::string& text, size_t most) {
  std::vector<size_t> counts;
  for (const std::string& item : split_list(flag, text)) {
    size_t n = 0;
    const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), n);
    if (error != std::errc{} || end != item.data() + item.size() || n < 1 || n > most)
      throw UsageError(
          concat(flag, ": expected numbers from 1 to ", most, " and commas, got '", item, "'"));
    counts.push_back(n);
  }
  return counts;
}

Statistic parse_statistic(const std::string& text) {
  if (text == "median") return Statistic::kMedian;
  if (text == "best") return Statistic::kBest;
  throw UsageError(concat("--by: expected median or best, got '", text, "'"));
}

// What the flags say, before anything is read.
struct Plan {
  std::vector<std::string> dtypes;
  std::vector<size_t> threads, tokens;
  Statistic statistic;
};

Plan plan_of(const Flags& flags) {
  constexpr size_t kMaxThreads = 1024, kMaxTokens = size_t{1} << 20;
  flags.encode.check();
  Plan plan;
  plan.dtypes = split_list("--dtype", flags.dtypes);
  fathom::backend(flags.model.backend);  // refuses another name
  for (const std::string& dtype : plan.dtypes) parse_compute(dtype);
  plan.threads = flags.threads.empty() ? std::vector<size_t>{available_threads()}
                                       : parse_counts("--threads", flags.threads, kMaxThreads);
  const bool has_file = !flags.input.empty() || !flags.ids_file.empty();
  if (flags.tokens != "none")
    plan.tokens = parse_counts("--tokens", flags.tokens, kMaxTokens);
  else if (!has_file)
    throw UsageError("--tokens none: expected a file then: -i FILE or --ids-file FILE");
  plan.statistic = parse_statistic(flags.by);
  return plan;
}

// A JSON list of ids a line; empty lines are passed over.
std::vector<std::vector<Token>> read_ids_file(const std::string& path) {
  const TextFile file(path);
  std::vector<std::vector<Token>> sequences;
  size_t number = 0;
  for (std::string_view line : split_lines(file.text())) {
    ++number;
    if (line.empty()) continue;
    const Json j = parse_json(line, concat(path, ", line ", number));
    const auto is_id = [](const Json& id) {
      return id.is_number_unsigned() && id.get<uint64_t>() <= UINT32_MAX;
    };
    FATHOM_REQUIRE(j.is_array() && !j.empty() && std::all_of(j.begin(), j.end(), is_id), path,
                   ", line ", number, ": expected a JSON list of token ids such as [33155,45]");
    sequences.push_back(j.get<std::vector<Token>>());
  }
  FATHOM_REQUIRE(!sequences.empty(), path, ": no list of ids in it");
  return sequences;
}

std::string file_name(const std::string& path) {
  return path == "-" ? path : std::filesystem::path(path).filename().string();
}

// The packed ones, then the file. A packed workload is one batch, up to a size that is still of
// use; the file is embedded as `fathom embed` would.
std::vector<Workload> workloads_of(const Flags& flags, const Plan& plan, size_t n_vocab,
                                   const Sentences& sentences,
                                   const std::vector<std::vector<Token>>& ids) {
  constexpr size_t kMaxPacked = 2048;
  const size_t given = flags.encode.batch_tokens, usual = EncodeOptions().batch_tokens;
  std::vector<Workload> workloads;
  for (size_t n : plan.tokens)
    workloads.push_back({.name = fmt::format("{} token{}", n, n == 1 ? "" : "s"),
                         .ids = random_sequences(n, flags.length, n_vocab),
                         .batch_tokens = given ? given : std::clamp(n, usual, kMaxPacked)});
  if (!flags.input.empty())
    workloads.push_back({.name = file_name(flags.input),
                         .texts = sentences.texts,
                         .batch_tokens = given ? given : usual});
  if (!flags.ids_file.empty())
    workloads.push_back(
        {.name = file_name(flags.ids_file), .ids = ids, .batch_tokens = given ? given : usual});
  return workloads;
}

struct Inputs {
  Sentences sentences;                  // of -i
  std::vector<std::vector<Token>> ids;  // of --ids-file
};

// All workloads of one model on one number of threads.
void bench_threads(const Flags& flags, const Model& model, const Tokenizer* tokenizer,
                   std::span<const Workload> workloads, TimedBackend& timed, Workspace& work,
                   BenchReport& report, const std::function<void(double)>& progress) {
  std::vector<WorkloadBench> benches;
  const EncodeOptions options = flags.encode.options(model.config());
  for (const Workload& workload : workloads)
    benches.emplace_back(workload, model, options, tokenizer, timed, work);
  // Before the ceiling takes memory of its own.
  if (!report.loads.back().peak) report.loads.back().peak = peak_rss_bytes();
  std::optional<double> memory_rate;
  if (flags.bench.ceiling) memory_rate = memory_read_rate(work.pool());
  for (size_t i = 0; i < workloads.size(); ++i) {
    const BenchResult& result = benches[i].run(
        flags.bench, [&](double share) { progress(static_cast<double>(i) + share); });
    report.runs.push_back({.dtype = report.loads.back().dtype,
                           .workload = workloads[i].name,
                           .threads = work.pool().size(),
                           .batch_tokens = workloads[i].batch_tokens,
                           .memory_rate = memory_rate,
                           .result = result});
  }
}

OrderedJson about(const Flags& flags, const Model& model, const Vocabulary& vocabulary) {
  OrderedJson j;
  j["fathom"] = FATHOM_VERSION;
  j["command"] = command_line();
  j["model"] = describe(model);
  j["model"].erase("dtype");  // there may be several
  j["backend"] = model.backend().description();
  if (vocabulary.tokenizer) j["tokenizer"] = vocabulary.source;
  j["embedding"] = describe(flags.encode.options(model.config()), model.config());
  return j;
}

// One dtype: load, then every thread count and workload.
void bench_model(const Flags& flags, const Plan& plan, const std::string& dtype,
                 const Inputs& inputs, BenchReport& report) {
  TimedBackend timed(fathom::backend(flags.model.backend));
  ModelFlags how = flags.model;
  how.dtype = dtype;
  how.threads = std::ranges::max(plan.threads);
  reset_peak_rss();
  const auto begin = std::chrono::steady_clock::now();
  const Model model = Model::open(how.model, timed, how.options());
  const std::chrono::duration<double> load = std::chrono::steady_clock::now() - begin;
  tell_fallbacks(model.info());
  const std::string computed(name_of(model.compute()));
  report.loads.push_back({.dtype = computed,
                          .seconds = load.count(),
                          .weight_bytes = model.weight_bytes(),
                          .peak_loaded = peak_rss_bytes()});
  Vocabulary vocabulary;
  const Tokenizer* tokenizer = nullptr;
  const size_t n_vocab = model.config().n_vocab;
  if (!flags.input.empty()) {
    vocabulary = find_vocabulary(model.checkpoint(), n_vocab, how.vocab_path());
    tokenizer = &require_tokenizer(vocabulary);
  }
  if (report.about.empty()) report.about = about(flags, model, vocabulary);

  const std::vector<Workload> workloads =
      workloads_of(flags, plan, n_vocab, inputs.sentences, inputs.ids);
  Progress progress("measuring " + computed, 100 * plan.threads.size() * workloads.size());
  for (size_t i = 0; i < plan.threads.size(); ++i) {
    Workspace work(plan.threads[i]);
    bench_threads(flags, model, tokenizer, workloads, timed, work, report, [&](double n_done) {
      progress.at(100 * i * workloads.size() + static_cast<size_t>(100 * n_done));
    });
  }
}

void run(Flags flags) {
  flags.bench.ceiling = !flags.no_ceiling;
  const Plan plan = plan_of(flags);
  Inputs inputs;
  if (!flags.input.empty()) inputs.sentences = read_sentences(flags.input, "", Empty::kError);
  if (!flags.ids_file.empty()) inputs.ids = read_ids_file(flags.ids_file);

  BenchReport report;
  report.statistic = plan.statistic;
  for (const std::string& dtype : plan.dtypes) bench_model(flags, plan, dtype, inputs, report);
  if (flags.json)
    std::cout << dump_json(to_json(report), 2) << '\n';
  else
    std::cout << to_text(report);
}

}  // namespace

void add_bench(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
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
      "sentences to embed as well: one a line, or JSON lines; .xz, .gz, .zst too");
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
