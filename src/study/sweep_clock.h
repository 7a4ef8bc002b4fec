// SPDX-License-Identifier: Apache-2.0
// Wall-clock time of the operating points of a sweep, beside the time that their FLOPs predict.
//
// A point runs on the first examples of the evaluated split, in packed batches and one example at a
// time, in alternation with full depth and its head. Exits and policy files run as they do for a
// user. For baselines the depth of every example is known in advance, so examples of the same depth
// are packed together: no exit can be faster. Tokenising is not timed.
#pragma once

#include <vector>

#include "study/file_policy.h"
#include "study/latency.h"
#include "study/prepared_task.h"
#include "study/sweep_check.h"

namespace fathom {

class SweepClock {
 public:
  // full: layer L of layer_points(). Finds out how many examples (8 to 256) full depth answers in
  // about this time. batches: sizes of calls whose latencies are taken too.
  SweepClock(const PreparedTask& prepared, FeatureSource& source, const MethodPoint& full,
             double pass_seconds = 0.05, std::vector<size_t> batches = {});

  PointTime baseline(const MethodPoint& point);
  PointTime exit(ExitRule rule, const MethodPoint& point);
  PointTime file(const FilePolicy& policy);
  // Of the point that was timed last.
  const std::vector<BatchLatency>& latencies() const { return latencies_; }

 private:
  std::vector<std::vector<Token>> ids_of(std::span<const size_t> examples) const;
  // Examples leave at these layers; equal ones that are neighbours go together.
  AnswerExamples fixed(const std::vector<std::vector<Token>>& ids, std::vector<uint32_t> layers);
  // Runs the encoder; `head`, if given, answers from its vectors.
  void run(const Encoder& encoder, const LayerFit* head, std::span<const std::vector<Token>> ids);
  PointTime time(std::span<const size_t> examples, const MethodPoint& point,
                 const std::vector<std::vector<Token>>& ids, const AnswerExamples& answer);

  const PreparedTask& prepared_;
  FeatureSource& source_;
  const MethodPoint& full_;
  size_t width_;  // texts of an example
  std::vector<FixedDepth> depths_;
  std::vector<Encoder> encoders_;  // (n_layer + 1), fixed depth
  std::vector<size_t> examples_;   // those that are timed
  std::vector<size_t> batches_;
  std::vector<BatchLatency> latencies_;  // (batches)
  std::vector<float> vectors_;
  double sink_ = 0;  // so that no answer is left out as unused
};

}  // namespace fathom
