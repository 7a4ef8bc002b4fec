// SPDX-License-Identifier: Apache-2.0
// A system of a sweep: heads of one input (study/head_input.h), alone or as ensembles of the passed
// exits, and all methods that use them: fixed depth, fixed depth with heads fitted on all rows,
// early exit. So both sides of a comparison can have the same heads.
//
// FLOPs are those of sweep.h, plus what these heads read and multiply.
#pragma once

#include <string>
#include <vector>

#include "study/head_input.h"
#include "study/sweep.h"
#include "study/sweep_exit.h"

namespace fathom {

// Heads of one input in both ways.
struct InputHeads {
  HeadInput input = HeadInput::kLayer;
  std::vector<InputHead> heads, refitted;  // fit_input_heads(), refit_on_all()
};

struct SweepSystem {
  HeadInput input = HeadInput::kLayer;
  bool ensemble = false;
  std::vector<MethodPoint> fixed;  // (n_layer): layers 1 .. L
  std::vector<Outcomes> refitted;  // (n_layer) on the evaluated split, heads fitted on all rows
  std::vector<Method> exits;       // by measure

  std::string name() const;  // "first+layer", "layer, ensemble"
};

// What a measure needs is said by heads alone: no vectors, prototypes or learned exits.
bool goes_by_answers(Measure measure);

// The plain system: layer_points() and the exits of exit_method(), for every measure that fits.
// layers: of layer_points(). heads: of kLayer.
SweepSystem plain_system(const SweepTask& task, std::span<const MethodPoint> layers,
                         const InputHeads& heads, std::span<const Measure> measures,
                         const SweepOptions& options);

// Systems of these heads: as they are, and ensembles. Of kLayer the ensemble alone, because
// plain_system() is the other. Measures that do not go by answers are passed over.
std::vector<SweepSystem> systems_of(const SweepTask& task, const InputHeads& heads,
                                    std::span<const Measure> measures, const SweepOptions& options);

// What the exits of such a rule make of these answers: run_exits(), without vectors.
ExitTable exit_table(const ExitRule& rule, const HeadAnswers& answers, double range);

}  // namespace fathom
