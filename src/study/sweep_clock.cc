// SPDX-License-Identifier: Apache-2.0
#include "study/sweep_clock.h"

#include <algorithm>

#include "depth/exit.h"
#include "depth/mask.h"
#include "study/rows.h"

namespace fathom {
namespace {

constexpr size_t kFew = 8, kMany = 256;  // examples

}  // namespace

SweepClock::SweepClock(const PreparedTask& prepared, FeatureSource& source, const MethodPoint& full,
                       double pass_seconds, std::vector<size_t> batches)
    : prepared_(prepared),
      source_(source),
      full_(full),
      width_(prepared.data.task.is_pair() ? 2 : 1),
      batches_(std::move(batches)) {
  for (size_t l = 0; l <= source.n_layer(); ++l) depths_.emplace_back(l);
  for (const FixedDepth& depth : depths_)
    encoders_.emplace_back(source.model(), source.options(), &depth);
  examples_ = every_row(std::min(kFew, prepared.evaluated.gold.size()));
  const std::vector<std::vector<Token>> few = ids_of(examples_);
  const double seconds = median_seconds([&] { run(encoders_.back(), nullptr, few); }, 1, 3),
               fitting = pass_seconds / seconds * static_cast<double>(examples_.size());
  examples_ = every_row(std::min(prepared.evaluated.gold.size(),
                                 std::clamp(static_cast<size_t>(fitting), kFew, kMany)));
}

std::vector<std::vector<Token>> SweepClock::ids_of(std::span<const size_t> examples) const {
  std::vector<std::vector<Token>> ids;
  for (size_t i : examples)
    for (size_t s = 0; s < width_; ++s)
      ids.push_back(source_.tokenizer().encode(prepared_.data.evaluated_texts[i * width_ + s]));
  return ids;
}

void SweepClock::run(const Encoder& encoder, const LayerFit* head,
                     std::span<const std::vector<Token>> ids) {
  vectors_.resize(ids.size() * encoder.dim());
  std::vector<DepthTrace> trace(ids.size());
  encoder.encode(ids, vectors_, source_.open().work, {}, trace);
  if (!head) return;
  const size_t n = width_ * encoder.dim();
  for (size_t begin = 0; begin < vectors_.size(); begin += n)
    sink_ += answer_from(prepared_.data.task, *head, std::span(vectors_).subspan(begin, n));
}

AnswerExamples SweepClock::fixed(const std::vector<std::vector<Token>>& ids,
                                 std::vector<uint32_t> layers) {
  return [this, all = std::span(ids), layers = std::move(layers)](size_t begin, size_t end) {
    while (begin < end) {
      size_t same = begin;
      while (same < end && layers[same] == layers[begin]) ++same;
      run(encoders_[layers[begin]], &prepared_.fits[layers[begin]],
          all.subspan(begin * width_, (same - begin) * width_));
      begin = same;
    }
  };
}

PointTime SweepClock::time(std::span<const size_t> examples, const MethodPoint& point,
                           const std::vector<std::vector<Token>>& ids,
                           const AnswerExamples& answer) {
  double flops = 0, all = 0;
  for (size_t i : examples) {
    flops += point.evaluated.flops[i];
    all += full_.evaluated.flops[i];
  }
  const auto deepest = static_cast<uint32_t>(source_.n_layer());
  const std::vector<uint32_t> layers(examples.size(), deepest);
  const AnswerExamples full = fixed(ids, layers);
  latencies_.clear();
  for (size_t batch : batches_)
    latencies_.push_back(time_batches(examples.size(), batch, answer, full));
  return {time_policy(examples.size(), answer, full), flops / all};
}

PointTime SweepClock::baseline(const MethodPoint& point) {
  std::vector<size_t> examples = examples_;
  const std::vector<uint32_t>& layer = point.evaluated.layer;
  std::ranges::stable_sort(examples, {}, [&](size_t i) { return layer[i]; });
  std::vector<uint32_t> layers;
  for (size_t i : examples) layers.push_back(layer[i]);
  const std::vector<std::vector<Token>> ids = ids_of(examples);
  return time(examples, point, ids, fixed(ids, layers));
}

PointTime SweepClock::exit(ExitRule rule, const MethodPoint& point) {
  set_point(rule, point.exit);
  const EarlyExit policy("exit", std::move(rule));
  const Encoder encoder(source_.model(), source_.options(), &policy);
  const std::vector<std::vector<Token>> ids = ids_of(examples_);
  return time(examples_, point, ids, [&](size_t begin, size_t end) {
    run(encoder, nullptr, std::span(ids).subspan(begin * width_, (end - begin) * width_));
  });
}

PointTime SweepClock::file(const FilePolicy& policy) {
  const std::vector<std::vector<Token>> ids = ids_of(examples_);
  return time(examples_, policy.method().points.front(), ids, [&](size_t begin, size_t end) {
    run(policy.encoder(), policy.head(),
        std::span(ids).subspan(begin * width_, (end - begin) * width_));
  });
}

}  // namespace fathom
