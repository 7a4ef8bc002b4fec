// SPDX-License-Identifier: Apache-2.0
#include "study/bench_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <span>

#include "base/error.h"
#include "base/invalid_option.h"
#include "base/list.h"
#include "base/parse_whole.h"
#include "encode/describe.h"
#include "eval/cost.h"
#include "text/text_file.h"

namespace fathom {
namespace {

// The packed ones, then the file. A packed workload is one batch, up to a size that is still of
// use; the file is embedded as `fathom embed` would.
std::vector<Workload> workloads_of(const BenchPlan& plan, size_t n_vocab) {
  constexpr size_t kMaxPacked = 2048;
  const size_t given = plan.batch_tokens, usual = EncodeOptions().batch_tokens;
  std::vector<Workload> workloads;
  for (size_t n : plan.tokens)
    workloads.push_back({.name = fmt::format("{} token{}", n, n == 1 ? "" : "s"),
                         .ids = random_sequences(n, plan.length, n_vocab),
                         .batch_tokens = given ? given : std::clamp(n, usual, kMaxPacked)});
  if (plan.file)
    workloads.push_back({.name = plan.file->name,
                         .ids = plan.file->ids,
                         .texts = plan.file->texts,
                         .batch_tokens = given ? given : usual});
  return workloads;
}

// All workloads of one model on one number of threads.
void bench_threads(const BenchPlan& plan, const Model& model, const Tokenizer* tokenizer,
                   std::span<const Workload> workloads, TimedBackend& timed, Workspace& work,
                   BenchReport& report, const std::function<void(double)>& progress) {
  std::vector<WorkloadBench> benches;
  const EncodeOptions options = plan.encode(model.config());
  for (const Workload& workload : workloads)
    benches.emplace_back(workload, model, options, tokenizer, timed, work);
  // Before the ceiling takes memory of its own.
  if (!report.loads.back().peak) report.loads.back().peak = peak_rss_bytes();
  std::optional<double> memory_rate;
  if (plan.bench.ceiling) memory_rate = memory_read_rate(work.pool());
  for (size_t i = 0; i < workloads.size(); ++i) {
    const BenchResult& result =
        benches[i].run(plan.bench, [&](double share) { progress(static_cast<double>(i) + share); });
    report.runs.push_back({.dtype = report.loads.back().dtype,
                           .workload = workloads[i].name,
                           .threads = work.pool().size(),
                           .batch_tokens = workloads[i].batch_tokens,
                           .memory_rate = memory_rate,
                           .result = result});
  }
}

OrderedJson about(const BenchPlan& plan, const Model& model, const Vocabulary& vocabulary) {
  OrderedJson j;
  j["fathom"] = FATHOM_VERSION;
  j["command"] = plan.command;
  j["model"] = describe(model);
  j["model"].erase("dtype");  // there may be several
  j["backend"] = model.backend().description();
  if (vocabulary.tokenizer) j["tokenizer"] = vocabulary.source;
  j["embedding"] = describe(plan.encode(model.config()), model.config());
  return j;
}

// One dtype: load, then every thread count and workload.
void bench_dtype(const BenchPlan& plan, std::optional<Compute> dtype, const Listener& listener,
                 BenchReport& report) {
  TimedBackend timed(backend(plan.open.backend));
  ModelOptions how = plan.open.options;
  how.compute = dtype;
  how.n_thread = std::ranges::max(plan.threads);
  reset_peak_rss();
  const auto begin = std::chrono::steady_clock::now();
  const Model model = Model::open(plan.open.model, timed, how);
  const std::chrono::duration<double> load = std::chrono::steady_clock::now() - begin;
  listener.tell(model.info().messages);
  const std::string computed(name_of(model.compute()));
  // Two that are computed alike would be one row twice.
  if (std::ranges::count(report.loads, computed, &BenchLoad::dtype) > 0) {
    listener.tell(concat(dtype ? name_of(*dtype) : "auto", " is computed in ", computed,
                         ", which has been measured"));
    return;
  }
  report.loads.push_back({.dtype = computed,
                          .seconds = load.count(),
                          .weight_bytes = model.weight_bytes(),
                          .peak_loaded = peak_rss_bytes()});
  Vocabulary vocabulary;
  const Tokenizer* tokenizer = nullptr;
  const size_t n_vocab = model.config().n_vocab;
  if (plan.file && !plan.file->texts.empty()) {
    vocabulary = find_vocabulary(model.checkpoint(), n_vocab, plan.open.vocab);
    tokenizer = &require_tokenizer(vocabulary);
  }
  if (report.about.empty()) report.about = about(plan, model, vocabulary);

  const std::vector<Workload> workloads = workloads_of(plan, n_vocab);
  Stage stage(listener, "measuring " + computed, 100 * plan.threads.size() * workloads.size());
  for (size_t i = 0; i < plan.threads.size(); ++i) {
    Workspace work(plan.threads[i]);
    bench_threads(plan, model, tokenizer, workloads, timed, work, report, [&](double n_done) {
      stage.at(100 * i * workloads.size() + static_cast<size_t>(100 * n_done));
    });
  }
}

}  // namespace

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

BenchReport bench_model(const BenchPlan& plan, const Listener& listener) {
  BenchReport report;
  report.statistic = plan.statistic;
  for (const std::optional<Compute>& dtype : plan.dtypes)
    bench_dtype(plan, dtype, listener, report);
  return report;
}

std::vector<std::string_view> parse_items(const std::string& field, std::string_view text) {
  std::vector<std::string_view> items = split_commas(text);
  for (std::string_view item : items)
    if (item.empty())
      throw InvalidOption(field, "a list", concat("'", text, "'"), "it has an empty item");
  return items;
}

std::vector<size_t> parse_counts(const std::string& field, std::string_view text, size_t most) {
  std::vector<size_t> counts;
  for (std::string_view item : parse_items(field, text)) {
    const std::optional<uint64_t> n = parse_whole(item);
    if (!n || *n < 1 || *n > most)
      throw InvalidOption(field, concat("numbers from 1 to ", most, " and commas"),
                          concat("'", item, "'"));
    counts.push_back(*n);
  }
  return counts;
}

TimeStatistic parse_statistic(const std::string& text) {
  if (text == "median") return TimeStatistic::kMedian;
  if (text == "best") return TimeStatistic::kBest;
  throw InvalidOption("by", "median or best", concat("'", text, "'"));
}

}  // namespace fathom
