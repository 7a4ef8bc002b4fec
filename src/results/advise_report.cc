// SPDX-License-Identifier: Apache-2.0
#include "results/advise_report.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>
#include <variant>

#include "base/error.h"

namespace fathom {
namespace {

std::string percent_words(const Estimate& e, int digits) {
  return fmt::format("{:.{}f} % [{:.{}f}, {:.{}f}]", 100 * e.value, digits, 100 * e.low, digits,
                     100 * e.high, digits);
}

// A loss below 0 is a gain of as much, with its interval turned round.
std::string quality_words(const Estimate& loss) {
  const std::string words = loss_words(loss.value, 2);
  const bool gains = words.starts_with("gains");
  const double low = gains ? 0 - loss.high : loss.low, high = gains ? 0 - loss.low : loss.high;
  return fmt::format("{} [{:.2f}, {:.2f}] of the quality", words, 100 * low, 100 * high);
}

std::string effect_words(const AdviceFigures& f) {
  return fmt::format("saves {} of the FLOPs, {}, answers differ by {}", percent_words(f.saving, 1),
                     quality_words(f.loss), percent_words(f.differs, 2));
}

std::string line_of(std::string_view name, const AdviceFigures& f) {
  return fmt::format("{:<22} {:>5} rows: {}\n", name, f.n, effect_words(f));
}

std::string matched_line(const AdvisedPolicy& advised) {
  const MatchedRows& m = *advised.matched;
  if (!advised.after)
    return fmt::format("{} calibration rows drawn again by length (largest ratio {:.2f})\n",
                       m.rows.size(), m.largest);
  return fmt::format(
      "{} calibration rows drawn again by length and confidence (largest ratio {:.2f}, effective "
      "sample {:.0f} rows); {:.2f} % of the rows to come are beyond the ratio's bound, {:.2f} % of "
      "loss is set aside for them\n",
      m.rows.size(), m.largest, m.effective, 100 * m.beyond, 100 * advised.uncovered);
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
  if (advised.matched) text += matched_line(advised);
  text += line_of("chosen on calibration", advice.chosen_on);
  if (advice.held_out) text += line_of("held-out calibration", *advice.held_out);
  return text + line_of(name_of(task.report), advice.evaluated);
}

std::string to_text(const PointTime& timed) {
  const PolicyTime& time = timed.time;
  return fmt::format(
      "time, of full depth's: {:.2f} packed, {:.2f} at batch 1; FLOPs of the same {} rows {:.2f}\n",
      time.packed_share(), time.batch1_share(), time.n_example, timed.predicted_share);
}

OrderedJson to_json(const AdvisedPolicy& advised, const PointTime& timed, const Task& task,
                    const CommandPlaces& places) {
  Closing closing = closing_of(advised, task, places);
  closing.warnings.insert(closing.warnings.begin(), advised.warnings.begin(),
                          advised.warnings.end());
  return {{"task", std::string(task.name)},
          {"output", places.output},
          {"fitted", advised.file.fitted},
          {"time",
           {{"packed_share", timed.time.packed_share()},
            {"batch1_share", timed.time.batch1_share()},
            {"flops_share", timed.predicted_share},
            {"rows", timed.time.n_example}}},
          {"closing", to_json(closing)}};
}

Closing closing_of(const AdvisedPolicy& advised, const Task& task, const CommandPlaces& places) {
  const Advice& advice = advised.advice;
  const AdviceFigures& others = advice.held_out ? *advice.held_out : advice.evaluated;
  Closing closing;
  if (std::string few = warn_of_few_rows(advice.chosen_on.n, "calibration rows"); !few.empty())
    closing.warnings.push_back(std::move(few));
  closing.chosen = fmt::format("{}, {}, on {} calibration rows.", advised.name, advised.setting,
                               advice.chosen_on.n);
  closing.effect = fmt::format("On {} {}, not used for the choice: {}.", others.n,
                               advice.held_out ? std::string("held-out calibration rows")
                                               : concat("rows of ", name_of(task.report)),
                               effect_words(others));
  const bool has_heads = std::holds_alternative<ExitRule>(advised.file.rule) &&
                         std::get<ExitRule>(advised.file.rule).n_class > 0;
  closing.use = use_line(places, has_heads, task.is_pair());
  return closing;
}

}  // namespace fathom
