// SPDX-License-Identifier: Apache-2.0
#include "eval/cost.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <fstream>
#include <numeric>
#include <string>
#include <string_view>

#include "base/error.h"
#include "eval/bootstrap.h"
#include "eval/metrics.h"

namespace fathom {
namespace {

double sum(std::span<const size_t> values) {
  double total = 0;
  for (size_t v : values) total += static_cast<double>(v);
  return total;
}

double static_flops(size_t dim, size_t n_known) {
  return n_known == 0 ? 0 : static_cast<double>(dim) * static_cast<double>(n_known + 1);
}

}  // namespace

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
  // Block 0 alone may cost something else; a sequence that stops before it has run nothing.
  const bool first_ran = !trace.v_first_alone && trace.n_time_mix > 0;
  uint64_t per_token = trace.n_channel_mix * other.channel_mix.total() +
                       (trace.n_time_mix - first_ran) * other.time_mix.total();
  if (first_ran) per_token += first.time_mix.total();
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

uint64_t weight_bytes_of(std::span<const SublayerWeights> blocks, const DepthPolicy& policy,
                         std::span<const DepthTrace> together) {
  uint64_t bytes = 0;
  for (size_t layer = 0; layer < blocks.size(); ++layer) {
    bool time_mix = false, channel_mix = false, v_first = false;
    for (const DepthTrace& trace : together) {
      const Step step = policy.taken(trace, layer);
      if (step != Step::kStop) {
        time_mix = time_mix || runs(step, Step::kTimeMix);
        channel_mix = channel_mix || runs(step, Step::kChannelMix);
      }
      v_first = v_first || (layer == 0 && trace.v_first_alone);
    }
    if (time_mix) bytes += blocks[layer].time_mix;
    if (channel_mix) bytes += blocks[layer].channel_mix;
    if (v_first && !time_mix) bytes += blocks[layer].v_first;
  }
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
  if (std::any_of(values.begin(), values.end(), [](double v) { return std::isnan(v); }))
    return kUndefined;
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  if (sorted.empty()) return kUndefined;
  return std::midpoint(sorted[(sorted.size() - 1) / 2], sorted[sorted.size() / 2]);
}

TimeSpread spread_of(std::span<const double> seconds) {
  std::vector<double> sorted(seconds.begin(), seconds.end());
  std::sort(sorted.begin(), sorted.end());
  return {median(sorted), quantile_of_sorted(sorted, 0.25), quantile_of_sorted(sorted, 0.75)};
}

std::vector<double> repeated_seconds(const std::function<void()>& work, size_t n_warmup,
                                     size_t n_repeat) {
  using Clock = std::chrono::steady_clock;
  for (size_t i = 0; i < n_warmup; ++i) work();
  std::vector<double> seconds;
  for (size_t i = 0; i < n_repeat; ++i) {
    const Clock::time_point begin = Clock::now();
    work();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return seconds;
}

double median_seconds(const std::function<void()>& work, size_t n_warmup, size_t n_repeat) {
  FATHOM_ASSERT(n_repeat >= 1);
  return median(repeated_seconds(work, n_warmup, n_repeat));
}

}  // namespace fathom
