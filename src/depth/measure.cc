// SPDX-License-Identifier: Apache-2.0
#include "depth/measure.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/invalid_option.h"
#include "base/list.h"
#include "probe/confidence.h"
#include "probe/features.h"

namespace fathom {
namespace {

double saturation_of(const Evidence& at) {
  const double c = saturation(at.u, at.u_before);
  return at.v.empty() ? c : std::min(c, saturation(at.v, at.v_before));
}

double largest(const Evidence& at) { return max_probability(at.probability); }
double lead(const Evidence& at) { return margin(at.probability); }
double certainty(const Evidence& at) { return entropy_confidence(at.logits); }

// Of classes 0 or 1: the same or not.
double distance_from_last(const Evidence& at) {
  if (at.last.empty()) return 1;
  if (at.probability.empty()) return std::abs(at.logits[0] - at.last[0]);
  return argmax(at.probability) == argmax(at.last) ? 0 : 1;
}

double divergence(const Evidence& at) {
  return at.last.empty() ? 1 : js_divergence(at.probability, at.last);
}

double change_of_cosine(const Evidence& at) {
  return std::abs(cosine_of(at.u, at.v) - cosine_of(at.u_before, at.v_before));
}

double nearness_of_prototype(const Evidence& at) {
  std::vector<double> distances(at.logits.size());
  at.prototypes->distances(at.features, distances);
  return prototype_confidence(distances, at.logits, at.alpha);
}

double chance_to_be_wrong(const Evidence& at) {
  std::vector<float> e(at.u.size());
  exit_vector(at.u, at.v, e);
  const bool classes = !at.probability.empty();
  return at.learned->probability_wrong(e, classes ? largest(at) : 0, classes ? certainty(at) : 0,
                                       saturation_of(at));
}

constexpr MeasureTraits kTraits[] = {
    {.measure = Measure::kMaxProbability,
     .name = "max-prob",
     .meaning = "largest class probability",
     .value = largest,
     .least_classes = 2,
     .by_largest = true},
    {.measure = Measure::kMargin,
     .name = "margin",
     .meaning = "largest minus second largest class probability",
     .value = lead,
     .least_classes = 2,
     .by_largest = true},
    {.measure = Measure::kEntropy,
     .name = "entropy",
     .meaning = "1 - entropy / ln K of the class probabilities",
     .value = certainty,
     .least_classes = 2,
     .by_largest = true},
    {.measure = Measure::kPatience,
     .name = "patience",
     .meaning = "the same class from exit to exit",
     .meaning_of_values = "change of the head's value from exit to exit",
     .value = distance_from_last,
     .compare = Compare::kAgrees,
     .least_classes = 1,
     .compares_exits = true,
     .in_a_row = true},
    {.measure = Measure::kPcee,
     .name = "pcee",
     .meaning = "1 - entropy / ln K of the class probabilities, several exits in a row",
     .value = certainty,
     .least_classes = 2,
     .in_a_row = true,
     .swept_in_a_row = true},
    {.measure = Measure::kFpabee,
     .name = "f-pabee",
     .meaning = "Jensen-Shannon divergence of the class probabilities from exit to exit",
     .value = divergence,
     .compare = Compare::kBelow,
     .least_classes = 2,
     .compares_exits = true,
     .in_a_row = true,
     .swept_in_a_row = true},
    {.measure = Measure::kSaturation,
     .name = "saturation",
     .meaning = "cosine of the vector with that of the layer before",
     .meaning_of_pairs = ", the smaller of the two sentences",
     .value = saturation_of,
     .compares_layers = true},
    {.measure = Measure::kScore,
     .name = "score",
     .meaning = "change of the pair's cosine from the layer before",
     .value = change_of_cosine,
     .compare = Compare::kBelow,
     .range = 2,
     .needs_pair = true,
     .compares_layers = true,
     .in_a_row = true},
    {.measure = Measure::kPrototype,
     .name = "prototype",
     .meaning = "1 - EDR of the distances to class prototypes",
     .value = nearness_of_prototype,
     .least_classes = 2,
     .needs_prototypes = true},
    {.measure = Measure::kLearned,
     .name = "learned",
     .meaning = "learned chance that the answer is wrong",
     .value = chance_to_be_wrong,
     .compare = Compare::kBelow,
     .needs_learned = true,
     .compares_layers = true},
};

}  // namespace

const MeasureTraits& traits_of(Measure measure) {
  const auto row = std::ranges::find(kTraits, measure, &MeasureTraits::measure);
  FATHOM_ASSERT(row != std::end(kTraits));
  return *row;
}

bool coincide(Measure a, Measure b, size_t n_class) {
  return a == b || (n_class == 2 && traits_of(a).by_largest && traits_of(b).by_largest);
}

std::string_view name_of(Measure measure) { return traits_of(measure).name; }

std::string measure_names() {
  std::vector<std::string_view> names;
  for (const MeasureTraits& row : kTraits) names.push_back(row.name);
  return join(names);
}

Measure parse_measure(std::string_view name) {
  for (const MeasureTraits& row : kTraits)
    if (name == row.name) return row.measure;
  throw InvalidOption("measure", concat("one of ", measure_names()), concat("'", name, "'"));
}

}  // namespace fathom
