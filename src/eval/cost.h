// SPDX-License-Identifier: Apache-2.0
// What a depth costs: multiply-adds counted from the dimensions (model/block_cost.h), weight bytes
// read, and what was measured (time, peak memory).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "depth/policy.h"
#include "model/block_cost.h"

namespace fathom {

// (n_layer + 1): FLOPs of both sentences of a pair up to each layer, averaged over the pairs. Entry
// 0 is 0, entry i is after block i; the final norm adds nothing. first, second: tokens that each
// sentence of pair i runs through (twice its length where it is scanned twice). 0 without pairs.
std::vector<double> flops_per_pair(const CostModel& model, std::span<const size_t> first,
                                   std::span<const size_t> second);

// FLOPs of the sublayers that really ran: (n_layer) rows as EncodeStats counts them.
double block_flops(const CostModel& model, std::span<const BlockRows> rows);

// FLOPs of one sequence of n_token tokens that a policy took as `trace` says: the sublayers
// that ran; pooling at the boundaries in front of its exit that the policy read (the vector that is
// returned is pooled in every method, and as with layers not counted); heads, routers, maps and
// post-processing as the policy counts them.
double depth_flops(const CostModel& model, const DepthPolicy& policy, const DepthTrace& trace,
                   size_t n_token);

// FLOPs of the mean of static vectors for both sentences, averaged over the pairs: dim additions for
// each known word or token, and dim divisions unless there is none. first, second: how many. 0 without
// pairs.
double static_flops_per_pair(size_t dim, std::span<const size_t> first,
                             std::span<const size_t> second);

// (n_layer + 1): bytes of block weights read on the way to each layer. block_bytes: (n_layer).
std::vector<uint64_t> weight_bytes_by_layer(std::span<const uint64_t> block_bytes);

// What the sublayers of a block weigh, and of RWKV-7's block 0 what v_first alone reads of it.
struct SublayerWeights {
  uint64_t time_mix = 0, channel_mix = 0, v_first = 0;
};
// Bytes of block weights that are read for sequences which a policy took as these traces say, run
// together: each sublayer that one of them runs counts once. blocks: (n_layer).
uint64_t weight_bytes_of(std::span<const SublayerWeights> blocks, const DepthPolicy& policy,
                         std::span<const DepthTrace> together);

// The most memory this process has had resident (VmHWM, mapped file pages included), in bytes;
// nullopt where /proc/self/status does not say.
std::optional<uint64_t> peak_rss_bytes();

// Starts peak_rss_bytes() anew from what is resident now. False where the kernel refuses; the peak
// then still covers the whole life of the process.
bool reset_peak_rss();

// The middle value, or the mean of the middle two; NaN if empty or if any value is NaN.
double median(std::span<const double> values);

// Of times of the same work: the median and the quartiles around it.
struct TimeSpread {
  double median = 0, low = 0, high = 0;
};
TimeSpread spread_of(std::span<const double> seconds);  // NaN if empty

// Seconds of n_repeat calls, (n_repeat), after n_warmup calls that do not count.
std::vector<double> repeated_seconds(const std::function<void()>& work, size_t n_warmup,
                                     size_t n_repeat);
// Their median. n_repeat >= 1.
double median_seconds(const std::function<void()>& work, size_t n_warmup = 1, size_t n_repeat = 5);

}  // namespace fathom
