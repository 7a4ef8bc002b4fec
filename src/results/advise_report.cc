// SPDX-License-Identifier: Apache-2.0
#include "results/advise_report.h"

#include <fmt/format.h>

#include <string_view>

namespace fathom {
namespace {

std::string line_of(std::string_view name, const AdviceFigures& f) {
  const auto percent = [](const Estimate& e, int digits) {
    return fmt::format("{:.{}f} % [{:.{}f}, {:.{}f}]", 100 * e.value, digits, 100 * e.low, digits,
                       100 * e.high, digits);
  };
  return fmt::format(
      "{:<22} {:>5} rows: saves {} of the FLOPs, loses {} of the quality, answers differ by {}\n",
      name, f.n, percent(f.saving, 1), percent(f.loss, 2), percent(f.differs, 2));
}

}  // namespace

std::string to_text(const AdviceResolution& r, const Task& task, const AdviceTarget& target) {
  if (target.promise == AdvicePromise::kOptimistic) return {};
  const std::string begin =
      fmt::format("{}: {} calibration rows, {} policies at {} / {}: ", task.name, r.n_available,
                  r.n_test, target.epsilon, r.n_test);
  if (!r.is_exact)
    return begin + fmt::format("the bound of {} is a bootstrap's, which is no proof",
                               name_of(task.metrics.front()));
  return begin + fmt::format(
                     "they certify a loss of {:.2f} % at best, and {:g} % takes {} rows "
                     "without a single loss{}",
                     100 * r.smallest, 100 * target.max_loss, r.n_needed,
                     r.is_enough() ? "" : ": full depth will be the advice");
}

std::string to_text(const AdvisedPolicy& advised, const Task& task, const AdviceTarget& target) {
  std::string text;
  for (const std::string& warning : advised.warnings) text += warning + '\n';
  text += fmt::format("{}: {}, {}\n", task.title, advised.name, advised.setting);
  const Advice& advice = advised.advice;
  if (target.promise != AdvicePromise::kOptimistic && advice.choice)
    text += fmt::format(
        "promised with probability {:g} for rows like the calibration rows: {} at most {:.2f} "
        "%{}\n",
        1 - target.epsilon,
        target.promise == AdvicePromise::kAnswers ? "answers differ from full depth's by"
                                                  : "the loss is",
        100 * advice.bound, advice.resolution.is_exact ? "" : " (bootstrap, no proof)");
  if (advised.matched)
    text += fmt::format("{} calibration rows drawn again by length (largest ratio {:.2f})\n",
                        advised.matched->rows.size(), advised.matched->largest);
  text += line_of("chosen on calibration", advice.chosen_on);
  if (advice.held_out) text += line_of("held-out calibration", *advice.held_out);
  return text + line_of(name_of(task.report), advice.evaluated);
}

}  // namespace fathom
