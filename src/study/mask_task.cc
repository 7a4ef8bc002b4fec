// SPDX-License-Identifier: Apache-2.0
#include "study/mask_task.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "probe/features.h"
#include "probe/fit.h"
#include "probe/folds.h"
#include "study/rows.h"

namespace fathom {
namespace {

double loss_of(const Task& task, const LinearHead& head, std::span<const float> x, double gold) {
  if (task.n_class() == 1) {
    const double error = (head.value(x) - gold) / (task.highest - task.lowest);
    return error * error;
  }
  std::vector<double> z(head.n_class), p(head.n_class);
  head.logits(x, z);
  softmax(z, p);
  return -std::log(std::max(p[static_cast<size_t>(gold)], 1e-300));
}

}  // namespace

TaskMaskLoss::TaskMaskLoss(const Task& task, TaskExamples fitted, TaskExamples held_out,
                           uint64_t seed, Workspace& work)
    : task_(task), fitted_(std::move(fitted)), held_out_(std::move(held_out)), work_(work) {
  const size_t n = fitted_.gold.size();
  FATHOM_REQUIRE(n >= 40, "objective task: expected a `sample` of at least 40 examples of ",
                 task.name, ", got ", n);
  std::vector<uint32_t> strata;
  std::vector<size_t> count(task.n_class());
  for (double gold : fitted_.gold) {
    strata.push_back(task.n_class() == 1 ? 0 : static_cast<uint32_t>(gold));
    ++count[strata.back()];
  }
  for (size_t k = 0; k < count.size(); ++k)
    FATHOM_REQUIRE(count[k] >= 2, "objective task: ", count[k], " of the ", n, " examples of ",
                   task.name, " are of class ", k,
                   "; expected at least 2 of every class (a larger `sample` has more)");
  const std::vector<uint32_t> fold = assign_folds(strata, 2, seed);
  for (size_t i = 0; i < n; ++i) half_[fold[i]].push_back(i);
  const Features whole = features(fitted_, BlockMask::all(fitted_.texts.model.config().n_layer));
  FATHOM_REQUIRE(whole.finite, "objective task: vectors of the whole model are not finite");
  c_ = fit_head(task_.features, whole.view(), fitted_.gold, task_.n_class()).c;
}

TaskMaskLoss::Features TaskMaskLoss::features(const TaskExamples& examples,
                                              const BlockMask& mask) const {
  const std::vector<float> vectors = vectors_under(examples.texts, mask, work_);
  Features out{features_of(task_, vectors, examples.gold.size()), true};
  out.finite = std::ranges::all_of(out.values, [](float x) { return std::isfinite(x); });
  return out;
}

double TaskMaskLoss::loss(const Features& learnt_from, std::span<const double> gold,
                          std::span<const size_t> learnt, const Features& judged_on,
                          std::span<const double> judged_gold,
                          std::span<const size_t> judged) const {
  std::vector<float> x;
  std::vector<double> y;
  for (size_t i : learnt) {
    const float* from = learnt_from.values.data() + i * learnt_from.dim;
    x.insert(x.end(), from, from + learnt_from.dim);
    y.push_back(gold[i]);
  }
  const LinearHead head = fit_head(task_.features, {x.data(), learnt.size(), learnt_from.dim}, y,
                                   task_.n_class(), {.c = {c_}})
                              .head;
  double sum = 0;
  for (size_t i : judged)
    sum += loss_of(task_, head, {judged_on.values.data() + i * judged_on.dim, judged_on.dim},
                   judged_gold[i]);
  return sum;
}

double TaskMaskLoss::fitted(const BlockMask& mask) const {
  const Features all = features(fitted_, mask);
  if (!all.finite) return kOverflow;
  const double sum = loss(all, fitted_.gold, half_[0], all, fitted_.gold, half_[1]) +
                     loss(all, fitted_.gold, half_[1], all, fitted_.gold, half_[0]);
  return sum / static_cast<double>(all.n);
}

double TaskMaskLoss::held_out(const BlockMask& mask) const {
  const Features learnt = features(fitted_, mask), judged = features(held_out_, mask);
  if (!learnt.finite || !judged.finite) return kOverflow;
  return loss(learnt, fitted_.gold, every_row(learnt.n), judged, held_out_.gold,
              every_row(judged.n)) /
         static_cast<double>(judged.n);
}

}  // namespace fathom
