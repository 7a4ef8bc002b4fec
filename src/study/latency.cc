// SPDX-License-Identifier: Apache-2.0
#include "study/latency.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <system_error>

#include "base/error.h"
#include "eval/bootstrap.h"

namespace fathom {
namespace {

std::optional<uint64_t> number_in(const std::filesystem::path& file) {
  std::ifstream in(file);
  uint64_t number = 0;
  if (in >> number) return number;
  return std::nullopt;
}

// "intel-rapl:0" counts a package; "intel-rapl:0:1" a part of it, which would count twice.
bool is_package(const std::string& name) {
  return name.starts_with("intel-rapl:") && std::ranges::count(name, ':') == 1;
}

struct Calls {
  std::vector<double> seconds;
  std::optional<double> joules = 0;
};

void run_all(size_t n_example, size_t batch, const AnswerExamples& answer, EnergyMeter& meter,
             Calls& calls) {
  using Clock = std::chrono::steady_clock;
  meter.joules();
  for (size_t i = 0; i < n_example; i += batch) {
    const Clock::time_point begin = Clock::now();
    answer(i, std::min(n_example, i + batch));
    calls.seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
  }
  const std::optional<double> used = meter.joules();
  calls.joules = calls.joules && used ? std::optional(*calls.joules + *used) : std::nullopt;
}

Latency latency_of(Calls calls, double n_answered) {
  std::ranges::sort(calls.seconds);
  Latency l{quantile_of_sorted(calls.seconds, 0.5), quantile_of_sorted(calls.seconds, 0.99)};
  if (calls.joules) l.joules = *calls.joules / n_answered;
  return l;
}

}  // namespace

BatchLatency time_batches(size_t n_example, size_t batch, const AnswerExamples& policy,
                          const AnswerExamples& full) {
  FATHOM_ASSERT(n_example >= 1 && batch >= 1);
  constexpr size_t kCalls = 40, kFewest = 3, kMost = 12;
  const size_t a_round = (n_example + batch - 1) / batch,
               n_round = std::clamp((kCalls + a_round - 1) / a_round, kFewest, kMost);
  EnergyMeter meter;
  Calls of_policy, of_full, warm_up;
  run_all(n_example, batch, policy, meter, warm_up);
  for (size_t r = 0; r < n_round; ++r) {
    run_all(n_example, batch, full, meter, of_full);
    run_all(n_example, batch, policy, meter, of_policy);
  }
  const auto n_answered = static_cast<double>(n_round * n_example);
  return {batch, n_round * a_round, latency_of(std::move(of_policy), n_answered),
          latency_of(std::move(of_full), n_answered)};
}

EnergyMeter::EnergyMeter(const std::filesystem::path& root) {
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(root, none)) {
    if (!is_package(entry.path().filename().string())) continue;
    const auto now = number_in(entry.path() / "energy_uj"),
               range = number_in(entry.path() / "max_energy_range_uj");
    readable_ = readable_ && now && range;
    packages_.push_back({entry.path() / "energy_uj", range.value_or(0), now.value_or(0)});
  }
}

std::optional<double> EnergyMeter::joules() {
  if (packages_.empty() || !readable_) return std::nullopt;
  uint64_t sum = 0;
  for (Package& p : packages_) {
    const std::optional<uint64_t> now = number_in(p.file);
    if (!now) return std::nullopt;
    sum += *now >= p.last ? *now - p.last : *now + p.range - p.last;
    p.last = *now;
  }
  return static_cast<double>(sum) * 1e-6;
}

}  // namespace fathom
