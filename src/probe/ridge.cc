// SPDX-License-Identifier: Apache-2.0
#include "probe/ridge.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>

#include "base/error.h"

namespace fathom {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using View = Eigen::Map<RowMajor>;
using ConstView = Eigen::Map<const RowMajor>;

ConstView view(Matrix<const double> m) {
  return {m.data(), static_cast<Eigen::Index>(m.rows()), static_cast<Eigen::Index>(m.cols())};
}

}  // namespace

RidgeSystem::RidgeSystem(size_t n_feature, size_t n_target)
    : n_feature_(n_feature),
      n_target_(n_target),
      gram_(n_feature * n_feature),
      xty_(n_feature * n_target) {}

void RidgeSystem::add(Matrix<const double> x, Matrix<const double> y) {
  FATHOM_ASSERT(x.cols() == n_feature_ && y.cols() == n_target_ && x.rows() == y.rows());
  const auto p = static_cast<Eigen::Index>(n_feature_), m = static_cast<Eigen::Index>(n_target_);
  View(gram_.data(), p, p).selfadjointView<Eigen::Lower>().rankUpdate(view(x).transpose());
  View(xty_.data(), p, m).noalias() += view(x).transpose() * view(y);
}

std::vector<double> RidgeSystem::solve(double kappa) const {
  FATHOM_ASSERT(kappa > 0);
  const auto p = static_cast<Eigen::Index>(n_feature_), m = static_cast<Eigen::Index>(n_target_);
  RowMajor system = ConstView(gram_.data(), p, p);
  system.diagonal().array() += kappa;
  const Eigen::LLT<Eigen::Ref<RowMajor>, Eigen::Lower> cholesky(system);
  std::vector<double> w(n_feature_ * n_target_);
  View out(w.data(), p, m);
  if (cholesky.info() == Eigen::Success) out = cholesky.solve(ConstView(xty_.data(), p, m));
  FATHOM_REQUIRE(cholesky.info() == Eigen::Success && out.allFinite(),
                 "ridge regression: the features or targets hold numbers that are not finite");
  return w;
}

std::vector<float> fit_linear_map(Matrix<const float> x, Matrix<const float> y, double kappa) {
  FATHOM_ASSERT(x.rows() == y.rows());
  constexpr size_t kBlock = 256;
  RidgeSystem system(x.cols(), y.cols());
  std::vector<double> bx, by;
  for (size_t begin = 0; begin < x.rows(); begin += kBlock) {
    const size_t end = std::min(begin + kBlock, x.rows());
    bx.assign(x.row(begin).data(), x.row(begin).data() + (end - begin) * x.cols());
    by.assign(y.row(begin).data(), y.row(begin).data() + (end - begin) * y.cols());
    system.add({bx.data(), end - begin, x.cols()}, {by.data(), end - begin, y.cols()});
  }
  const std::vector<double> w = system.solve(kappa);
  return {w.begin(), w.end()};
}

}  // namespace fathom
