// SPDX-License-Identifier: Apache-2.0
// Searches for sublayers that a model does not need (docs/methods.md, "Pruning and routing"): which
// units may be removed, how many must be, and four search methods. The caller passes the loss of a
// mask as a function.
//
//   in order        lowest score first, for a score computed in advance: Block Influence (ShortGPT,
//                   arXiv 2403.03853)
//   range           the contiguous units whose two ends are nearest (arXiv 2403.17887)
//   greedy          repeatedly the unit whose removal costs least (SLEB, arXiv 2402.09025;
//                   BlockPruner, arXiv 2406.10594)
//   cross-entropy   masks drawn from a distribution that moves towards the best of them
//
// Results depend on the arguments alone. One caller at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "base/random.h"
#include "depth/mask.h"
#include "eval/cost.h"

namespace fathom {

// Of a mask, smaller is better; not NaN (Error).
using MaskLoss = std::function<double(const BlockMask&)>;

enum class UnitKind : uint8_t { kBlock, kSublayer };

struct PruneUnit {
  size_t layer;    // 0-based block
  Step sublayers;  // kTimeMix, kChannelMix or kBlock
  double share;    // of the FLOPs of all blocks that its removal saves; > 0
};

// FLOPs of the blocks under a mask as a share of all; v7's v_first, which stays, included.
double flops_share(const CostModel& model, const BlockMask& mask);

// What may be removed, in the order in which it runs, and how much has to be.
struct PruneProblem {
  size_t n_layer = 0;
  std::vector<PruneUnit> units;
  std::optional<size_t> n_remove;  // units; else
  double keep = 1;                 // share of the FLOPs, as near as whole units come to it

  double most_share() const;  // of the FLOPs that may be left where `n_remove` does not say
  // What a unit's removal is worth: 1 where units are counted, else its share of the FLOPs.
  double saved_by(size_t unit) const { return n_remove ? 1 : units[unit].share; }
  // Whether this is enough: n removed units that leave `share` of the FLOPs.
  bool done(size_t n, double share) const;
  // The mask without these units.
  BlockMask without(const std::vector<bool>& removed) const;
  double share_without(const std::vector<bool>& removed) const;
};
// Units behind the first `n_protected` blocks. Throws Error if removing all of them is not enough.
PruneProblem prune_problem(const CostModel& model, UnitKind kind, size_t n_protected,
                           std::optional<size_t> n_remove, double keep);

struct SearchStep {
  std::optional<size_t> unit;  // removed in this step; none: an iteration of cross-entropy
  // By which it was chosen: influence, distance of the range, loss_rate() (greedy), mean loss of
  // the elite (cross-entropy), loss that a swap takes away.
  double score = std::numeric_limits<double>::quiet_NaN();
  double loss = 0;   // with all that was removed so far; of the best mask so far
  double share = 1;  // of the FLOPs that are left
};

struct MaskSearch {
  std::vector<bool> removed;  // (n_unit)
  BlockMask mask;             // without them
  double loss = 0;
  double share = 1;
  std::vector<SearchStep> steps;
  size_t n_evaluated = 0;  // different masks whose loss was asked for
};

// Loss that a removal costs for what it saves (saved_by), which is what removals are ordered by:
// where units are counted the loss alone, as the papers have it; where FLOPs are, cheap sublayers
// do not go first only because they are small. A removal that gains is never divided: the gain
// counts.
double loss_rate(double added_loss, double saved);

// scores: (n_unit), influence or the like; the lowest rate goes first, of equal ones the first.
MaskSearch remove_in_order(const PruneProblem& problem, std::span<const double> scores,
                           const MaskLoss& loss);

// distance(begin, end) of units [begin, end); the smallest wins. For every beginning the shortest
// range that is enough is tried.
MaskSearch remove_range(const PruneProblem& problem,
                        const std::function<double(size_t, size_t)>& distance,
                        const MaskLoss& loss);

MaskSearch greedy_search(const PruneProblem& problem, const MaskLoss& loss);

struct CrossEntropyOptions {
  size_t n_sample = 64, n_elite = 8, n_iteration = 15;
  double step = 0.3;  // by which probabilities move to the elite's shares
  uint64_t seed = 1;
};
MaskSearch cross_entropy_search(const PruneProblem& problem, const MaskLoss& loss,
                                const CrossEntropyOptions& options = {});

// Swaps of one removed unit with one kept unit, each the best there is, until none gains, at most
// n_unit of them. Candidates are the `n_candidate` swaps that look best if the losses of the two
// changes are added; FLOPs must not rise above what the problem allows or the mask has. `removed`:
// (n_unit) where to start from.
MaskSearch refine_by_swaps(const PruneProblem& problem, std::vector<bool> removed,
                           const MaskLoss& loss, size_t n_candidate = 8);

// Units in an order drawn by the seed, until it is enough.
MaskSearch random_search(const PruneProblem& problem, const MaskLoss& loss, uint64_t seed);

// What searches are compared with: the last units removed; and units drawn at random, as many of
// every kind (time mix, channel mix, block) as `removed` has, so that the FLOPs are the same, too
// (but for v7's v_first).
std::vector<bool> last_removed(const PruneProblem& problem);
std::vector<bool> random_like(const PruneProblem& problem, const std::vector<bool>& removed,
                              Random& random);

}  // namespace fathom
