// SPDX-License-Identifier: Apache-2.0
// Metrics in Prometheus' text format, with Text Embeddings Inference's names and names of our own.
// Any thread may call any function.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fathom::serve {

class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds)
      : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}
  void add(double value);
  // Lines NAME_bucket{LABELS le="…"}, NAME_sum, NAME_count; labels: "" or `model="x"`.
  void write(std::string_view name, std::string_view labels, std::string& out) const;

 private:
  std::vector<double> bounds_;  // rising
  mutable std::mutex mutex_;
  std::vector<uint64_t> counts_;  // (bounds + 1)
  double sum_ = 0;
};

// Counts by a label's value.
class LabelledCounter {
 public:
  void add(const std::string& label, double n = 1);
  void write(std::string_view name, std::string_view label, std::string& out) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, double> counts_;
};

struct Metrics {
  // Of the engine's routes. method: "single" or "batch".
  LabelledCounter request_count, request_success;
  LabelledCounter request_failure;  // by "err"
  LabelledCounter rejected;         // by "reason": what admission turned away
  LabelledCounter responses;        // by "code": of all routes
  Histogram request_duration, tokenization_duration, queue_duration, inference_duration;
  Histogram batch_next_size, batch_next_tokens;
  Histogram exit_layer;  // of texts under a depth policy
  std::atomic<uint64_t> n_text = 0, n_token = 0, n_connection = 0, n_disconnected = 0;
  // FLOPs of texts under a policy, and what they would have been at full depth.
  std::atomic<double> flops = 0, full_flops = 0;

  Metrics();
  struct Gauges {
    size_t queue_size = 0, queue_tokens = 0;
  };
  std::string text(const Gauges& gauges) const;
};

}  // namespace fathom::serve
