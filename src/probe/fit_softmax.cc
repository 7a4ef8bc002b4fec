// SPDX-License-Identifier: Apache-2.0
// The one file that knows liblbfgs.
#include <lbfgs.h>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <memory>
#include <new>

#include "base/error.h"
#include "probe/fit.h"
#include "probe/standardise.h"

namespace fathom {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// f(W) = 1/2 |W|^2 + C sum_i -log softmax(W x_i)[y_i]; two classes share one row of W.
class Objective {
 public:
  Objective(const Problem& problem, double c)
      : problem_(problem),
        c_(c),
        n_row_(problem.n_class == 2 ? 1 : static_cast<Eigen::Index>(problem.n_class)),
        width_(static_cast<Eigen::Index>(problem.x.cols() + 1)) {}

  size_t size() const { return static_cast<size_t>(n_row_ * width_); }

  double operator()(const double* weight, double* gradient) const {
    constexpr size_t kBlock = 256;
    const Eigen::Map<const RowMajor> w(weight, n_row_, width_);
    Eigen::Map<RowMajor> g(gradient, n_row_, width_);
    g = w;
    double value = 0.5 * w.squaredNorm();
    for (size_t begin = 0; begin < problem_.rows.size(); begin += kBlock) {
      const auto rows =
          problem_.rows.subspan(begin, std::min(kBlock, problem_.rows.size() - begin));
      RowMajor x(rows.size(), width_);
      for (size_t i = 0; i < rows.size(); ++i)
        problem_.standardisation.apply(
            problem_.x.row(rows[i]),
            {x.data() + static_cast<Eigen::Index>(i) * width_, static_cast<size_t>(width_)});
      RowMajor step = x * w.transpose();  // logits, then what the gradient takes of each row
      value += to_steps(rows, step);
      g.noalias() += step.transpose() * x;
    }
    return value;
  }

 private:
  // Logits to C (p - one of the label), in place; returns C times the losses.
  double to_steps(std::span<const size_t> rows, RowMajor& z) const {
    const size_t n_class = problem_.n_class, first = n_class == 2 ? 1 : 0;
    std::vector<double> logits(n_class), p(n_class);
    double value = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      double* row = z.data() + static_cast<Eigen::Index>(i) * n_row_;
      std::copy_n(row, n_row_, logits.begin() + static_cast<std::ptrdiff_t>(first));
      softmax(logits, p);
      const auto label = static_cast<size_t>(problem_.gold[rows[i]]);
      // Not -log p: that is infinite once p has rounded to 0.
      const size_t top = argmax(logits);
      value += c_ * (logits[top] - logits[label] - std::log(p[top]));
      p[label] -= 1;
      for (size_t k = first; k < n_class; ++k) row[k - first] = c_ * p[k];
    }
    return value;
  }

  const Problem& problem_;
  double c_;
  Eigen::Index n_row_, width_;
};

lbfgsfloatval_t evaluate(void* objective, const lbfgsfloatval_t* weight, lbfgsfloatval_t* gradient,
                         int, lbfgsfloatval_t) {
  return (*static_cast<const Objective*>(objective))(weight, gradient);
}

// Where the line search cannot go on, the last point is as good as the arithmetic allows.
bool is_usable(int code) {
  switch (code) {
    case LBFGS_SUCCESS:
    case LBFGS_STOP:
    case LBFGS_ALREADY_MINIMIZED:
    case LBFGSERR_ROUNDING_ERROR:
    case LBFGSERR_MINIMUMSTEP:
    case LBFGSERR_MAXIMUMLINESEARCH:
    case LBFGSERR_MAXIMUMITERATION:
    case LBFGSERR_WIDTHTOOSMALL:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::vector<double> fit_softmax(const Problem& problem, double c) {
  Objective objective(problem, c);
  const size_t size = objective.size();
  // Its own allocator, because it wants vectors aligned for SSE.
  const std::unique_ptr<lbfgsfloatval_t, void (*)(lbfgsfloatval_t*)> weight(
      lbfgs_malloc(static_cast<int>(size)), lbfgs_free);
  if (!weight) throw std::bad_alloc();
  std::fill_n(weight.get(), size, 0.0);
  lbfgs_parameter_t parameter;
  lbfgs_parameter_init(&parameter);
  parameter.epsilon = 1e-5;
  // Large C on features that separate the classes: the loss is flat long before the gradient is 0.
  parameter.past = 5;
  parameter.delta = 1e-7;
  parameter.max_iterations = 500;
  const int code = lbfgs(static_cast<int>(size), weight.get(), nullptr, evaluate, nullptr,
                         &objective, &parameter);
  FATHOM_REQUIRE(is_usable(code), "softmax regression: liblbfgs stopped with code ", code);
  return {weight.get(), weight.get() + size};
}

}  // namespace fathom
