// SPDX-License-Identifier: Apache-2.0
#include "probe/probe.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace fathom {
namespace {

std::string shape_text(std::span<const size_t> shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) text += concat(i ? ", " : "", shape[i]);
  return text + ")";
}

void check_finite(std::span<const float> values, const std::string& name) {
  for (size_t i = 0; i < values.size(); ++i)
    FATHOM_REQUIRE(std::isfinite(values[i]), name, ": number ", i, " is not finite");
}

double dot(std::span<const float> weight, std::span<const float> x) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += double{weight[i]} * x[i];
  return sum;
}

}  // namespace

const NamedArray* find_array(std::span<const NamedArray> arrays, const std::string& name) {
  for (const NamedArray& array : arrays)
    if (array.name == name) return &array;
  return nullptr;
}

const NamedArray& find_array(std::span<const NamedArray> arrays, const std::string& name,
                             std::span<const size_t> shape) {
  const NamedArray* array = find_array(arrays, name);
  FATHOM_REQUIRE(array, name, ": missing");
  FATHOM_REQUIRE(std::ranges::equal(array->shape, shape), name, ": expected shape ",
                 shape_text(shape), ", got ", shape_text(array->shape));
  check_finite(array->values, name);
  return *array;
}

void LinearHead::check(const std::string& name, size_t dim) const {
  FATHOM_REQUIRE(n_class >= 1, name, ": a head of no classes");
  FATHOM_REQUIRE(bias.size() == n_row() && weight.size() == n_row() * feature_dim(features, dim),
                 name, ": expected ", n_row(), " x ", feature_dim(features, dim), " weights and ",
                 n_row(), " biases, got ", weight.size(), " and ", bias.size());
  check_finite(weight, name + ".weight");
  check_finite(bias, name + ".bias");
  FATHOM_REQUIRE(std::isfinite(temperature) && temperature > 0, name,
                 ": expected a temperature above 0, got ", temperature);
}

void LinearHead::logits(std::span<const float> x, std::span<double> out) const {
  FATHOM_ASSERT(x.size() == n_feature() && out.size() == n_class);
  const size_t first = n_class == 2 ? 1 : 0;
  if (first) out[0] = 0;
  for (size_t row = 0; row < n_row(); ++row)
    out[first + row] =
        (dot({weight.data() + row * x.size(), x.size()}, x) + bias[row]) / temperature;
}

double LinearHead::value(std::span<const float> x) const {
  FATHOM_ASSERT(is_regression() && x.size() == n_feature());
  return dot(weight, x) + bias[0];
}

void save(const LinearHead& head, const std::string& prefix, std::vector<NamedArray>& arrays) {
  arrays.push_back({prefix + "weight", {head.n_row(), head.n_feature()}, head.weight});
  arrays.push_back({prefix + "bias", {head.n_row()}, head.bias});
  arrays.push_back({prefix + "temperature", {1}, {head.temperature}});
}

LinearHead load_head(std::span<const NamedArray> arrays, const std::string& prefix,
                     FeatureKind features, size_t n_class, size_t dim) {
  LinearHead head{.features = features, .n_class = n_class, .weight = {}, .bias = {}};
  const size_t weight_shape[] = {head.n_row(), feature_dim(features, dim)},
               bias_shape[] = {head.n_row()}, one[] = {1};
  head.weight = find_array(arrays, prefix + "weight", weight_shape).values;
  head.bias = find_array(arrays, prefix + "bias", bias_shape).values;
  head.temperature = find_array(arrays, prefix + "temperature", one).values[0];
  head.check(prefix, dim);
  return head;
}

void softmax(std::span<const double> logits, std::span<double> out) {
  FATHOM_ASSERT(!logits.empty() && logits.size() == out.size());
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (size_t k = 0; k < logits.size(); ++k) sum += out[k] = std::exp(logits[k] - top);
  for (double& p : out) p /= sum;
}

size_t argmax(std::span<const double> values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

void Prototypes::distances(std::span<const float> x, std::span<double> out) const {
  FATHOM_ASSERT(x.size() == scale.size() && out.size() == n_class());
  for (size_t k = 0; k < out.size(); ++k) {
    const float* m = mean.data() + k * x.size();
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double d = (double{x[i]} - m[i]) * scale[i];
      sum += d * d;
    }
    out[k] = std::sqrt(sum);
  }
}

void save(const Prototypes& prototypes, const std::string& prefix,
          std::vector<NamedArray>& arrays) {
  const size_t n_feature = prototypes.scale.size();
  arrays.push_back({prefix + "mean", {prototypes.n_class(), n_feature}, prototypes.mean});
  arrays.push_back({prefix + "scale", {n_feature}, prototypes.scale});
}

Prototypes load_prototypes(std::span<const NamedArray> arrays, const std::string& prefix,
                           size_t n_class, size_t n_feature) {
  const size_t mean_shape[] = {n_class, n_feature}, scale_shape[] = {n_feature};
  return {find_array(arrays, prefix + "mean", mean_shape).values,
          find_array(arrays, prefix + "scale", scale_shape).values};
}

double LearnedToExit::probability_wrong(std::span<const float> e, double max_probability,
                                        double entropy_confidence, double saturation) const {
  FATHOM_ASSERT(weight.size() == e.size() + 3);
  const float* c = weight.data() + e.size();
  const double z = dot({weight.data(), e.size()}, e) + bias + c[0] * max_probability +
                   c[1] * entropy_confidence + c[2] * saturation;
  return 1 / (1 + std::exp(-z));
}

void save(const LearnedToExit& lte, const std::string& prefix, std::vector<NamedArray>& arrays) {
  arrays.push_back({prefix + "weight", {lte.weight.size()}, lte.weight});
  arrays.push_back({prefix + "bias", {1}, {lte.bias}});
}

LearnedToExit load_learned_to_exit(std::span<const NamedArray> arrays, const std::string& prefix,
                                   size_t dim) {
  const size_t weight_shape[] = {dim + 3}, one[] = {1};
  return {find_array(arrays, prefix + "weight", weight_shape).values,
          find_array(arrays, prefix + "bias", one).values[0]};
}

void exit_vector(std::span<const float> u, std::span<const float> v, std::span<float> out) {
  FATHOM_ASSERT(out.size() == u.size() && (v.empty() || v.size() == u.size()));
  for (size_t i = 0; i < u.size(); ++i) out[i] = v.empty() ? u[i] : std::abs(u[i] - v[i]);
}

}  // namespace fathom
