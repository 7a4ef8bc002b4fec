// SPDX-License-Identifier: Apache-2.0
#include "encode/live_rows.h"

#include <algorithm>
#include <numeric>

namespace fathom {
namespace {

void copy_rows(Matrix<const float> from, Matrix<float> to) {
  FATHOM_ASSERT(from.rows() == to.rows() && from.cols() == to.cols());
  std::copy_n(from.data(), from.rows() * from.cols(), to.data());
}

// Products write whole groups of kRowPad rows: what stands behind the last row that they are asked
// for is put back here, where those are rows of somebody else.
class KeptTail {
 public:
  KeptTail(Matrix<float> all, size_t begin, size_t end)
      : rows_(all.slice(end, std::min(all.rows(), begin + padded_rows(end - begin)))),
        values_(rows_.data(), rows_.data() + rows_.rows() * rows_.cols()) {}
  void restore() { std::ranges::copy(values_, rows_.data()); }

 private:
  Matrix<float> rows_;
  std::vector<float> values_;
};

}  // namespace

LiveRows::LiveRows(const Model& model, std::span<const uint32_t> tokens,
                   std::span<const size_t> offsets, std::span<State* const> states, size_t budget,
                   Workspace& work)
    : model_(model),
      work_(work),
      budget_(budget),
      x_(work.matrix(Workspace::kResidual, tokens.size(), model.config().d_model)),
      sequence_(offsets.size() - 1),
      offsets_(offsets.begin(), offsets.end()),
      states_(states.begin(), states.end()),
      tokens_(tokens) {
  std::iota(sequence_.begin(), sequence_.end(), size_t{0});
  if (model.config().needs_v_first())
    v_first_ = work.matrix(Workspace::kVFirst, tokens.size(), model.config().d_att);
}

void LiveRows::embed() { model_.embed(tokens_, x(), work_); }

void LiveRows::run(size_t layer, std::span<const Step> steps, BlockRows& count) {
  FATHOM_ASSERT(steps.size() == size());
  std::vector<size_t> chosen;
  const auto choose = [&](auto&& wanted) {
    chosen.clear();
    uint64_t n_row = 0;
    for (size_t s = 0; s < size(); ++s) {
      FATHOM_ASSERT(steps[s] != Step::kStop);
      if (!wanted(steps[s])) continue;
      chosen.push_back(s);
      n_row += length(s);
    }
    return n_row;
  };
  count.time_mix += choose([](Step s) { return runs(s, Step::kTimeMix); });
  run_part(layer, Part::kTimeMix, chosen);
  if (layer == 0 && v_first_.data()) {
    count.v_first += choose([](Step s) { return !runs(s, Step::kTimeMix); });
    run_part(layer, Part::kVFirst, chosen);
  }
  count.channel_mix += choose([](Step s) { return runs(s, Step::kChannelMix); });
  run_part(layer, Part::kChannelMix, chosen);
}

// In groups of at most the budget. Neighbours run where they lie.
void LiveRows::run_part(size_t layer, Part part, std::span<const size_t> chosen) {
  while (!chosen.empty()) {
    size_t n = 1, n_row = length(chosen[0]);
    while (n < chosen.size() && n_row + length(chosen[n]) <= budget_) n_row += length(chosen[n++]);
    const auto group = chosen.first(n);
    if (group.back() - group.front() + 1 == n)
      run_in_place(layer, part, group.front(), group.back() + 1);
    else
      run_gathered(layer, part, group);
    chosen = chosen.subspan(n);
  }
}

// Sequences [first, last): all of them together, or one that is longer than the budget in pieces.
void LiveRows::run_in_place(size_t layer, Part part, size_t first, size_t last) {
  const size_t begin = offsets_[first], end = offsets_[last];
  const auto states = states_.empty()
                          ? std::span<State* const>()
                          : std::span<State* const>(states_).subspan(first, last - first);
  if (end - begin <= budget_) {
    std::vector<size_t> offsets;
    for (size_t s = first; s <= last; ++s) offsets.push_back(offsets_[s] - begin);
    run_rows(layer, part, begin, end, {offsets, states});
    return;
  }
  FATHOM_ASSERT(last - first == 1 && !states.empty() && states[0]);
  for (size_t at = begin; at < end; at += budget_) {
    const size_t offsets[] = {0, std::min(budget_, end - at)};
    run_rows(layer, part, at, at + offsets[1], {offsets, states});
    work_.between();
  }
}

void LiveRows::run_rows(size_t layer, Part part, size_t begin, size_t end, const Rows& rows) {
  KeptTail x_tail(x(), begin, end);
  Rows placed = rows;
  placed.tokens = tokens_.subspan(begin, end - begin);
  if (v_first_.data()) placed.v_first = v_first_.slice(begin, end);
  if (v_first_.data() && layer == 0) {
    KeptTail v_tail(v_first_.slice(0, n_token()), begin, end);
    call(layer, part, placed, x_.slice(begin, end));
    v_tail.restore();
  } else {
    call(layer, part, placed, x_.slice(begin, end));
  }
  x_tail.restore();
}

void LiveRows::run_gathered(size_t layer, Part part, std::span<const size_t> chosen) {
  std::vector<size_t> offsets = {0};
  std::vector<State*> states;
  std::vector<uint32_t> tokens;
  for (size_t s : chosen) {
    offsets.push_back(offsets.back() + length(s));
    const auto own = tokens_.subspan(offsets_[s], length(s));
    tokens.insert(tokens.end(), own.begin(), own.end());
    if (!states_.empty()) states.push_back(states_[s]);
  }
  const size_t n = offsets.back();
  const auto x = work_.matrix(Workspace::kGathered, n, x_.cols());
  const bool takes_v_first = v_first_.data() && part != Part::kChannelMix;
  const auto v_first = takes_v_first ? work_.matrix(Workspace::kGatheredVFirst, n, v_first_.cols())
                                     : Matrix<float>();
  const auto there = [&](Matrix<float> all, size_t i) {
    return all.slice(offsets_[chosen[i]], offsets_[chosen[i] + 1]);
  };
  work_.pool().run(chosen.size(), [&](size_t i) {
    copy_rows(there(x_, i), x.slice(offsets[i], offsets[i + 1]));
    if (takes_v_first && layer > 0)
      copy_rows(there(v_first_, i), v_first.slice(offsets[i], offsets[i + 1]));
  });
  call(layer, part, {offsets, states, v_first, tokens}, x);
  work_.pool().run(chosen.size(), [&](size_t i) {
    if (part != Part::kVFirst) copy_rows(x.slice(offsets[i], offsets[i + 1]), there(x_, i));
    if (takes_v_first && layer == 0)
      copy_rows(v_first.slice(offsets[i], offsets[i + 1]), there(v_first_, i));
  });
}

void LiveRows::call(size_t layer, Part part, const Rows& rows, Matrix<float> x) {
  switch (part) {
    case Part::kTimeMix:
      return model_.run_time_mix(layer, rows, x, work_);
    case Part::kChannelMix:
      return model_.run_channel_mix(layer, rows, x, work_);
    case Part::kVFirst:
      return model_.make_v_first(rows, x, work_);
  }
}

void LiveRows::drop_stopped(std::span<const Step> steps) {
  FATHOM_ASSERT(steps.size() == size());
  if (std::ranges::find(steps, Step::kStop) == steps.end()) return;
  if (kept_tokens_.empty()) kept_tokens_.assign(tokens_.begin(), tokens_.end());
  size_t kept = 0, row = 0;
  for (size_t s = 0; s < steps.size(); ++s) {
    if (steps[s] == Step::kStop) continue;
    const size_t begin = offsets_[s], n = length(s);  // never in front of `row`
    std::copy_n(x_.data() + begin * x_.cols(), n * x_.cols(), x_.data() + row * x_.cols());
    if (v_first_.data())
      std::copy_n(v_first_.data() + begin * v_first_.cols(), n * v_first_.cols(),
                  v_first_.data() + row * v_first_.cols());
    std::copy_n(kept_tokens_.begin() + static_cast<std::ptrdiff_t>(begin), n,
                kept_tokens_.begin() + static_cast<std::ptrdiff_t>(row));
    sequence_[kept] = sequence_[s];
    if (!states_.empty()) states_[kept] = states_[s];
    offsets_[kept] = row;  // offsets_[s + 1] has not been overwritten yet: kept <= s
    row += n;
    ++kept;
  }
  offsets_[kept] = row;
  sequence_.resize(kept);
  offsets_.resize(kept + 1);
  if (!states_.empty()) states_.resize(kept);
  tokens_ = std::span<const uint32_t>(kept_tokens_).first(row);
}

}  // namespace fathom
