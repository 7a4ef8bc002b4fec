// SPDX-License-Identifier: Apache-2.0
// How sure an answer is (docs/methods.md, "Depth policies"). All confidences lie in [0, 1], larger
// is surer.
//
// logits: (n_class), n_class >= 2, already divided by the temperature; p, q: (n_class)
// probabilities. Pure functions: any thread.
#pragma once

#include <span>

namespace fathom {

// max_k p_k.
double max_probability(std::span<const double> p);

// Largest minus second largest probability.
double margin(std::span<const double> p);

// 1 - H(p) / ln K with H = lse(z) - sum_k p_k z_k, p = softmax(z): from the logits, because the
// entropy of probabilities that have rounded to 0 is not defined (DeeBERT's published code
// overflows here).
double entropy_confidence(std::span<const double> logits);

// Jensen-Shannon divergence in units of ln 2: 0 for equal, 1 for disjoint distributions (F-PABEE).
double js_divergence(std::span<const double> p, std::span<const double> q);

// cos(e, previous) clipped to [0, 1]: how little a block has changed the vector. For a pair the
// caller takes the smaller of the two.
double saturation(std::span<const float> e, std::span<const float> previous);

// DE3-BERT's distance ratio, an uncertainty in [0, 1]: 0.5 (1 + (r1 - r2) / r2) for the two
// smallest distances r1 <= r2; 0.5 where both are 0.
double distance_ratio(std::span<const double> distances);

// EDR = (alpha + 1) / (alpha / DR + 1 / H) with H = entropy / ln K, both floored at 1e-6: also an
// uncertainty. Returns 1 - EDR.
double prototype_confidence(std::span<const double> distances, std::span<const double> logits,
                            double alpha = 1);

}  // namespace fathom
