// SPDX-License-Identifier: Apache-2.0
#include "results/bench_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/table.h"

namespace fathom {
namespace {

constexpr Part kParts[] = {Part::kProducts, Part::kWkv, Part::kMixing, Part::kPooling};
static_assert(std::size(kParts) == kPartCount);

// A run's figures by the statistic that was asked for.
struct Figures {
  const BenchRun& run;
  const BenchSample& forward;  // the repeat that stands for all
  double flop, seconds;
  std::optional<ByCompute> ceiling;        // seconds of the products alone
  std::optional<double> ceiling_seconds;   // their sum
  std::optional<double> all_layers_extra;  // share of `seconds` that pooling every layer adds

  Figures(const BenchRun& r, TimeStatistic statistic)
      : run(r),
        forward(r.result.pick(statistic, [](const BenchSample& s) { return s.seconds; })),
        flop(static_cast<double>(r.result.total_flop())),
        seconds(forward.seconds) {
    const BenchSample& products =
        r.result.pick(statistic, [](const BenchSample& s) { return s.ceiling_seconds(); });
    ceiling = products.ceiling;
    if (ceiling) ceiling_seconds = products.ceiling_seconds();
    const auto all_layers = [](const BenchSample& s) { return s.all_layers_seconds.value_or(0); };
    if (forward.all_layers_seconds)
      all_layers_extra = all_layers(r.result.pick(statistic, all_layers)) / seconds - 1;
  }

  double per_second(size_t n) const { return static_cast<double>(n) / seconds; }
  std::optional<double> memory_seconds() const {
    if (!run.memory_rate) return std::nullopt;
    return static_cast<double>(run.result.weight_bytes) / *run.memory_rate;
  }
};

// Seconds of a run's FLOPs at the highest rates that the ceiling of any workload reached on the
// same number of threads.
std::optional<double> arithmetic_seconds(const Figures& f, std::span<const Figures> all) {
  double seconds = 0;
  for (size_t c = 0; c < kComputeCount; ++c) {
    double rate = 0;
    for (const Figures& other : all)
      if (other.ceiling && other.run.threads == f.run.threads && other.run.result.flop[c] > 0)
        rate = std::max(rate, static_cast<double>(other.run.result.flop[c]) / (*other.ceiling)[c]);
    if (f.run.result.flop[c] == 0) continue;
    if (rate == 0) return std::nullopt;
    seconds += static_cast<double>(f.run.result.flop[c]) / rate;
  }
  return seconds;
}

std::vector<Figures> figures_of(const BenchReport& report) {
  std::vector<Figures> figures;
  for (const BenchRun& run : report.runs) figures.emplace_back(run, report.statistic);
  return figures;
}

Cell percent(double share) { return {100 * share, fixed(1)}; }

Table speed_table(std::span<const Figures> figures) {
  const bool all_layers = figures.front().all_layers_extra.has_value();
  std::vector<Column> columns = {{.name = "dtype", .title = "Dtype"},
                                 {.name = "threads", .title = "Threads"},
                                 {.name = "workload", .title = "Workload"},
                                 {.name = "tokens_s", .title = "Tokens/s"},
                                 {.name = "sentences_s", .title = "Sentences/s"},
                                 {.name = "ms", .title = "Time", .unit = "ms"},
                                 {.name = "gflop", .title = "GFLOP/s"},
                                 {.name = "ceiling", .title = "Ceiling"},
                                 {.name = "share", .title = "Share", .unit = "%"},
                                 {.name = "floor", .title = "x floor"}};
  if (all_layers) columns.push_back({.name = "all_layers", .title = "All layers", .unit = "+%"});
  Table table(std::move(columns));
  for (const Figures& f : figures) {
    const auto arithmetic = arithmetic_seconds(f, figures), memory = f.memory_seconds();
    std::vector<Cell> row = {f.run.dtype,
                             f.run.threads,
                             f.run.workload,
                             Cell(f.per_second(f.run.result.n_token), significant(4)),
                             Cell(f.per_second(f.run.result.n_sequence), significant(4)),
                             Cell(1e3 * f.seconds, significant(4)),
                             Cell(f.flop / f.seconds / 1e9, significant(4)),
                             missing,
                             missing,
                             missing};
    if (f.ceiling_seconds) {
      row[7] = Cell(f.flop / *f.ceiling_seconds / 1e9, significant(4));
      row[8] = percent(*f.ceiling_seconds / f.seconds);
    }
    if (arithmetic && memory) row[9] = Cell(f.seconds / std::max(*arithmetic, *memory), fixed(2));
    if (all_layers) row.push_back(percent(*f.all_layers_extra));
    table.add(std::move(row));
  }
  return table;
}

Table part_table(std::span<const Figures> figures) {
  Table table({{.name = "dtype", .title = "Dtype"},
               {.name = "threads", .title = "Threads"},
               {.name = "workload", .title = "Workload"},
               {.name = "products", .title = "Products", .unit = "%"},
               {.name = "wkv", .title = "WKV", .unit = "%"},
               {.name = "mixing", .title = "Norms, mixing", .unit = "%"},
               {.name = "pooling", .title = "Pooling", .unit = "%"},
               {.name = "tokenizer", .title = "Tokenizer", .unit = "%"},
               {.name = "rest", .title = "Rest", .unit = "%"}});
  for (const Figures& f : figures) {
    std::vector<Cell> row = {f.run.dtype, f.run.threads, f.run.workload};
    for (Part part : kParts) row.push_back(percent(f.forward.part_seconds(part) / f.seconds));
    row.push_back(percent(f.forward.tokenizer_seconds / f.seconds));
    row.push_back(percent(f.forward.rest_seconds() / f.seconds));
    table.add(std::move(row));
  }
  return table;
}

Table load_table(std::span<const BenchLoad> loads) {
  Table table({{.name = "dtype", .title = "Dtype"},
               {.name = "load", .title = "Load", .unit = "s"},
               {.name = "weights", .title = "Weights", .unit = "MB"},
               {.name = "loaded", .title = "Peak loaded", .unit = "MB"},
               {.name = "peak", .title = "Peak", .unit = "MB"}});
  const auto megabytes = [](std::optional<uint64_t> bytes) {
    return bytes ? Cell(static_cast<double>(*bytes) / 1e6, fixed(1)) : Cell(missing);
  };
  for (const BenchLoad& load : loads)
    table.add({load.dtype, Cell(load.seconds, significant(3)), megabytes(load.weight_bytes),
               megabytes(load.peak_loaded), megabytes(load.peak)});
  return table;
}

OrderedJson or_null(std::optional<double> value) {
  return value ? OrderedJson(*value) : OrderedJson(nullptr);
}

// Products by kind, those that occur: {"bf16": {"flop": ..., "seconds": ..., ...}, ...}.
OrderedJson products_json(const Figures& f) {
  OrderedJson products;
  for (size_t c = 0; c < kComputeCount; ++c) {
    if (f.run.result.flop[c] == 0) continue;
    OrderedJson& kind = products[std::string(name_of(static_cast<Compute>(c)))];
    kind["flop"] = f.run.result.flop[c];
    kind["seconds"] = f.forward.product_seconds[c];
    kind["ceiling_seconds"] = f.ceiling ? OrderedJson((*f.ceiling)[c]) : OrderedJson(nullptr);
  }
  return products;
}

OrderedJson run_json(const Figures& f, std::span<const Figures> all) {
  const BenchResult& result = f.run.result;
  const auto arithmetic = arithmetic_seconds(f, all);
  OrderedJson j;
  j["dtype"] = f.run.dtype;
  j["threads"] = f.run.threads;
  j["workload"] = f.run.workload;
  j["n_sequence"] = result.n_sequence;
  j["n_token"] = result.n_token;
  j["batch_tokens"] = f.run.batch_tokens;
  j["n_batch"] = result.n_batch;
  j["n_repeat"] = result.samples.size();
  j["tokens_per_second"] = f.per_second(result.n_token);
  j["sequences_per_second"] = f.per_second(result.n_sequence);
  j["seconds"] = f.seconds;
  for (Part part : kParts) j["parts"][std::string(name_of(part))] = f.forward.part_seconds(part);
  j["parts"]["tokenizer"] = f.forward.tokenizer_seconds;
  j["parts"]["rest"] = f.forward.rest_seconds();
  for (size_t i = 0; i < kOperatorCount; ++i)
    if (const auto& tally = f.forward.operators[i]; tally.n_call > 0)
      j["operators"][std::string(name_of(static_cast<Operator>(i)))] = {{"calls", tally.n_call},
                                                                        {"seconds", tally.seconds}};
  j["flop"] = result.total_flop();
  j["gflop_per_second"] = f.flop / f.seconds / 1e9;
  j["products"] = products_json(f);
  j["ceiling_seconds"] = or_null(f.ceiling_seconds);
  j["ceiling_gflop_per_second"] =
      f.ceiling_seconds ? OrderedJson(f.flop / *f.ceiling_seconds / 1e9) : OrderedJson(nullptr);
  j["share_of_ceiling"] =
      f.ceiling_seconds ? OrderedJson(*f.ceiling_seconds / f.seconds) : OrderedJson(nullptr);
  j["weight_bytes_read"] = result.weight_bytes;
  j["memory_bytes_per_second"] = or_null(f.run.memory_rate);
  j["memory_seconds"] = or_null(f.memory_seconds());
  j["arithmetic_seconds"] = or_null(arithmetic);
  j["all_layers_extra"] = or_null(f.all_layers_extra);
  OrderedJson& samples = j["samples"] = OrderedJson::array();
  for (const BenchSample& s : result.samples) {
    OrderedJson sample{{"seconds", s.seconds}};
    if (s.ceiling) sample["ceiling_seconds"] = s.ceiling_seconds();
    if (s.all_layers_seconds) sample["all_layers_seconds"] = *s.all_layers_seconds;
    samples.push_back(std::move(sample));
  }
  return j;
}

}  // namespace

std::string to_text(const BenchReport& report) {
  const std::vector<Figures> figures = figures_of(report);
  std::string text =
      fmt::format("{}\n\n{}\n{}\n{}\n", report.about.at("backend").get<std::string>(),
                  to_text(load_table(report.loads)), to_text(speed_table(figures), 120),
                  to_text(part_table(figures), 120));
  text += fmt::format("Times: the {} repeat.",
                      report.statistic == TimeStatistic::kBest ? "fastest" : "median");
  if (report.runs.front().memory_rate) {
    const auto [low, high] = std::ranges::minmax_element(report.runs, {}, &BenchRun::memory_rate);
    text += fmt::format(
        " Ceiling: the matrix products alone, in the same run. Floor: the longer of\nreading the "
        "weights from memory (measured: {:.1f} to {:.1f} GB/s) and computing at the best ceiling "
        "above.",
        *low->memory_rate / 1e9, *high->memory_rate / 1e9);
  }
  text += '\n';
  return text;
}

OrderedJson to_json(const BenchReport& report) {
  const std::vector<Figures> figures = figures_of(report);
  const Figures& last = figures.back();
  OrderedJson j = report.about;
  j["statistic"] = report.statistic == TimeStatistic::kBest ? "best" : "median";
  j["dtype"] = last.run.dtype;
  j["threads"] = last.run.threads;
  j["workload"] = last.run.workload;
  j["tokens_per_second"] = last.per_second(last.run.result.n_token);
  j["sequences_per_second"] = last.per_second(last.run.result.n_sequence);
  j["seconds"] = last.seconds;
  j["loads"] = OrderedJson::array();
  for (const BenchLoad& load : report.loads) {
    OrderedJson l;
    l["dtype"] = load.dtype;
    l["seconds"] = load.seconds;
    l["weight_bytes"] = load.weight_bytes;
    l["peak_rss_bytes_loaded"] =
        load.peak_loaded ? OrderedJson(*load.peak_loaded) : OrderedJson(nullptr);
    l["peak_rss_bytes"] = load.peak ? OrderedJson(*load.peak) : OrderedJson(nullptr);
    j["loads"].push_back(std::move(l));
  }
  j["runs"] = OrderedJson::array();
  for (const Figures& f : figures) j["runs"].push_back(run_json(f, figures));
  return j;
}

}  // namespace fathom
