// SPDX-License-Identifier: Apache-2.0
#include "eval/run.h"

#include <algorithm>
#include <cmath>

#include "encode/embed_texts.h"
#include "encode/nonfinite.h"
#include "eval/ranked_pairs.h"
#include "probe/features.h"

namespace fathom {
namespace {

// Counts the vectors of a block that are not finite.
void count_nonfinite(const Encoder& encoder, const EmbeddedBlock& block, Workspace& work,
                     std::vector<NonFiniteVectors>& counts) {
  if (all_finite(block.vectors)) return;
  for (size_t v = 0; v < block.n_vector; ++v)
    for (size_t i = 0; i < block.size(); ++i) {
      const size_t n = n_nonfinite(block.row(v, i));
      if (n == 0) continue;
      NonFiniteVectors& c = counts[v];
      if (c.n++ > 0) continue;
      c.first_pair = (block.begin + i) / 2;
      c.why = explain_nonfinite(encoder, block.ids, {i, v, n}, work);
    }
}

// One figure of one system, as a function of the resample.
struct Figure {
  size_t system;
  std::string metric;
  Statistic statistic;
};

// One set of a data set: pairs [begin, begin + pairs.n_pair()) of the whole.
struct SetPart {
  size_t begin;
  RankedPairs pairs;
};

std::vector<SetPart> parts_of(std::span<const double> scores, const Dataset& data,
                              std::span<const double> gold) {
  std::vector<SetPart> parts;
  for (size_t begin = 0; begin < data.pairs.size();) {
    size_t end = begin;
    while (end < data.pairs.size() && data.pairs[end].part == data.pairs[begin].part) ++end;
    parts.push_back(
        {begin, RankedPairs(scores.subspan(begin, end - begin), gold.subspan(begin, end - begin))});
    begin = end;
  }
  return parts;
}

double mean_spearman(std::span<const SetPart> parts, Multiplicities times) {
  double sum = 0;
  for (const SetPart& part : parts)
    sum +=
        part.pairs.spearman(times.empty() ? times : times.subspan(part.begin, part.pairs.n_pair()));
  return sum / static_cast<double>(parts.size());
}

std::vector<Figure> figures_of(size_t system, const RankedPairs& pairs, bool binary,
                               const std::optional<std::pair<double, double>>& thresholds,
                               std::span<const SetPart> parts) {
  std::vector<Figure> figures;
  const auto add = [&](const char* metric, Statistic statistic) {
    figures.push_back({system, metric, std::move(statistic)});
  };
  add("spearman", [&pairs](Multiplicities t) { return pairs.spearman(t); });
  if (parts.size() > 1)
    add("spearman_mean", [parts](Multiplicities t) { return mean_spearman(parts, t); });
  add("pearson", [&pairs](Multiplicities t) { return pairs.pearson(t); });
  if (!binary) return figures;
  add("auc", [&pairs](Multiplicities t) { return pairs.auc(t); });
  add("ap", [&pairs](Multiplicities t) { return pairs.average_precision(t); });
  if (thresholds) {
    const auto [accuracy, f1] = *thresholds;
    add("accuracy", [&pairs, a = accuracy](Multiplicities t) { return pairs.accuracy_at(a, t); });
    add("f1", [&pairs, f = f1](Multiplicities t) { return pairs.f1_at(f, t); });
  }
  add("accuracy_best", [&pairs](Multiplicities t) {
    return pairs.best_threshold(ThresholdObjective::kAccuracy, t).value;
  });
  add("f1_best", [&pairs](Multiplicities t) {
    return pairs.best_threshold(ThresholdObjective::kF1, t).value;
  });
  return figures;
}

std::vector<double> golds(const Dataset& data) {
  std::vector<double> gold;
  for (const Pair& p : data.pairs) gold.push_back(p.gold);
  return gold;
}

// How many pairs one pass of a timing takes so that it lasts about the budget.
size_t timed_pairs(double seconds_per_pair, double budget, size_t n_pair) {
  const double n = budget / std::max(seconds_per_pair, 1e-9);
  return std::clamp<size_t>(static_cast<size_t>(std::min(n, 1e6)), 1,
                            std::min<size_t>(n_pair, 256));
}

// Of `n` pairs, each.
TimeSpread per_pair(std::span<const double> seconds, size_t n) {
  const TimeSpread all = spread_of(seconds);
  const auto pairs = static_cast<double>(n);
  return {all.median / pairs, all.low / pairs, all.high / pairs};
}

void take_times(const PairTime& time, CostRow& row) {
  row.seconds_per_pair_batch1 = time.batch1.median;
  row.seconds_per_pair_packed = time.packed.median;
  row.batch1_spread = time.batch1;
  row.packed_spread = time.packed;
}

// The encoder from text to vectors, one sentence a call (a pair where its policy decides by pair)
// and packed.
PairTime measure_seconds(const Encoder& encoder, const Tokenizer& tokenizer, const PairTexts& texts,
                         Workspace& work, const CostOptions& options) {
  std::vector<float> out;
  // Sentences of pairs [0, n) in groups of `group`.
  const auto run = [&](size_t n, size_t group) {
    std::vector<std::vector<Token>> ids;
    const auto flush = [&] {
      out.resize(ids.size() * encoder.dim());
      encoder.encode(ids, out, work);
      ids.clear();
    };
    const size_t width = texts.b.empty() ? 1 : 2;
    for (size_t i = 0; i < width * n; ++i) {
      ids.push_back(tokenizer.encode(i % width ? texts.b[i / width] : texts.a[i / width]));
      if (ids.size() == group) flush();
    }
    if (!ids.empty()) flush();
  };
  const size_t n_pair = texts.a.size();
  const size_t one = encoder.by_pair() ? 2 : 1;
  const double once = median_seconds([&] { run(1, one); }, 1, 1);
  const size_t n1 = timed_pairs(once, options.budget_seconds, n_pair);
  PairTime time;
  time.batch1 = per_pair(repeated_seconds([&] { run(n1, one); }, 1, options.n_repeat), n1);
  // A packed pass fills at least a few batches where the split is large enough.
  const size_t np = std::max(n1, std::min<size_t>(n_pair, 32));
  time.packed = per_pair(repeated_seconds([&] { run(np, 2 * np); }, 1, options.n_repeat), np);
  return time;
}

std::vector<uint64_t> bytes_by_layer(const Model& model) {
  std::vector<uint64_t> block_bytes;
  for (size_t i = 0; i < model.config().n_layer; ++i) block_bytes.push_back(model.block_bytes(i));
  return weight_bytes_by_layer(block_bytes);
}

// Mean over the pairs, each run by itself.
uint64_t bytes_of_pairs(const Model& model, const DepthPolicy& policy,
                        std::span<const DepthTrace> trace) {
  std::vector<SublayerWeights> blocks;
  for (size_t i = 0; i < model.config().n_layer; ++i) {
    const Model::SublayerBytes b = model.sublayer_bytes(i);
    blocks.push_back({b.time_mix, b.channel_mix, b.v_first});
  }
  if (trace.empty()) return 0;
  double sum = 0;
  for (size_t i = 0; i < trace.size(); i += 2)
    sum += static_cast<double>(weight_bytes_of(blocks, policy, trace.subspan(i, 2)));
  return static_cast<uint64_t>(std::llround(2 * sum / static_cast<double>(trace.size())));
}

}  // namespace

PairTexts texts_of(const Dataset& data) {
  PairTexts texts;
  for (const Pair& p : data.pairs) {
    texts.a.push_back(p.a);
    texts.b.push_back(p.b);
  }
  return texts;
}

std::vector<std::vector<double>> rwkv_scores(const Encoder& encoder, const Tokenizer& tokenizer,
                                             const PairTexts& texts, Workspace& work,
                                             const ScoreOptions& options) {
  std::vector<std::string_view> sentences;  // a0, b0, a1, ...
  for (size_t i = 0; i < texts.a.size(); ++i) {
    sentences.push_back(texts.a[i]);
    sentences.push_back(texts.b[i]);
  }
  std::vector<std::vector<double>> scores(encoder.n_vector());
  std::vector<NonFiniteVectors> nonfinite(encoder.n_vector());
  const auto score = [&](const EmbeddedBlock& block) {
    count_nonfinite(encoder, block, work, nonfinite);
    if (options.trace)
      options.trace->insert(options.trace->end(), block.trace.begin(), block.trace.end());
    for (size_t v = 0; v < block.n_vector; ++v)
      for (size_t i = 0; i < block.size(); i += 2) {
        const std::span<const float> a = block.row(v, i), b = block.row(v, i + 1);
        // An infinite vector and one of zeros would have the cosine 0.
        scores[v].push_back(all_finite(a) && all_finite(b) ? cosine_of(a, b) : std::nan(""));
      }
  };
  EmbedTextsOptions how;
  how.together = 2;
  how.max_texts = 256;
  how.place = [&](size_t text) {
    const size_t pair = text / 2;
    return concat(options.place ? options.place(pair) : concat("pair ", pair + 1), ": sentence ",
                  text % 2 + 1);
  };
  if (options.progress) how.progress = [&](size_t done) { options.progress(done / 2); };
  if (options.trace) options.trace->clear();
  embed_texts(encoder, tokenizer, sentences, work, score, how);
  if (options.nonfinite) *options.nonfinite = std::move(nonfinite);
  return scores;
}

BaselineScores baseline_scores(const Baseline& baseline, const PairTexts& texts) {
  BaselineScores result;
  std::vector<float> u(baseline.dim()), v(baseline.dim());
  for (size_t i = 0; i < texts.a.size(); ++i) {
    result.coverage += baseline.embed(texts.a[i], u);
    result.coverage += baseline.embed(texts.b[i], v);
    result.scores.push_back(cosine_of(u, v));
  }
  return result;
}

std::vector<MetricRow> metric_rows(std::span<const Scores> systems, const Dataset& evaluated,
                                   const Dataset* train, const BootstrapOptions& options,
                                   ThreadPool& pool) {
  const bool binary = evaluated.task->gold == Gold::kLabel;
  const std::vector<double> gold = golds(evaluated);
  const std::vector<double> train_gold = train ? golds(*train) : std::vector<double>();
  std::vector<RankedPairs> ranked;
  std::vector<std::vector<SetPart>> parts;  // (n_system)
  for (const Scores& s : systems) {
    ranked.emplace_back(s.evaluated, gold);
    parts.push_back(parts_of(s.evaluated, evaluated, gold));
  }

  std::vector<Figure> figures;
  for (size_t i = 0; i < systems.size(); ++i) {
    std::optional<std::pair<double, double>> thresholds;
    if (binary && train)
      thresholds = {
          best_threshold(systems[i].train, train_gold, ThresholdObjective::kAccuracy).threshold,
          best_threshold(systems[i].train, train_gold, ThresholdObjective::kF1).threshold};
    for (Figure& f : figures_of(i, ranked[i], binary, thresholds, parts[i]))
      figures.push_back(std::move(f));
  }
  std::vector<Statistic> statistics;
  for (const Figure& f : figures) statistics.push_back(f.statistic);
  const auto replicates = Bootstrap(gold.size(), options).run(statistics, pool);

  std::vector<MetricRow> rows;
  for (size_t i = 0; i < figures.size(); ++i) {
    const Scores& system = systems[figures[i].system];
    const Interval interval = percentile_interval(replicates[i]);
    const double value = figures[i].statistic({});
    rows.push_back(
        {system.system, system.layer, figures[i].metric, value, interval.low, interval.high});
    if (system.system == "glove") continue;
    for (size_t j = 0; j < figures.size(); ++j) {
      if (systems[figures[j].system].system != "glove" || figures[j].metric != figures[i].metric)
        continue;
      const PairedDifference d = paired_difference(replicates[i], replicates[j]);
      rows.push_back({system.system, system.layer, figures[i].metric + "_minus_glove",
                      value - figures[j].statistic({}), d.interval.low, d.interval.high, d.p});
    }
  }
  return rows;
}

std::vector<CostRow> rwkv_costs(const Encoder& encoder, const Tokenizer& tokenizer,
                                const PairTexts& texts, Workspace& work, const CostOptions& options,
                                const std::function<void(size_t)>& progress) {
  const Model& model = encoder.model();
  const size_t n_layer = model.config().n_layer, n_pair = texts.a.size();
  std::vector<size_t> first, second;
  for (size_t i = 0; i < n_pair; ++i) {
    first.push_back(scanned_tokens(tokenizer.encode(texts.a[i]).size(), encoder.options()));
    second.push_back(texts.b.empty()
                         ? 0
                         : scanned_tokens(tokenizer.encode(texts.b[i]).size(), encoder.options()));
  }
  const std::vector<double> flops = flops_per_pair(cost_model(model.config()), first, second);
  const std::vector<uint64_t> bytes = bytes_by_layer(model);

  std::vector<CostRow> rows;
  for (size_t layer : encoder.options().layers) {
    const size_t depth = std::min(layer, n_layer);
    CostRow row{.system = "rwkv",
                .layer = layer,
                .flops_per_pair = flops[depth],
                .weight_bytes = bytes[depth],
                .seconds_per_pair_batch1 = {},
                .seconds_per_pair_packed = {},
                .peak_rss_bytes = {}};
    if (options.measure) {
      EncodeOptions single = encoder.options();
      single.layers = {layer};
      if (!single.post.empty()) single.post = {encoder.options().post[rows.size()]};
      const auto measure = [&] {
        return measure_seconds(Encoder(model, single), tokenizer, texts, work, options);
      };
      take_times(options.times ? options.times(layer, measure) : measure(), row);
    }
    rows.push_back(row);
    if (progress) progress(rows.size());
  }
  return rows;
}

CostRow policy_cost(const Encoder& encoder, const Tokenizer& tokenizer, const PairTexts& texts,
                    std::span<const DepthTrace> trace, Workspace& work,
                    const CostOptions& options) {
  const Model& model = encoder.model();
  const size_t n_pair = texts.a.size();
  FATHOM_ASSERT(encoder.policy() && trace.size() == 2 * n_pair);
  const CostModel cost = cost_model(model.config());
  double flops = 0;
  for (size_t i = 0; i < 2 * n_pair; ++i) {
    const std::string_view text = i % 2 ? texts.b[i / 2] : texts.a[i / 2];
    const size_t n_token = scanned_tokens(tokenizer.encode(text).size(), encoder.options());
    flops += depth_flops(cost, *encoder.policy(), trace[i], n_token);
  }
  CostRow row{.system = "rwkv",
              .layer = policy_layer(model.config().n_layer),
              .flops_per_pair = n_pair == 0 ? 0 : flops / static_cast<double>(n_pair),
              .weight_bytes = bytes_of_pairs(model, *encoder.policy(), trace),
              .seconds_per_pair_batch1 = {},
              .seconds_per_pair_packed = {},
              .peak_rss_bytes = {}};
  if (options.measure) take_times(measure_seconds(encoder, tokenizer, texts, work, options), row);
  return row;
}

CostRow baseline_cost(const Baseline& baseline, const PairTexts& texts,
                      const CostOptions& options) {
  std::vector<float> mean(baseline.dim());
  const auto embed = [&](std::string_view text) { return baseline.embed(text, mean).known; };
  CostRow row;
  row.system = baseline.name();
  row.weight_bytes = baseline.memory_bytes();
  std::vector<size_t> first, second;
  for (size_t i = 0; i < texts.a.size(); ++i) {
    first.push_back(embed(texts.a[i]));
    second.push_back(texts.b.empty() ? 0 : embed(texts.b[i]));
  }
  row.flops_per_pair = static_flops_per_pair(baseline.dim(), first, second);
  if (options.measure) {
    const std::vector<double> seconds = repeated_seconds(
        [&] {
          for (size_t i = 0; i < texts.a.size(); ++i) {
            embed(texts.a[i]);
            if (!texts.b.empty()) embed(texts.b[i]);
          }
        },
        1, options.n_repeat);
    const TimeSpread time = per_pair(seconds, texts.a.size());
    take_times({time, time}, row);
  }
  return row;
}

}  // namespace fathom
