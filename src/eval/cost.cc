// SPDX-License-Identifier: Apache-2.0
#include "eval/cost.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <fstream>
#include <limits>
#include <numeric>
#include <string>
#include <string_view>

#include "base/error.h"

namespace fathom {
namespace {

// Multiply-adds per token of the WKV recurrence, for each of the d_att * head_size state entries.
// v5, v6: k v, r (u k v + S), and S w + k v. v7 also multiplies S by the removal vector and adds
// its outer product.
constexpr uint64_t kWkvPerStateEntryV5 = 3;
constexpr uint64_t kWkvPerStateEntryV7 = 5;

HalfCost time_mix_cost(const CostModel& m, size_t layer) {
  const uint64_t c = m.d_model, a = m.d_att, n = m.head_size;
  switch (m.version) {
    case 4:
      return {.product = 4 * c * a};
    case 5:
      return {.product = (m.has_gate ? 5 : 4) * c * a, .wkv = kWkvPerStateEntryV5 * a * n};
    case 6:
      return {.product = 5 * c * a,
              .lora = 10 * c * m.mix_rank + (c + a) * m.decay_rank,
              .wkv = kWkvPerStateEntryV5 * a * n};
    case 7: {
      const uint64_t rank = m.w_rank + m.a_rank + m.g_rank + (layer > 0 ? m.v_rank : 0);
      return {.product = 4 * c * a, .lora = (c + a) * rank, .wkv = kWkvPerStateEntryV7 * a * n};
    }
  }
  FATHOM_ASSERT(!"CostModel.version is 4, 5, 6 or 7");
}

HalfCost channel_mix_cost(const CostModel& m) {
  const uint64_t c = m.d_model;
  const uint64_t receptance = m.version == 7 ? 0 : c * c;
  // v7a: s1, the token's matrix, s2; s_emb_x.
  const uint64_t token = m.deep_in * m.deep_out;
  const uint64_t deep =
      c * m.deep_in + token + m.deep_out * m.d_ffn + (m.deep_from_embedding ? c * token : 0);
  return {.product = 2 * c * m.d_ffn + receptance, .lora = deep};
}

uint64_t v_first_cost(const CostModel& m) { return m.d_model * m.d_att; }

double sum(std::span<const size_t> values) {
  double total = 0;
  for (size_t v : values) total += static_cast<double>(v);
  return total;
}

double static_flops(size_t dim, size_t n_known) {
  return n_known == 0 ? 0 : static_cast<double>(dim) * static_cast<double>(n_known + 1);
}

}  // namespace

CostModel cost_model(const Config& c) {
  CostModel m{};
  m.version = c.version == Version::kV4   ? 4
              : c.version < Version::kV6  ? 5
              : c.version == Version::kV6 ? 6
                                          : 7;
  m.n_layer = c.n_layer;
  m.d_model = c.d_model;
  m.d_att = c.d_att;
  m.d_ffn = c.d_ffn;
  m.head_size = c.head_size;
  m.has_gate = c.has_gate;
  if (c.version == Version::kV6) {
    m.mix_rank = c.rank.mix;
    m.decay_rank = c.rank.decay;
  } else {
    m.w_rank = c.rank.decay;
    m.a_rank = c.rank.iclr;
    m.v_rank = c.rank.value;
    m.g_rank = c.rank.gate;
    m.deep_in = c.deep_embed.n_in;
    m.deep_out = c.deep_embed.n_out;
    m.deep_from_embedding = c.deep_embed.from_embedding;
  }
  return m;
}

BlockCost block_cost(const CostModel& model, size_t layer) {
  FATHOM_ASSERT(layer < model.n_layer);
  return {.time_mix = time_mix_cost(model, layer), .channel_mix = channel_mix_cost(model)};
}

std::vector<double> flops_per_pair(const CostModel& model, std::span<const size_t> first,
                                   std::span<const size_t> second) {
  FATHOM_ASSERT(first.size() == second.size());
  const double tokens_per_pair =
      first.empty() ? 0 : (sum(first) + sum(second)) / static_cast<double>(first.size());
  std::vector<double> flops(model.n_layer + 1, 0.0);
  uint64_t multiply_adds = 0;  // per token
  for (size_t layer = 0; layer < model.n_layer; ++layer) {
    multiply_adds += block_cost(model, layer).total();
    flops[layer + 1] = 2 * static_cast<double>(multiply_adds) * tokens_per_pair;
  }
  return flops;
}

double block_flops(const CostModel& model, std::span<const BlockRows> rows) {
  FATHOM_ASSERT(rows.size() == model.n_layer);
  uint64_t multiply_adds = 0;
  for (size_t layer = 0; layer < rows.size(); ++layer) {
    const BlockCost cost = block_cost(model, layer);
    multiply_adds += rows[layer].time_mix * cost.time_mix.total() +
                     rows[layer].channel_mix * cost.channel_mix.total() +
                     rows[layer].v_first * v_first_cost(model);
  }
  return 2 * static_cast<double>(multiply_adds);
}

double depth_flops(const CostModel& model, const DepthPolicy& policy, const DepthTrace& trace,
                   size_t n_token) {
  const BlockCost first = block_cost(model, 0),
                  other = block_cost(model, std::min<size_t>(1, model.n_layer - 1));
  // Only v7's block 0 costs something else; a sequence that stops before it has run nothing.
  const bool first_ran = !trace.v_first_alone && trace.n_time_mix > 0;
  uint64_t per_token = trace.n_channel_mix * other.channel_mix.total() +
                       (trace.n_time_mix - first_ran) * other.time_mix.total();
  if (first_ran) per_token += (model.version == 7 ? first : other).time_mix.total();
  if (trace.v_first_alone) per_token += v_first_cost(model);
  double flops = 2 * static_cast<double>(per_token) * static_cast<double>(n_token);
  for (size_t layer = 0; layer <= trace.exit_layer; ++layer) {
    flops += policy.decision_flops(layer, model.d_model);
    if (policy.reads_pooled(layer) && layer < trace.exit_layer)
      flops += static_cast<double>(n_token) * static_cast<double>(model.d_model);
  }
  return flops + policy.finish_flops(trace.exit_layer, model.d_model);
}

double static_flops_per_pair(size_t dim, std::span<const size_t> first,
                             std::span<const size_t> second) {
  FATHOM_ASSERT(first.size() == second.size());
  if (first.empty()) return 0;
  double flops = 0;
  for (size_t i = 0; i < first.size(); ++i)
    flops += static_flops(dim, first[i]) + static_flops(dim, second[i]);
  return flops / static_cast<double>(first.size());
}

std::vector<uint64_t> weight_bytes_by_layer(std::span<const uint64_t> block_bytes) {
  std::vector<uint64_t> bytes(block_bytes.size() + 1, 0);
  std::partial_sum(block_bytes.begin(), block_bytes.end(), bytes.begin() + 1);
  return bytes;
}

std::optional<uint64_t> peak_rss_bytes() {
  std::ifstream status("/proc/self/status");
  constexpr std::string_view kKey = "VmHWM:";
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(kKey)) continue;
    const size_t digits = line.find_first_not_of(" \t", kKey.size());
    if (digits == std::string::npos) return std::nullopt;
    uint64_t kib = 0;
    const auto [end, error] = std::from_chars(line.data() + digits, line.data() + line.size(), kib);
    if (error != std::errc{}) return std::nullopt;
    return kib * 1024;
  }
  return std::nullopt;
}

bool reset_peak_rss() {
  std::ofstream clear_refs("/proc/self/clear_refs");
  clear_refs << '5' << std::flush;  // 5: "reset the peak resident set size", proc(5)
  return clear_refs.good();
}

double median(std::span<const double> values) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  if (std::any_of(values.begin(), values.end(), [](double v) { return std::isnan(v); }))
    return kNaN;
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  if (sorted.empty()) return kNaN;
  return std::midpoint(sorted[(sorted.size() - 1) / 2], sorted[sorted.size() / 2]);
}

double median_seconds(const std::function<void()>& work, size_t n_warmup, size_t n_repeat) {
  FATHOM_ASSERT(n_repeat >= 1);
  using Clock = std::chrono::steady_clock;
  for (size_t i = 0; i < n_warmup; ++i) work();
  std::vector<double> seconds;
  for (size_t i = 0; i < n_repeat; ++i) {
    const Clock::time_point begin = Clock::now();
    work();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return median(seconds);
}

}  // namespace fathom
