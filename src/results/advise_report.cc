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

std::string to_text(const AdvisedPolicy& advised, const Task& task, const AdviceTarget& target) {
  std::string text = fmt::format("{}: {}, {}\n", task.title, advised.name, advised.setting);
  if (target.epsilon > 0)
    text += fmt::format(
        "Learn-then-Test over {} policies: answers differ from full depth by at most {} with "
        "probability {}\n",
        advised.methods.size(), target.max_loss, 1 - target.epsilon);
  return text + line_of("chosen on calibration", advised.advice.chosen_on) +
         line_of("held-out calibration", advised.advice.held_out) +
         line_of(name_of(task.report), advised.advice.evaluated);
}

}  // namespace fathom
