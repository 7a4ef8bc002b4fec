// SPDX-License-Identifier: Apache-2.0
#include "probe/learned_to_exit.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "probe/standardise.h"

namespace fathom {
namespace {

using Vector = Eigen::VectorXd;

// The standardised inputs of rows [begin, end), one a row, with the constant.
Eigen::MatrixXd block_of(Matrix<const float> inputs, const Standardisation& standardisation,
                         size_t begin, size_t end) {
  Eigen::MatrixXd block(inputs.cols() + 1, end - begin);
  for (size_t i = begin; i < end; ++i)
    standardisation.apply(
        inputs.row(i), {block.col(static_cast<Eigen::Index>(i - begin)).data(), inputs.cols() + 1});
  return block.transpose();
}

// What one pass over the rows finds at w: f, and if asked for its gradient and Hessian.
struct Pass {
  double value = 0;
  Vector gradient;
  Eigen::MatrixXd hessian;  // lower triangle
};

Pass evaluate(Matrix<const float> inputs, std::span<const uint32_t> wrong,
              const Standardisation& standardisation, const Vector& w, bool with_derivatives) {
  constexpr size_t kBlock = 256;
  Pass pass{0.5 * w.squaredNorm(), w, {}};
  if (with_derivatives) pass.hessian = Eigen::MatrixXd::Identity(w.size(), w.size());
  for (size_t begin = 0; begin < inputs.rows(); begin += kBlock) {
    const size_t end = std::min(begin + kBlock, inputs.rows());
    Eigen::MatrixXd x = block_of(inputs, standardisation, begin, end);
    const Vector z = x * w;
    Vector residual(z.size()), root(z.size());
    for (Eigen::Index i = 0; i < z.size(); ++i) {
      const double y = wrong[begin + static_cast<size_t>(i)];
      const double p = 1 / (1 + std::exp(-z[i]));
      // log(1 + e^z) - y z, which does not overflow.
      pass.value += std::max(z[i], 0.0) + std::log1p(std::exp(-std::abs(z[i]))) - y * z[i];
      residual[i] = p - y;
      root[i] = std::sqrt(p * (1 - p));
    }
    if (!with_derivatives) continue;
    pass.gradient.noalias() += x.transpose() * residual;
    x.array().colwise() *= root.array();
    pass.hessian.selfadjointView<Eigen::Lower>().rankUpdate(x.transpose());
  }
  return pass;
}

}  // namespace

LearnedToExit fit_learned_to_exit(Matrix<const float> inputs, std::span<const uint32_t> wrong) {
  FATHOM_ASSERT(inputs.rows() == wrong.size());
  FATHOM_REQUIRE(!wrong.empty(), "learned-to-exit: no rows to fit");
  std::vector<size_t> all(wrong.size());
  std::iota(all.begin(), all.end(), size_t{0});
  const auto standardisation = Standardisation::of(inputs, all);
  constexpr int kMaxSteps = 50;
  Vector w = Vector::Zero(static_cast<Eigen::Index>(inputs.cols() + 1));
  for (int i = 0; i < kMaxSteps; ++i) {
    const Pass here = evaluate(inputs, wrong, standardisation, w, true);
    FATHOM_REQUIRE(std::isfinite(here.value), "learned-to-exit: the inputs are not finite");
    const Vector step = here.hessian.selfadjointView<Eigen::Lower>().llt().solve(here.gradient);
    const double decrease = here.gradient.dot(step);
    if (decrease < 1e-9 * (1 + std::abs(here.value))) break;
    double length = 1;
    while (length > 1e-6 &&
           evaluate(inputs, wrong, standardisation, w - length * step, false).value >
               here.value - 1e-4 * length * decrease)
      length /= 2;
    w -= length * step;
  }
  const LinearHead head = unstandardised(standardisation, {w.data(), static_cast<size_t>(w.size())},
                                         FeatureKind::kPooled, 2);
  return {head.weight, head.bias[0]};
}

}  // namespace fathom
