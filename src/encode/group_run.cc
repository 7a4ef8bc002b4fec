// SPDX-License-Identifier: Apache-2.0
#include "encode/group_run.h"

#include <algorithm>
#include <numeric>

#include "depth/layers.h"
#include "encode/state_pooling.h"

namespace fathom {

GroupRun::GroupRun(const Model& model, const Plan& plan, std::span<const Sequence> sequences,
                   std::span<State* const> states, Workspace& work)
    : model_(model),
      plan_(plan),
      sequences_(sequences),
      states_(states),
      work_(work),
      position_(sequences.size(), 0) {
  for (const Sequence& s : sequences) first_.push_back(s.first);
  if (!plan.pools_state())
    pools_.assign(plan.taps.size(), Pool(plan.reading.pooling, sequences.size(),
                                         model.config().d_model, eos_rule(plan.reading)));
}

void GroupRun::start_piece() {
  const size_t n = sequences_.size();
  alive_.resize(n);
  std::iota(alive_.begin(), alive_.end(), size_t{0});
  trace_.assign(n, {});
  previous_.clear();
  if (!plan_.policy) return;
  scratch_.assign(n * plan_.policy->scratch(), 0);
  const uint32_t together = plan_.by_pair() ? 2 : 1;
  FATHOM_ASSERT(n % together == 0);
  pair_.clear();
  for (uint32_t s = 0; s < n; ++s) pair_.push_back(s / together);
}

std::span<const Step> GroupRun::decide(size_t layer, const LiveRows& live, size_t begin) {
  const size_t n = size();
  const bool is_last = layer == plan_.deepest;
  const View view = view_of(live, begin);
  pool_taps(layer, view);
  steps_.assign(n, is_last ? Step::kStop : Step::kBlock);
  if (!plan_.policy) {
    if (is_last) alive_.clear();
    return steps_;
  }
  const bool reads = plan_.policy->reads_pooled(layer);
  pooled_.clear();
  if (reads) pool_for_policy(view);
  ask_policy(layer, view);
  if (is_last) std::ranges::fill(steps_, Step::kStop);
  if (plan_.by_pair())
    for (size_t s = 0; s < n; s += 2) FATHOM_ASSERT(steps_[s] == steps_[s + 1]);
  if (std::ranges::find(steps_, Step::kStop) != steps_.end()) finish_stopped(layer, view);
  size_t at = 0;
  for (const Step step : steps_) {
    if (step == Step::kStop) continue;
    DepthTrace& trace = trace_[at++];
    trace.n_time_mix += runs(step, Step::kTimeMix);
    trace.n_channel_mix += runs(step, Step::kChannelMix);
    if (layer == 0 && model_.config().needs_v_first())
      trace.v_first_alone = !runs(step, Step::kTimeMix);
  }
  if (reads) previous_.swap(pooled_);
  return steps_;
}

GroupRun::View GroupRun::view_of(const LiveRows& live, size_t begin) const {
  const auto offsets = live.offsets().subspan(begin, size() + 1);
  View view{live.x().slice(offsets.front(), offsets.back()),
            {},
            live.tokens().subspan(offsets.front(), offsets.back() - offsets.front())};
  for (size_t offset : offsets) view.offsets.push_back(offset - offsets.front());
  return view;
}

Matrix<const float> GroupRun::normed(const View& view) {
  const auto y = work_.matrix(Workspace::kPooled, view.rows.rows(), view.rows.cols());
  model_.norm_out(view.rows, y, work_);
  return y;
}

// Of plans that have taps, all sequences run until the last of them.
void GroupRun::pool_taps(size_t layer, const View& view) {
  const size_t n_layer = model_.config().n_layer;
  Matrix<const float> after_norm;
  for (size_t i = 0; i < pools_.size(); ++i) {
    const bool is_final = plan_.taps[i] == final_layer(n_layer);
    if (std::min(plan_.taps[i], n_layer) != layer) continue;
    const bool wants_norm = is_final || plan_.reading.norm == Norm::kLnOut;
    if (wants_norm && after_norm.rows() == 0) after_norm = normed(view);
    pools_[i].add(model_.backend(), work_.pool(), wants_norm ? after_norm : view.rows, view.offsets,
                  position_, first_, view.tokens);
  }
}

void GroupRun::pool_for_policy(const View& view) {
  const size_t n = size(), d_model = model_.config().d_model;
  const auto rows = plan_.reading.norm == Norm::kLnOut ? normed(view) : view.rows;
  std::vector<size_t> first;
  for (size_t s : alive_) first.push_back(first_[s]);
  const std::vector<size_t> position(n, 0);
  Pool pool(plan_.reading.pooling, n, d_model, eos_rule(plan_.reading));
  pool.add(model_.backend(), work_.pool(), rows, view.offsets, position, first, view.tokens);
  pooled_.resize(n * d_model);
  for (size_t s = 0; s < n; ++s) pool.finish(s, std::span(pooled_).subspan(s * d_model, d_model));
  n_pooled_row_ += rows.rows();
}

void GroupRun::ask_policy(size_t layer, const View& view) {
  const size_t n = size();
  const auto vectors = [&](const std::vector<float>& v) {
    return Matrix<const float>(v.data(), v.empty() ? 0 : n, view.rows.cols());
  };
  std::ranges::fill(steps_, Step::kStop);
  plan_.policy->decide({.layer = layer,
                        .pooled = vectors(pooled_),
                        .previous = vectors(previous_),
                        .pair = pair_,
                        .scratch = {scratch_.data(), n, plan_.policy->scratch()},
                        .trace = trace_,
                        .threads = &work_.pool()},
                       steps_);
}

void GroupRun::finish_stopped(size_t layer, const View& view) {
  const size_t n = size(), d_model = model_.config().d_model;
  if (plan_.adaptive() && pooled_.empty()) pool_for_policy(view);
  work_.pool().run(n, [&](size_t s) {
    if (steps_[s] != Step::kStop) return;
    const Sequence& sequence = sequences_[alive_[s]];
    trace_[s].exit_layer = static_cast<uint32_t>(layer);
    if (sequence.trace) *sequence.trace = trace_[s];
    if (plan_.adaptive())
      plan_.policy->finish(layer, std::span(pooled_).subspan(s * d_model, d_model),
                           sequence.vector(0));
  });
  compact(alive_, 1);
  compact(trace_, 1);
  compact(pair_, 1);
  compact(scratch_, plan_.policy->scratch());
  compact(pooled_, d_model);
  compact(previous_, d_model);
}

// Rows of `width` values of the sequences that go on.
template <class T>
void GroupRun::compact(std::vector<T>& values, size_t width) const {
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

void GroupRun::end_piece(std::span<const size_t> n_token) {
  for (size_t s = 0; s < position_.size(); ++s) position_[s] += n_token[s];
}

void GroupRun::finish() {
  for (size_t i = 0; i < plan_.taps.size(); ++i)
    for (size_t s = 0; s < sequences_.size(); ++s) {
      const std::span<float> out = sequences_[s].vector(i);
      if (plan_.pools_state())
        pool_state(plan_.reading.pooling, model_.config(), states_[s]->wkv(plan_.taps[i] - 1), out);
      else
        pools_[i].finish(s, out);
    }
}

}  // namespace fathom
