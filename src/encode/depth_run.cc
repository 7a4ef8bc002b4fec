// SPDX-License-Identifier: Apache-2.0
#include "encode/depth_run.h"

#include <algorithm>

namespace fathom {

DepthRun::DepthRun(const Model& model, const DepthPolicy& policy, const DepthJob& job,
                   LiveRows& live, Workspace& work)
    : model_(model),
      policy_(policy),
      job_(job),
      live_(live),
      work_(work),
      trace_(live.size()),
      scratch_(live.size() * policy.scratch(), 0) {
  const uint32_t size = policy.by_pair() ? 2 : 1;
  FATHOM_ASSERT(live.size() % size == 0);
  for (uint32_t s = 0; s < live.size(); ++s) pair_.push_back(s / size);
}

std::span<const Step> DepthRun::decide(size_t layer) {
  const size_t n = live_.size(), d_model = model_.config().d_model;
  const bool is_last = layer == job_.deepest, reads = policy_.reads_pooled(layer);
  pooled_.clear();
  if (reads) pool();
  steps_.assign(n, Step::kStop);
  const auto rows = [&](const std::vector<float>& v) {
    return Matrix<const float>(v.data(), v.empty() ? 0 : n, d_model);
  };
  policy_.decide({.layer = layer,
                  .pooled = rows(pooled_),
                  .previous = rows(previous_),
                  .pair = pair_,
                  .scratch = {scratch_.data(), n, policy_.scratch()},
                  .trace = trace_,
                  .threads = &work_.pool()},
                 steps_);
  if (is_last) std::ranges::fill(steps_, Step::kStop);
  if (policy_.by_pair())
    for (size_t s = 0; s < n; s += 2) FATHOM_ASSERT(steps_[s] == steps_[s + 1]);
  if (std::ranges::find(steps_, Step::kStop) != steps_.end()) finish_stopped(layer);
  for (size_t s = 0; s < steps_.size(); ++s) {
    trace_[s].n_time_mix += runs(steps_[s], Step::kTimeMix);
    trace_[s].n_channel_mix += runs(steps_[s], Step::kChannelMix);
    if (layer == 0 && model_.config().needs_v_first())
      trace_[s].v_first_alone = !runs(steps_[s], Step::kTimeMix);
  }
  if (reads) previous_.swap(pooled_);
  return steps_;
}

void DepthRun::pool() {
  const size_t n = live_.size(), d_model = model_.config().d_model;
  Matrix<const float> rows = live_.x();
  if (job_.ln_out) {
    const auto y = work_.matrix(Workspace::kPooled, rows.rows(), rows.cols());
    model_.norm_out(rows, y, work_);
    rows = y;
  }
  std::vector<size_t> first;
  for (size_t s : live_.sequence()) first.push_back(job_.first[s]);
  const std::vector<size_t> position(n, 0);
  Pool pool(job_.pooling, n, d_model, job_.eos);
  pool.add(model_.backend(), work_.pool(), rows, live_.offsets(), position, first, live_.tokens());
  pooled_.resize(n * d_model);
  for (size_t s = 0; s < n; ++s) pool.finish(s, std::span(pooled_).subspan(s * d_model, d_model));
  n_pooled_row_ += rows.rows();
}

void DepthRun::finish_stopped(size_t layer) {
  const size_t n = live_.size(), d_model = model_.config().d_model;
  const bool gives_vectors = !policy_.depth();
  if (gives_vectors && pooled_.empty()) pool();
  work_.pool().run(n, [&](size_t s) {
    if (steps_[s] != Step::kStop) return;
    const size_t sequence = live_.sequence()[s];
    trace_[s].exit_layer = static_cast<uint32_t>(layer);
    if (!job_.trace.empty()) job_.trace[sequence] = trace_[s];
    if (gives_vectors)
      policy_.finish(layer, std::span(pooled_).subspan(s * d_model, d_model),
                     job_.out.row(sequence));
  });
  compact(trace_, 1);
  compact(pair_, 1);
  compact(scratch_, policy_.scratch());
  compact(pooled_, d_model);
  compact(previous_, d_model);
  live_.drop_stopped(steps_);
  std::erase(steps_, Step::kStop);
}

// Rows of `width` values of the sequences that go on.
template <class T>
void DepthRun::compact(std::vector<T>& values, size_t width) const {
  if (values.empty()) return;
  FATHOM_ASSERT(values.size() == steps_.size() * width);
  auto to = values.begin();
  for (size_t s = 0; s < steps_.size(); ++s) {
    if (steps_[s] == Step::kStop) continue;
    const auto from = values.begin() + static_cast<std::ptrdiff_t>(s * width);
    to = std::copy_n(from, width, to);
  }
  values.erase(to, values.end());
}

}  // namespace fathom
