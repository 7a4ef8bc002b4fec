// SPDX-License-Identifier: Apache-2.0
#include "serve/metrics.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace fathom::serve {
namespace {

std::string number_text(double value) {
  char text[32];
  const auto [end, _] = std::to_chars(text, text + sizeof(text), value);
  return {text, end};
}

std::vector<double> powers_of_two(double first, size_t n) {
  std::vector<double> bounds;
  for (; n > 0; --n, first *= 2) bounds.push_back(first);
  return bounds;
}

std::vector<double> seconds() { return powers_of_two(0.0005, 18); }

void head(std::string_view name, std::string_view type, std::string_view help, std::string& out) {
  out += concat("# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n");
}

void counter(std::string_view name, std::string_view help, double value, std::string& out) {
  head(name, "counter", help, out);
  out += concat(name, " ", number_text(value), "\n");
}
void gauge(std::string_view name, std::string_view help, double value, std::string& out) {
  head(name, "gauge", help, out);
  out += concat(name, " ", number_text(value), "\n");
}

}  // namespace

void Histogram::add(double value) {
  const auto at = std::ranges::lower_bound(bounds_, value);
  const std::lock_guard lock(mutex_);
  ++counts_[static_cast<size_t>(at - bounds_.begin())];
  sum_ += value;
}

void Histogram::write(std::string_view name, std::string_view labels, std::string& out) const {
  const std::lock_guard lock(mutex_);
  const std::string_view comma = labels.empty() ? "" : ",";
  uint64_t total = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    total += counts_[i];
    const std::string le = i < bounds_.size() ? number_text(bounds_[i]) : "+Inf";
    out += concat(name, "_bucket{", labels, comma, "le=\"", le, "\"} ", total, "\n");
  }
  const std::string all = labels.empty() ? "" : concat("{", labels, "}");
  out += concat(name, "_sum", all, " ", number_text(sum_), "\n", name, "_count", all, " ", total,
                "\n");
}

void LabelledCounter::add(const std::string& label, double n) {
  const std::lock_guard lock(mutex_);
  counts_[label] += n;
}

void LabelledCounter::write(std::string_view name, std::string_view label, std::string& out) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [value, n] : counts_)
    out += concat(name, "{", label, "=\"", value, "\"} ", number_text(n), "\n");
}

Metrics::Metrics()
    : request_duration(seconds()),
      tokenization_duration(seconds()),
      queue_duration(seconds()),
      inference_duration(seconds()),
      batch_next_size(powers_of_two(1, 11)),
      batch_next_tokens(powers_of_two(16, 14)),
      exit_layer({0, 1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 28, 32, 40, 48, 64}) {}

std::string Metrics::text(const Gauges& gauges) const {
  std::string out;
  const auto labelled = [&](const char* name, const char* help, const LabelledCounter& c,
                            const char* label) {
    head(name, "counter", help, out);
    c.write(name, label, out);
  };
  const auto histogram = [&](const char* name, const char* help, const Histogram& h) {
    head(name, "histogram", help, out);
    h.write(name, "", out);
  };
  labelled("te_request_count", "Requests of the engine's routes", request_count, "method");
  labelled("te_request_success", "Of them, answered", request_success, "method");
  labelled("te_request_failure", "Of them, not answered", request_failure, "err");
  histogram("te_request_duration", "Seconds from header to reply", request_duration);
  histogram("te_request_tokenization_duration", "Seconds of it in parsing and tokenising",
            tokenization_duration);
  histogram("te_request_queue_duration", "Seconds of it in the queue", queue_duration);
  histogram("te_request_inference_duration", "Seconds of it in the engine", inference_duration);
  gauge("te_queue_size", "Requests that wait", static_cast<double>(gauges.queue_size), out);
  histogram("te_batch_next_size", "Texts in a batch", batch_next_size);
  histogram("te_batch_next_tokens", "Tokens in a batch", batch_next_tokens);
  gauge("fathom_queue_tokens", "Tokens that wait or run", static_cast<double>(gauges.queue_tokens),
        out);
  histogram("fathom_exit_layer", "Where depth policies let texts stop", exit_layer);
  counter("fathom_texts_total", "Texts that the engine read", static_cast<double>(n_text), out);
  counter("fathom_tokens_total", "Tokens that the engine read", static_cast<double>(n_token), out);
  counter("fathom_policy_flops_total", "FLOPs of texts under depth policies", flops, out);
  counter("fathom_flops_saved_total", "FLOPs that depth policies saved", full_flops - flops, out);
  labelled("fathom_rejected_total", "Requests that admission turned away", rejected, "reason");
  labelled("fathom_responses_total", "Responses of all routes", responses, "code");
  gauge("fathom_connections", "Open connections", static_cast<double>(n_connection), out);
  counter("fathom_disconnected_total", "Requests whose client left before the answer",
          static_cast<double>(n_disconnected), out);
  return out;
}

}  // namespace fathom::serve
