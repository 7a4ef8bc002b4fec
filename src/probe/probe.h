// SPDX-License-Identifier: Apache-2.0
// Heads on frozen sentence vectors: what they hold and what they predict. How they are fitted is
// fit.h; how sure they are is confidence.h.
//
// Immutable values: share them between threads. Sizes are checked when a head is read or fitted
// (check(), Error naming the field); a span of a wrong size given to a function is a bug.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "probe/features.h"

namespace fathom {

// Numbers with a name and a shape: how everything of this folder is written to files and read back
// (encode/probe_file.h), without this folder knowing a file format.
struct NamedArray {
  std::string name;
  std::vector<size_t> shape;
  std::vector<float> values;  // (product of shape)
};
// The array called `name`; Error if it is missing or has another shape than `shape`.
const NamedArray& find_array(std::span<const NamedArray> arrays, const std::string& name,
                             std::span<const size_t> shape);
const NamedArray* find_array(std::span<const NamedArray> arrays, const std::string& name);

// Linear classifier or regressor. The standardisation of its training features is folded into
// weight and bias, so it takes features as build_features() makes them.
struct LinearHead {
  FeatureKind features = FeatureKind::kPooled;
  size_t n_class = 2;         // 1: regression, the output is the value itself
  std::vector<float> weight;  // (n_row, n_feature)
  std::vector<float> bias;    // (n_row)
  float temperature = 1;      // logits are divided by it before the softmax; > 0

  // Two classes have one row: the logit of class 1, that of class 0 being 0.
  size_t n_row() const { return n_class <= 2 ? 1 : n_class; }
  size_t n_feature() const { return bias.empty() ? 0 : weight.size() / n_row(); }
  bool is_regression() const { return n_class == 1; }

  // Features for vectors of `dim` numbers, sizes that agree, finite numbers, temperature > 0.
  void check(const std::string& name, size_t dim) const;

  // features: (n_feature). out: (n_class): logits divided by the temperature; the value of a
  // regression.
  void logits(std::span<const float> features, std::span<double> out) const;
  // Sums are in double and in the order of the features.
  double value(std::span<const float> features) const;  // of a regression
};

// Adds "<prefix>weight", "<prefix>bias", "<prefix>temperature" to `arrays`.
void save(const LinearHead& head, const std::string& prefix, std::vector<NamedArray>& arrays);
LinearHead load_head(std::span<const NamedArray> arrays, const std::string& prefix,
                     FeatureKind features, size_t n_class, size_t dim);

// softmax of logits (already divided by the temperature), through the largest one: never overflows.
// logits, out: (n_class), n_class >= 2; they may be the same memory.
void softmax(std::span<const double> logits, std::span<double> out);
// Index of the largest; the first of equal ones.
size_t argmax(std::span<const double> values);

// Class means in feature space, and by how much each feature varies: distances are taken after
// dividing by the standard deviation of the training features, so that no feature rules by its
// unit.
struct Prototypes {
  std::vector<float> mean;   // (n_class, n_feature)
  std::vector<float> scale;  // (n_feature): 1 / standard deviation; 0 for a constant feature

  size_t n_class() const { return scale.empty() ? 0 : mean.size() / scale.size(); }
  // Euclidean distance to every class mean, out: (n_class).
  void distances(std::span<const float> features, std::span<double> out) const;
};
void save(const Prototypes& prototypes, const std::string& prefix, std::vector<NamedArray>& arrays);
Prototypes load_prototypes(std::span<const NamedArray> arrays, const std::string& prefix,
                           size_t n_class, size_t n_feature);

// Learned-to-exit (BERxiT): one logistic regression for all layers that says how likely the answer
// of this layer is wrong, from [e; c1; c3; c7]: e the pooled vector of a sentence, or |u - v| of a
// pair; c1 largest probability, c3 entropy confidence, c7 saturation (confidence.h; without a head
// c1 = c3 = 0).
struct LearnedToExit {
  std::vector<float> weight;  // (dim + 3)
  float bias = 0;

  // In (0, 1); stop where it is below a threshold. e: (dim).
  double probability_wrong(std::span<const float> e, double max_probability,
                           double entropy_confidence, double saturation) const;
};
void save(const LearnedToExit& lte, const std::string& prefix, std::vector<NamedArray>& arrays);
LearnedToExit load_learned_to_exit(std::span<const NamedArray> arrays, const std::string& prefix,
                                   size_t dim);

// What LearnedToExit takes as e: a copy of u, or |u - v|. out: (dim).
void exit_vector(std::span<const float> u, std::span<const float> v, std::span<float> out);

}  // namespace fathom
