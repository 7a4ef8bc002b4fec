// SPDX-License-Identifier: Apache-2.0
// Confidence measures: they decide whether a sequence, or a pair, stops early (docs/methods.md,
// "Depth policies").
//
// A measure is one row of traits, formula included. Early exit, fitting, sweeps, policy files and
// explanations read the row and know no measure by name. To add a measure, add a member of Measure
// and of kMeasures, a formula and a row.
//
// Notation: e is the pooled vector, e' = post_l(e) the vector after the layer's post-processing. z
// and p are logits and probabilities of the layer's head. "The exit before" is the last exit that
// was passed, "the layer before" is l - 1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "probe/probe.h"

namespace fathom {

//   measure      confidence c                         stops when
//   max-prob     max p                                c >= threshold
//   margin       largest minus second largest p       c >= threshold
//   entropy      1 - H(p) / ln K                      c >= threshold
//   patience     count / streak                       the class of the exit before, `streak` times
//                (PABEE)                              in a row; regression: its value moved by less
//                                                     than the threshold
//   pcee         1 - H(p) / ln K                      c >= threshold, `streak` times in a row
//   f-pabee      1 - JS(p, p of the exit before)      1 - c < threshold, `streak` times in a row
//   saturation   cos(e'_l, e'_l-1), of a pair the     c >= threshold
//                smaller
//   score        1 - |s_l - s_l-1| / 2, s the cosine  |s_l - s_l-1| < threshold, `streak` times in
//                of a pair                            a row
//   prototype    1 - EDR of prototype distances       c >= threshold
//                (DE3)
//   learned      1 - q, q the learned chance to be    q < threshold
//                wrong (BERxiT)
enum class Measure : uint8_t {
  kMaxProbability,
  kMargin,
  kEntropy,
  kPatience,
  kPcee,
  kFpabee,
  kSaturation,
  kScore,
  kPrototype,
  kLearned,
};
inline constexpr Measure kMeasures[] = {
    Measure::kMaxProbability, Measure::kMargin, Measure::kEntropy,    Measure::kPatience,
    Measure::kPcee,           Measure::kFpabee, Measure::kSaturation, Measure::kScore,
    Measure::kPrototype,      Measure::kLearned};

// What a formula may read at one exit. Empty where the rule has no such thing.
struct Evidence {
  std::span<const float> u, v;                // e'_l; v of the second of a pair
  std::span<const float> u_before, v_before;  // e'_l-1, if the measure compares layers
  std::span<const float> features;            // that the head reads
  std::span<const double> logits;             // (n_class); of a regression its value
  std::span<const double> probability;        // (n_class) of two classes or more
  std::span<const double> last;  // at the exit before: probabilities, or a regression's value
  const Prototypes* prototypes = nullptr;
  double alpha = 1;
  const LearnedToExit* learned = nullptr;
};

// How the value of the formula becomes a decision.
enum class Compare : uint8_t {
  kAtLeast,  // a confidence: at least the threshold
  kBelow,    // a change or a risk: below the threshold; the confidence is 1 - value / range
  kAgrees,   // how far the answer is from that of the exit before: below the threshold, of classes
             // 0. The confidence is count / streak
};

struct MeasureTraits {
  Measure measure;
  std::string_view name;  // "max-prob"
  std::string_view
      meaning;  // of the value, in words; of classes where it is not the same of values
  std::string_view meaning_of_values = {};  // of a regression, where it is another
  std::string_view meaning_of_pairs = {};   // put behind it for a pair
  double (*value)(const Evidence& at);
  Compare compare = Compare::kAtLeast;
  double range = 1;          // of the value, with kBelow
  size_t least_classes = 0;  // of the heads: 0 needs none, 1 takes a regression
  bool needs_pair = false;   // compares the two sentences of a pair
  bool needs_prototypes = false, needs_learned = false;
  bool compares_layers = false;  // reads the vectors of the layer before
  bool compares_exits = false;   // reads the answer of the exit before: never stops at the first
  bool in_a_row = false;         // has to hold `streak` times in a row; else streak says nothing
  // A sweep asks for its streak too, and not for 1: where the method is published as several exits
  // in a row. (patience has a streak for each operating point, score one exit as the usual case.)
  bool swept_in_a_row = false;
  // Of two classes the value rises with the largest probability and depends on nothing else.
  bool by_largest = false;
};
const MeasureTraits& traits_of(Measure measure);

// Whether two measures let the same sequences stop at the same exits, threshold for threshold:
// those that go by the largest probability do so where there are two classes.
bool coincide(Measure a, Measure b, size_t n_class);

std::string_view name_of(Measure measure);
std::string measure_names();                   // of all, with commas between
Measure parse_measure(std::string_view name);  // InvalidOption

}  // namespace fathom
