// SPDX-License-Identifier: Apache-2.0
#include "study/prune.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/invalid_option.h"
#include "study/mask_task.h"
#include "study/rounding.h"

namespace fathom {
namespace {

constexpr std::array<std::pair<PruneMethod, std::string_view>, 5> kMethods = {
    {{PruneMethod::kInfluence, "bi"},
     {PruneMethod::kAngular, "angular"},
     {PruneMethod::kGreedy, "greedy"},
     {PruneMethod::kCrossEntropy, "cem"},
     {PruneMethod::kRandom, "random"}}};

// Boundaries of sublayers in front of and behind a unit.
size_t begin_of(const PruneUnit& unit) {
  return 2 * unit.layer + (unit.sublayers == Step::kChannelMix ? 1 : 0);
}
size_t end_of(const PruneUnit& unit) {
  return 2 * unit.layer + (unit.sublayers == Step::kTimeMix ? 1 : 2);
}

std::vector<double> influences(bool pooled, const PruneProblem& problem,
                               const SublayerStates& states) {
  std::vector<double> out;
  for (const PruneUnit& unit : problem.units) {
    if (pooled)
      out.push_back(states.pooled_influence(begin_of(unit), end_of(unit)));
    else
      out.push_back(unit.sublayers == Step::kBlock ? states.block_influence[unit.layer]
                                                   : states.sublayer_influence[begin_of(unit)]);
  }
  return out;
}

// How many masks a search looks at, about: for the progress bar.
size_t expected_masks(PruneMethod method, const PruneProblem& problem) {
  const size_t n = problem.units.size();
  if (method == PruneMethod::kCrossEntropy) {
    const CrossEntropyOptions options;
    return options.n_sample * options.n_iteration;
  }
  const double removed = problem.n_remove ? static_cast<double>(*problem.n_remove)
                                          : (1 - problem.keep) * static_cast<double>(n);
  const double steps = std::max(1.0, removed);
  return static_cast<size_t>(method == PruneMethod::kGreedy
                                 ? steps * (static_cast<double>(n) - steps / 2)
                                 : steps) +
         1;
}

MaskSearch search(const PruneOptions& options, const PruneProblem& problem,
                  const MaskLoss& objective, MaskCorpus& corpus) {
  Stage stage(corpus.listener, "masks", expected_masks(options.method, problem));
  size_t done = 0;
  const MaskLoss loss = [&](const BlockMask& mask) {
    const double value = objective(mask);
    stage.at(++done);
    return value;
  };
  if (options.method == PruneMethod::kGreedy) return greedy_search(problem, loss);
  if (options.method == PruneMethod::kCrossEntropy)
    return cross_entropy_search(problem, loss, {.seed = options.seed});
  if (options.method == PruneMethod::kRandom) return random_search(problem, loss, options.seed);
  const SublayerStates states = sublayer_states(corpus.texts(corpus.fitted), corpus.open.work);
  if (options.method == PruneMethod::kInfluence)
    return remove_in_order(problem, influences(options.pooled_rows, problem, states), loss);
  return remove_range(
      problem,
      [&](size_t begin, size_t end) {
        return states.angular_distance(begin_of(problem.units[begin]),
                                       end_of(problem.units[end - 1]));
      },
      loss);
}

void compare(const MaskLoss& fitted, const MaskLoss& held_out, const CostModel& cost,
             PruneResult& r) {
  const auto judge = [&](const BlockMask& mask) {
    return MaskLosses{flops_share(cost, mask), without_rounding(fitted(mask)),
                      without_rounding(held_out(mask))};
  };
  constexpr size_t kMasks = PruneResult::kRandomMasks;
  r.found = judge(r.search.mask);
  r.whole = judge(BlockMask::all(r.problem.n_layer));
  r.truncated = judge(r.problem.without(last_removed(r.problem)));
  r.best_random = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < kMasks; ++i) {
    Random random(r.options.seed + i);
    const MaskLosses one =
        judge(r.problem.without(random_like(r.problem, r.search.removed, random)));
    r.random.share += one.share / kMasks;
    r.random.fitted += one.fitted / kMasks;
    r.random.held_out += one.held_out / kMasks;
    r.best_random = std::min(r.best_random, one.held_out);
    r.n_random_worse += one.held_out > r.found.held_out;
  }
}

OrderedJson json_of(const MaskLosses& l) {
  return {{"flops_share", l.share}, {"loss_fitted", l.fitted}, {"loss", l.held_out}};
}

}  // namespace

PruneMethod parse_prune_method(std::string_view name) {
  for (const auto& [method, own] : kMethods)
    if (name == own) return method;
  throw InvalidOption("method", "bi, angular, greedy, cem or random", concat("'", name, "'"));
}

std::string_view name_of(PruneMethod method) {
  for (const auto& [own, name] : kMethods)
    if (method == own) return name;
  FATHOM_ASSERT(!"unknown method");
}

namespace {

bool has_reference(ObjectiveKind kind) {
  return kind == ObjectiveKind::kCosine || kind == ObjectiveKind::kRsa;
}

// By the loss of heads.
void search_for_task(MaskCorpus& corpus, PruneResult& r) {
  if (!corpus.task)
    throw InvalidOption("objective", "cosine or rsa without `tasks` of one task", "task");
  const TaskMaskLoss loss(*corpus.task, {corpus.texts(corpus.fitted), corpus.fitted.label},
                          {corpus.texts(corpus.held_out), corpus.held_out.label}, r.options.seed,
                          corpus.open.work);
  const MaskLoss fitted = [&](const BlockMask&mask) { return loss.fitted(mask); },
                 held_out = [&](const BlockMask&mask) { return loss.held_out(mask); };
  r.search = search(r.options, r.problem, fitted, corpus);
  compare(fitted, held_out, corpus.cost(), r);
}

}  // namespace

PruneResult prune(MaskCorpus& corpus, const PruneOptions& options) {
  const bool label = options.objective == ObjectiveKind::kLabel;
  if (label && corpus.fitted.gold.empty())
    throw InvalidOption(
        "objective", "cosine or rsa without `tasks` of one task of scored sentence pairs", "label");
  PruneResult r;
  r.options = options;
  r.problem = problem_of(options.size, corpus.cost());
  if (has_reference(options.objective)) r.reference = reference_layer(options.reference, corpus);
  const auto objective_on = [&](const MaskExamples& examples) {
    return MaskObjective(corpus.texts(examples), options.objective, r.reference,
                         label ? std::span<const double>(examples.gold) : std::span<const double>(),
                         corpus.open.work);
  };
  if (options.objective == ObjectiveKind::kTask) {
    search_for_task(corpus, r);
  } else {
    const MaskObjective fitted = objective_on(corpus.fitted),
                        held_out = objective_on(corpus.held_out);
    r.search = search(options, r.problem, std::cref(fitted), corpus);
    compare(std::cref(fitted), std::cref(held_out), corpus.cost(), r);
  }
  r.file = policy_for(corpus, options.size, options.command);
  r.file.fitted.update(summary_json(r));
  r.file.rule = r.search.mask;
  return r;
}

OrderedJson summary_json(const PruneResult& r) {
  OrderedJson j;
  j["method"] = std::string(name_of(r.options.method));
  if (r.options.method == PruneMethod::kInfluence)
    j["rows"] = r.options.pooled_rows ? "pooled" : "token";
  j["objective"] = std::string(name_of(r.options.objective));
  if (has_reference(r.options.objective)) j["reference_layer"] = r.reference;
  j["masks_evaluated"] = r.search.n_evaluated;
  j["found"] = json_of(r.found);
  j["whole"] = json_of(r.whole);
  j["truncated"] = json_of(r.truncated);
  j["random"] = json_of(r.random);
  j["random"]["n_mask"] = PruneResult::kRandomMasks;
  j["random"]["best_loss"] = r.best_random;
  j["random"]["n_worse"] = r.n_random_worse;
  return j;
}

}  // namespace fathom
