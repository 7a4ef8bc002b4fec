// SPDX-License-Identifier: Apache-2.0
#include "probe/postprocess.h"

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "probe/standardise.h"

namespace fathom {
namespace {

using Eigen::Index;

std::vector<std::string_view> split_colons(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t colon = text.find(':');
    parts.push_back(text.substr(0, colon));
    if (colon == std::string_view::npos) return parts;
    text.remove_prefix(colon + 1);
  }
}

template <class T>
bool read_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

Eigen::MatrixXd covariance_of(Matrix<const float> x, std::span<const double> mean) {
  constexpr size_t kBlock = 256;
  const auto dim = static_cast<Index>(x.cols());
  Eigen::MatrixXd covariance = Eigen::MatrixXd::Zero(dim, dim);
  for (size_t begin = 0; begin < x.rows(); begin += kBlock) {
    const size_t end = std::min(begin + kBlock, x.rows());
    Eigen::MatrixXd block(dim, static_cast<Index>(end - begin));
    for (size_t i = begin; i < end; ++i)
      for (size_t j = 0; j < x.cols(); ++j)
        block(static_cast<Index>(j), static_cast<Index>(i - begin)) = x.row(i)[j] - mean[j];
    covariance.selfadjointView<Eigen::Lower>().rankUpdate(block);
  }
  return covariance / static_cast<double>(x.rows());
}

// Appends direction `i` of the eigenvectors times `factor`.
void append_direction(const Eigen::MatrixXd& vectors, Index i, double factor,
                      std::vector<float>& out) {
  for (Index j = 0; j < vectors.rows(); ++j)
    out.push_back(static_cast<float>(vectors(j, i) * factor));
}

void fit_directions(const PostprocessOptions& options, const Eigen::MatrixXd& covariance,
                    Postprocess& out) {
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(covariance);  // of the lower triangle
  FATHOM_REQUIRE(eigen.info() == Eigen::Success, "post-processing: no eigenvalues found");
  const Index dim = covariance.rows();
  const bool removes = options.kind == PostprocessKind::kAllButTheTop;
  const double largest = eigen.eigenvalues()[dim - 1];
  Index n_usable = 0;
  while (n_usable < dim && eigen.eigenvalues()[dim - 1 - n_usable] > 1e-7 * largest) ++n_usable;
  Index n = static_cast<Index>(options.n_direction);
  if (n == 0) n = removes ? std::max<Index>(1, dim / 100) : n_usable;
  FATHOM_REQUIRE(n <= n_usable && n > 0, "post-processing: ", n,
                 " directions are asked for, but the texts vary in ", n_usable, " only");
  for (Index i = dim - 1; i >= dim - n; --i) {  // ascending eigenvalues
    if (removes)
      append_direction(eigen.eigenvectors(), i, 1, out.removed);
    else
      append_direction(eigen.eigenvectors(), i,
                       std::pow(eigen.eigenvalues()[i], -options.power / 2), out.matrix);
  }
  // Where the texts do not vary (ln0 leaves one such direction in layer 0) the result is 0, so that
  // all layers of a model give vectors of one size.
  if (!removes && options.n_direction == 0) out.matrix.resize(static_cast<size_t>(dim * dim), 0);
}

double dot(const float* a, std::span<const double> b) {
  double sum = 0;
  for (size_t i = 0; i < b.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

PostprocessOptions parse_postprocess(std::string_view text) {
  const std::vector<std::string_view> part = split_colons(text);
  const size_t n = part.size() - 1;
  PostprocessOptions o;
  bool good = false;
  if (part[0] == "none" || part[0] == "centre" || part[0] == "scale") {
    o.kind = part[0] == "none"     ? PostprocessKind::kNone
             : part[0] == "centre" ? PostprocessKind::kCentre
                                   : PostprocessKind::kScale;
    good = n == 0;
  } else if (part[0] == "abtt" || part[0] == "whiten") {
    o.kind = part[0] == "abtt" ? PostprocessKind::kAllButTheTop : PostprocessKind::kSoftWhiten;
    good = n == 0 || (n == 1 && read_number(part[1], o.n_direction) && o.n_direction > 0);
  } else if (part[0] == "soft") {
    o.kind = PostprocessKind::kSoftWhiten;
    good = (n == 1 || n == 2) && read_number(part[1], o.power) && o.power >= 0 && o.power <= 1 &&
           (n == 1 || (read_number(part[2], o.n_direction) && o.n_direction > 0));
  }
  if (!good)
    throw UsageError(concat("post-processing '", text,
                            "': expected none, centre, scale, abtt[:D], whiten[:K] or "
                            "soft:A[:K] with A from 0 to 1"));
  return o;
}

void Postprocess::apply(std::span<const float> e, std::span<float> out) const {
  FATHOM_ASSERT(out.size() == out_dim(e.size()) && (mean.empty() || mean.size() == e.size()));
  if (is_identity()) {
    std::ranges::copy(e, out.begin());
    return;
  }
  std::vector<double> x(e.size());
  for (size_t i = 0; i < e.size(); ++i) {
    x[i] = double{e[i]} - mean[i];
    if (!scale.empty()) x[i] *= scale[i];
  }
  for (size_t begin = 0; begin < removed.size(); begin += e.size()) {
    const float* direction = removed.data() + begin;
    const double length = dot(direction, x);
    for (size_t i = 0; i < x.size(); ++i) x[i] -= length * direction[i];
  }
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<float>(matrix.empty() ? x[i] : dot(matrix.data() + i * e.size(), x));
}

Postprocess fit_postprocess(const PostprocessOptions& options, Matrix<const float> x) {
  Postprocess out;
  if (options.kind == PostprocessKind::kNone) return out;
  FATHOM_REQUIRE(x.rows() >= 2, "post-processing needs at least 2 texts to fit, got ", x.rows());
  for (size_t i = 0; i < x.rows(); ++i)
    FATHOM_REQUIRE(std::ranges::all_of(x.row(i), [](float f) { return std::isfinite(f); }),
                   "post-processing cannot be fitted: vector ", i + 1, " is not finite");
  std::vector<size_t> all(x.rows());
  std::iota(all.begin(), all.end(), size_t{0});
  const auto moments = Standardisation::of(x, all);
  out.mean.assign(moments.mean.begin(), moments.mean.end());
  if (options.kind == PostprocessKind::kScale)
    out.scale.assign(moments.scale.begin(), moments.scale.end());
  else if (options.kind != PostprocessKind::kCentre)
    fit_directions(options, covariance_of(x, moments.mean), out);
  return out;
}

void save(const Postprocess& p, const std::string& prefix, std::vector<NamedArray>& arrays) {
  const size_t dim = p.mean.size();
  if (dim == 0) return;
  arrays.push_back({prefix + "mean", {dim}, p.mean});
  if (!p.scale.empty()) arrays.push_back({prefix + "scale", {dim}, p.scale});
  if (!p.removed.empty())
    arrays.push_back({prefix + "removed", {p.removed.size() / dim, dim}, p.removed});
  if (!p.matrix.empty())
    arrays.push_back({prefix + "matrix", {p.matrix.size() / dim, dim}, p.matrix});
}

Postprocess load_postprocess(std::span<const NamedArray> arrays, const std::string& prefix,
                             size_t dim) {
  Postprocess p;
  const size_t vector_shape[] = {dim};
  const auto rows = [&](const std::string& name) -> std::vector<float> {
    const NamedArray* array = find_array(arrays, prefix + name);
    if (!array) return {};
    const size_t shape[] = {array->shape.empty() ? 0 : array->shape[0], dim};
    FATHOM_REQUIRE(shape[0] > 0, prefix, name, ": no rows");
    return find_array(arrays, prefix + name, shape).values;
  };
  if (!find_array(arrays, prefix + "mean")) {
    for (const NamedArray& array : arrays)
      FATHOM_REQUIRE(!array.name.starts_with(prefix), array.name, ": without ", prefix, "mean");
    return p;
  }
  p.mean = find_array(arrays, prefix + "mean", vector_shape).values;
  if (find_array(arrays, prefix + "scale"))
    p.scale = find_array(arrays, prefix + "scale", vector_shape).values;
  p.removed = rows("removed");
  p.matrix = rows("matrix");
  return p;
}

}  // namespace fathom
