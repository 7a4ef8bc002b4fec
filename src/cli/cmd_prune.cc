// SPDX-License-Identifier: Apache-2.0
// fathom prune: which blocks, or halves of blocks, a model can do without; a mask: policy file.
#include <fmt/format.h>

#include <iostream>
#include <limits>

#include "base/error.h"
#include "base/output_set.h"
#include "cli/commands.h"
#include "cli/mask_flags.h"
#include "cli/progress.h"
#include "report/table.h"
#include "study/search.h"

namespace fathom::cli {
namespace {

struct Flags {
  MaskFlags mask;
  std::string method = "greedy", objective = "cosine", rows = "token";
};

constexpr size_t kRandomMasks = 20;

// What a mask loses on the texts that it was fitted on, and on others.
struct Losses {
  double share = 0;  // of the FLOPs
  double fitted = 0, held_out = 0;
};

struct Comparison {
  Losses found, whole, truncated, random;  // random: means of kRandomMasks
  double best_random = 0;                  // on held-out texts
  size_t n_random_worse = 0;               // than what was found, on held-out texts
};

void check(const Flags& flags) {
  flags.mask.check();
  const std::string& m = flags.method;
  if (m != "bi" && m != "angular" && m != "greedy" && m != "cem" && m != "random")
    throw UsageError(
        concat("--method: expected bi, angular, greedy, cem or random, got '", m, "'"));
  if (flags.rows != "token" && flags.rows != "pooled")
    throw UsageError(concat("--rows: expected token or pooled, got '", flags.rows, "'"));
  parse_objective(flags.objective);
}

// Boundaries of halves in front of and behind a unit.
size_t begin_of(const PruneUnit& unit) {
  return 2 * unit.layer + (unit.halves == Step::kChannelMix ? 1 : 0);
}
size_t end_of(const PruneUnit& unit) {
  return 2 * unit.layer + (unit.halves == Step::kTimeMix ? 1 : 2);
}

std::vector<double> influences(const Flags& flags, const PruneProblem& problem,
                               const HalfStates& states) {
  std::vector<double> out;
  for (const PruneUnit& unit : problem.units) {
    if (flags.rows == "pooled")
      out.push_back(states.pooled_influence(begin_of(unit), end_of(unit)));
    else
      out.push_back(unit.halves == Step::kBlock ? states.block_influence[unit.layer]
                                                : states.half_influence[begin_of(unit)]);
  }
  return out;
}

// How many masks a search looks at, about: for the progress bar.
size_t expected_masks(const Flags& flags, const PruneProblem& problem) {
  const size_t n = problem.units.size();
  if (flags.method == "cem") {
    const CrossEntropyOptions options;
    return options.n_sample * options.n_iteration;
  }
  const double removed = problem.n_remove ? static_cast<double>(*problem.n_remove)
                                          : (1 - problem.keep) * static_cast<double>(n);
  const double steps = std::max(1.0, removed);
  return static_cast<size_t>(flags.method == "greedy" ? steps * (static_cast<double>(n) - steps / 2)
                                                      : steps) +
         1;
}

MaskSearch search(const Flags& flags, const PruneProblem& problem, const MaskObjective& objective,
                  MaskBench& bench) {
  Progress progress("masks", expected_masks(flags, problem));
  size_t done = 0;
  const MaskLoss loss = [&](const BlockMask& mask) {
    const double value = objective(mask);
    progress.at(++done);
    return value;
  };
  if (flags.method == "greedy") return greedy_search(problem, loss);
  if (flags.method == "cem") return cross_entropy_search(problem, loss, {.seed = flags.mask.seed});
  if (flags.method == "random") return random_search(problem, loss, flags.mask.seed);
  const HalfStates states = half_states(bench.texts(bench.fitted), bench.open.work);
  if (flags.method == "bi")
    return remove_in_order(problem, influences(flags, problem, states), loss);
  return remove_range(
      problem,
      [&](size_t begin, size_t end) {
        return states.angular_distance(begin_of(problem.units[begin]),
                                       end_of(problem.units[end - 1]));
      },
      loss);
}

Comparison compare(const PruneProblem& problem, const MaskSearch& found, const CostModel& cost,
                   const MaskObjective& fitted, const MaskObjective& held_out, uint64_t seed) {
  const auto judge = [&](const BlockMask& mask) {
    return Losses{flops_share(cost, mask), fitted(mask), held_out(mask)};
  };
  Comparison c{.found = judge(found.mask),
               .whole = judge(BlockMask::all(problem.n_layer)),
               .truncated = judge(problem.without(last_removed(problem))),
               .random = {},
               .best_random = std::numeric_limits<double>::infinity()};
  for (size_t i = 0; i < kRandomMasks; ++i) {
    Random random(seed + i);
    const Losses one = judge(problem.without(random_like(problem, found.removed, random)));
    c.random.share += one.share / kRandomMasks;
    c.random.fitted += one.fitted / kRandomMasks;
    c.random.held_out += one.held_out / kRandomMasks;
    c.best_random = std::min(c.best_random, one.held_out);
    c.n_random_worse += one.held_out > c.found.held_out;
  }
  return c;
}

Table steps_table(const Flags& flags, const PruneProblem& problem, const MaskSearch& found) {
  const bool iterates = flags.method == "cem";
  const char* score = flags.method == "bi"        ? "Influence"
                      : flags.method == "angular" ? "Distance of range"
                      : flags.method == "greedy"  ? "Loss per saving"
                                                  : "Mean of elite";
  Table table({{.name = "step"},
               {.name = "removed", .title = iterates ? "Iteration" : "Removed"},
               {.name = "score", .title = score},
               {.name = "loss", .title = "Loss"},
               {.name = "flops_share", .title = "FLOPs left"}});
  size_t n = 0;
  for (const SearchStep& s : found.steps)
    table.add({Cell(++n), s.unit ? Cell(unit_name(problem.units[*s.unit])) : Cell("best so far"),
               Cell(s.score, significant(4)), Cell(s.loss, significant(4)),
               Cell(s.share, fixed(4))});
  return table;
}

Table comparison_table(const Comparison& c) {
  Table table({{.name = "mask", .title = "Mask"},
               {.name = "flops_share", .title = "FLOPs left"},
               {.name = "loss_fitted", .title = "Loss, fitted texts"},
               {.name = "loss", .title = "Loss, held-out texts"}});
  const auto add = [&](const char* name, const Losses& l) {
    table.add({name, Cell(l.share, fixed(4)), Cell(l.fitted, significant(4)),
               Cell(l.held_out, significant(4))});
  };
  add("found", c.found);
  add("whole model", c.whole);
  add("last units removed", c.truncated);
  add("random, mean", c.random);
  return table;
}

OrderedJson to_json(const Losses& l) {
  return {{"flops_share", l.share}, {"loss_fitted", l.fitted}, {"loss", l.held_out}};
}

OrderedJson describe(const Flags& flags, const Comparison& c, const MaskSearch& found,
                     size_t reference) {
  OrderedJson j;
  j["method"] = flags.method;
  if (flags.method == "bi") j["rows"] = flags.rows;
  j["objective"] = flags.objective;
  if (flags.objective != "label") j["reference_layer"] = reference;
  j["masks_evaluated"] = found.n_evaluated;
  j["found"] = to_json(c.found);
  j["whole"] = to_json(c.whole);
  j["truncated"] = to_json(c.truncated);
  j["random"] = to_json(c.random);
  j["random"]["n_mask"] = kRandomMasks;
  j["random"]["best_loss"] = c.best_random;
  j["random"]["n_worse"] = c.n_random_worse;
  return j;
}

void print(const Flags& flags, const MaskBench& bench, const Table& steps, const Comparison& c,
           const MaskSearch& found, const OrderedJson& summary) {
  if (flags.mask.json) {
    OrderedJson j = bench.provenance;
    for (const auto& [key, value] : summary.items()) j[key] = value;
    j["blocks"] = pattern_of(found.mask);
    j["steps"] = to_json(steps);
    j["output"] = flags.mask.output;
    std::cout << dump_json(j, 2) << '\n';
    return;
  }
  if (!found.steps.empty()) std::cout << to_text(steps);
  std::cout << to_text(comparison_table(c));
  fmt::print("{} masks tried on {} texts, figures on {} others\n", found.n_evaluated,
             bench.fitted.texts.size(), bench.held_out.texts.size());
  fmt::print(
      "random: {} masks with as many units of every kind removed; {} are worse than what was "
      "found, the best loses {:.4g}\n",
      kRandomMasks, c.n_random_worse, c.best_random);
  fmt::print("{}: {}\n", flags.mask.output, pattern_of(found.mask));
}

void run(const Flags& flags) {
  check(flags);
  OutputSet outputs;
  outputs.expect(flags.mask.output);
  const ObjectiveKind kind = parse_objective(flags.objective);
  MaskBench bench(flags.mask);
  const bool label = kind == ObjectiveKind::kLabel;
  if (label && bench.fitted.gold.empty())
    throw UsageError("--objective label: needs --tasks with one task of scored sentence pairs");
  const PruneProblem problem = flags.mask.problem(bench.cost());
  const size_t reference = label ? 0 : reference_layer(flags.mask, bench);
  const auto objective_on = [&](const MaskExamples& examples) {
    return MaskObjective(bench.texts(examples), kind, reference,
                         label ? std::span<const double>(examples.gold) : std::span<const double>(),
                         bench.open.work);
  };
  const MaskObjective fitted = objective_on(bench.fitted), held_out = objective_on(bench.held_out);
  const MaskSearch found = search(flags, problem, fitted, bench);
  const Comparison compared =
      compare(problem, found, bench.cost(), fitted, held_out, flags.mask.seed);
  PolicyFile file = policy_for(flags.mask, bench);
  const OrderedJson summary = describe(flags, compared, found, reference);
  for (const auto& [key, value] : summary.items()) file.fitted[key] = value;
  file.rule = found.mask;
  write_policy_file(outputs.open(flags.mask.output), file);
  outputs.commit();
  print(flags, bench, steps_table(flags, problem, found), compared, found, summary);
}

}  // namespace

void add_prune(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("prune", "find blocks, or halves of them, that a model can do without");
  flags->mask.add_to(*command);
  command
      ->add_option("--method", flags->method,
                   "bi (Block Influence), angular (a contiguous range), greedy, cem "
                   "(cross-entropy), or random (a control)")
      ->capture_default_str();
  command
      ->add_option("--objective", flags->objective,
                   "cosine (with the reference), rsa (similarities as at the reference), or label "
                   "(Spearman of train pairs)")
      ->capture_default_str();
  command
      ->add_option("--rows", flags->rows,
                   "what bi compares: token rows or pooled vectors: token, "
                   "pooled")
      ->capture_default_str();
  command->footer(
      "Searches on some texts and tells for others what the mask loses, beside truncation and 20\n"
      "random masks of the same size.\n"
      "Examples:\n"
      "  fathom prune model/ --texts sentences.txt --keep 0.75 -o mask.policy\n"
      "  fathom prune model/ --tasks stsb --objective label --keep 0.5 -o stsb.policy\n"
      "  fathom prune model/ --texts s.txt --method bi --unit block --remove 4 -o bi.policy\n"
      "  fathom eval model/ --task stsb --depth mask:mask.policy");
  command->callback([flags] { run(*flags); });
}

}  // namespace fathom::cli
