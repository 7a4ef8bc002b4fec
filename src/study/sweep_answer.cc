// SPDX-License-Identifier: Apache-2.0
// What the results of a sweep say together: the verdict of a task, files beside each other, means
// over tasks.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "eval/bootstrap.h"
#include "study/policy_names.h"
#include "study/sweep_result.h"

namespace fathom {
namespace {

using Choice = std::optional<Against> MethodScore::*;
using Figure = double PointScore::*;

// Of the exits by measure the one whose chosen point is best by a figure of calibration rows.
std::optional<ChosenExit> chosen_exit(std::span<const PolicyResult> results, Choice choice,
                                      Figure figure, bool largest) {
  const PolicyResult* best = nullptr;
  double best_value = 0;
  for (const PolicyResult& r : results) {
    const std::optional<Against>& chosen = r.score.*choice;
    if (!is_measure(r.policy) || !chosen) continue;
    const double value = r.score.points[chosen->point].*figure;
    if (best && (largest ? value <= best_value : value >= best_value)) continue;
    best = &r;
    best_value = value;
  }
  if (!best) return std::nullopt;
  return ChosenExit{best->policy, *(best->score.*choice)};
}

Verdict verdict_of(const std::optional<ChosenExit>& same_cost) {
  if (!same_cost) return Verdict::kNoneAsCheap;
  const Estimate& difference = same_cost->against.difference;
  if (difference.low > 0) return Verdict::kBetter;
  return difference.high < 0 ? Verdict::kWorse : Verdict::kNoDifference;
}

PolicyMean policy_mean(std::span<const SweptTask> tasks, const std::string& policy) {
  PolicyMean mean{.policy = policy};
  std::vector<double> values;
  std::vector<std::vector<double>> replicates;
  double log_factor = 0;
  size_t n_speed_up = 0;
  for (const SweptTask& task : tasks)
    for (const PolicyResult& r : task.policies) {
      if (r.policy != policy && std::ranges::count(r.also, policy) == 0) continue;
      mean.tasks.push_back(task.name);
      values.push_back(r.score.elue.value);
      replicates.push_back(r.score.elue_replicates);
      FATHOM_REQUIRE(replicates.back().size() == replicates.front().size(), task.name, ": ", policy,
                     ": expected ", replicates.front().size(), " replicates of its score, got ",
                     replicates.back().size());
      if (!r.score.speed_up_full || !std::isfinite(r.score.speed_up_full->factor.value)) continue;
      ++n_speed_up;
      log_factor += std::log(r.score.speed_up_full->factor.value);
    }
  mean.elue = macro_score(values, replicates);
  if (n_speed_up == mean.n_task())
    mean.speed_up_full = std::exp(log_factor / static_cast<double>(n_speed_up));
  return mean;
}

}  // namespace

PolicyResult policy_result(const Method& method, MethodScore score, const Task& task) {
  PolicyResult result{.policy = method.name,
                      .metric = std::string(name_of(task.metrics.front())),
                      .score = std::move(score),
                      .reliability = method.reliability};
  if (result.score.speed_up_full)
    result.exit_layers = method.points[result.score.speed_up_full->point].evaluated.layer;
  return result;
}

const PolicyResult* find_result(std::span<const PolicyResult> results, std::string_view policy) {
  const auto found = std::ranges::find(results, policy, &PolicyResult::policy);
  return found == results.end() ? nullptr : &*found;
}

SweepAnswer answer_of(std::span<const PolicyResult> results) {
  const PolicyResult* curve = find_result(results, "fixed");
  FATHOM_REQUIRE(curve, "no results of fixed depth, which the others are held against");
  const std::vector<PointScore>& layers = curve->score.points;
  const size_t best = curve->score.best_layer;
  FATHOM_REQUIRE(best >= 1 && best <= layers.size(), "fixed: best_fixed_layer: expected 1 to ",
                 layers.size(), ", got ", best);
  SweepAnswer answer{.best_fixed_layer = best,
                     .best_fixed_score = layers[best - 1].score.value,
                     .full_depth_score = layers.back().score.value};
  if (const PolicyResult* embedding = find_result(results, "embedding"))
    answer.embedding_score = embedding->score.points.front().score.value;
  answer.same_cost =
      chosen_exit(results, &MethodScore::same_cost, &PointScore::calibration_score, true);
  answer.verdict = verdict_of(answer.same_cost);
  answer.speed_up_best_fixed =
      chosen_exit(results, &MethodScore::speed_up_best, &PointScore::calibration_share, false);
  answer.speed_up_full =
      chosen_exit(results, &MethodScore::speed_up_full, &PointScore::calibration_share, false);
  return answer;
}

std::vector<FileComparison> compare_files(std::span<const PolicyResult> results) {
  std::vector<FileComparison> all;
  for (const PolicyResult& a : results)
    for (const PolicyResult& b : results) {
      if (&a == &b || !is_file(a.policy) || !is_file(b.policy)) continue;
      FATHOM_REQUIRE(a.score.elue_replicates.size() == b.score.elue_replicates.size(), a.policy,
                     " and ", b.policy, ": expected as many replicates of either score, got ",
                     a.score.elue_replicates.size(), " and ", b.score.elue_replicates.size());
      const Interval between =
          paired_difference(a.score.elue_replicates, b.score.elue_replicates).interval;
      all.push_back(
          {.file = &a,
           .than = &b,
           .gain = a.score.points.front().score.value - b.score.points.front().score.value,
           .gain_over_curve = {a.score.elue.value - b.score.elue.value, between.low,
                               between.high}});
    }
  return all;
}

std::vector<PolicyMean> means_over(std::span<const SweptTask> tasks) {
  std::vector<PolicyMean> means;
  const auto add = [&](const std::string& policy) {
    if (std::ranges::find(means, policy, &PolicyMean::policy) == means.end())
      means.push_back(policy_mean(tasks, policy));
  };
  for (const SweptTask& task : tasks)
    for (const PolicyResult& r : task.policies) {
      add(r.policy);
      std::ranges::for_each(r.also, add);
    }
  return means;
}

}  // namespace fathom
