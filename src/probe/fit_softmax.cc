// SPDX-License-Identifier: Apache-2.0
// The one file that knows liblbfgs.
//
// L-BFGS finds the neighbourhood of the minimum; its line search compares values, whose rounding
// ends it a few thousandths away in flat directions. From there Newton steps go on by the gradient
// alone, each solved by conjugate gradients with the diagonal as preconditioner.
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
        width_(static_cast<Eigen::Index>(problem.x.cols() + 1)) {
    const size_t bytes = problem.rows.size() * static_cast<size_t>(width_) * sizeof(double);
    if (bytes > kKeptBytes) return;
    std::vector<RowMajor> blocks;
    for_each_block(
        [&](size_t, std::span<const size_t>, const RowMajor& x) { blocks.push_back(x); });
    kept_ = std::move(blocks);
  }

  size_t size() const { return static_cast<size_t>(n_row_ * width_); }
  Eigen::Index n_row() const { return n_row_; }
  Eigen::Index width() const { return width_; }

  double operator()(const double* weight, double* gradient) const {
    const Eigen::Map<const RowMajor> w(weight, n_row_, width_);
    Eigen::Map<RowMajor> g(gradient, n_row_, width_);
    g = w;
    double value = 0.5 * w.squaredNorm();
    for_each_block([&](size_t, std::span<const size_t> rows, const RowMajor& x) {
      RowMajor step = x * w.transpose();  // logits, then what the gradient takes of each row
      value += to_steps(rows, step);
      g.noalias() += step.transpose() * x;
    });
    return value;
  }

  // What curvature there is at these weights: (n, n_row) probabilities of every row, and the
  // diagonal of the matrix of second derivatives.
  struct Curvature {
    RowMajor p, diagonal;
  };
  Curvature curvature(const RowMajor& w) const {
    Curvature at{RowMajor(problem_.rows.size(), n_row_), RowMajor::Ones(n_row_, width_)};
    for_each_block([&](size_t begin, std::span<const size_t> rows, const RowMajor& x) {
      RowMajor z = x * w.transpose();
      to_probabilities(z);
      at.p.middleRows(static_cast<Eigen::Index>(begin), static_cast<Eigen::Index>(rows.size())) = z;
      at.diagonal.noalias() +=
          c_ * (z.array() * (1 - z.array())).matrix().transpose() * x.array().square().matrix();
    });
    return at;
  }
  // The second derivatives times a direction.
  RowMajor product(const Curvature& at, const RowMajor& direction) const {
    RowMajor out = direction;
    for_each_block([&](size_t begin, std::span<const size_t> rows, const RowMajor& x) {
      const auto p =
          at.p.middleRows(static_cast<Eigen::Index>(begin), static_cast<Eigen::Index>(rows.size()));
      RowMajor u = x * direction.transpose();
      const Eigen::VectorXd mean = (p.array() * u.array()).rowwise().sum();
      u = c_ * (p.array() * (u.colwise() - mean).array()).matrix();
      out.noalias() += u.transpose() * x;
    });
    return out;
  }

 private:
  static constexpr size_t kBlock = 256, kKeptBytes = size_t{64} << 20;

  // visit(begin, rows, x): some rows at a time, standardised, (rows.size(), width).
  template <class Visit>
  void for_each_block(const Visit& visit) const {
    for (size_t begin = 0; begin < problem_.rows.size(); begin += kBlock) {
      const auto rows =
          problem_.rows.subspan(begin, std::min(kBlock, problem_.rows.size() - begin));
      if (!kept_.empty()) {
        visit(begin, rows, kept_[begin / kBlock]);
        continue;
      }
      RowMajor x(rows.size(), width_);
      for (size_t i = 0; i < rows.size(); ++i)
        problem_.standardisation.apply(
            problem_.x.row(rows[i]),
            {x.data() + static_cast<Eigen::Index>(i) * width_, static_cast<size_t>(width_)});
      visit(begin, rows, x);
    }
  }

  // Logits to probabilities of the classes that have a row, in place.
  void to_probabilities(RowMajor& z) const {
    const size_t n_class = problem_.n_class, first = n_class == 2 ? 1 : 0;
    std::vector<double> logits(n_class), p(n_class);
    for (Eigen::Index i = 0; i < z.rows(); ++i) {
      double* row = z.data() + i * n_row_;
      std::copy_n(row, n_row_, logits.begin() + static_cast<std::ptrdiff_t>(first));
      softmax(logits, p);
      std::copy_n(p.begin() + static_cast<std::ptrdiff_t>(first), n_row_, row);
    }
  }

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
  std::vector<RowMajor> kept_;  // all blocks, where they are small enough
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

// The loss is at least as curved as 1/2 |W|^2, so a gradient of this length lies within this
// distance of the minimum: two fits are within 1e-6 of each other.
constexpr double kGradient = 5e-7;

// Solves (second derivatives) step = -gradient, to a residual of `enough`.
RowMajor newton_step(const Objective& objective, const RowMajor& w, const RowMajor& gradient,
                     double enough) {
  constexpr int kMaxIteration = 5000;
  const auto at = objective.curvature(w);
  RowMajor step = RowMajor::Zero(w.rows(), w.cols()), residual = -gradient;
  RowMajor scaled = residual.cwiseQuotient(at.diagonal), direction = scaled;
  double size = residual.cwiseProduct(scaled).sum();
  for (int i = 0; i < kMaxIteration && residual.norm() > enough; ++i) {
    const RowMajor product = objective.product(at, direction);
    const double length = size / direction.cwiseProduct(product).sum();
    step += length * direction;
    residual -= length * product;
    scaled = residual.cwiseQuotient(at.diagonal);
    const double next = residual.cwiseProduct(scaled).sum();
    direction = scaled + next / size * direction;
    size = next;
  }
  return step;
}

// Until the gradient is as short as kGradient, or as rounding allows.
void polish(const Objective& objective, RowMajor& w) {
  constexpr int kMaxStep = 20, kMaxHalving = 20;
  RowMajor gradient(w.rows(), w.cols()), next_gradient(w.rows(), w.cols());
  objective(w.data(), gradient.data());
  for (int i = 0; i < kMaxStep && gradient.norm() > kGradient; ++i) {
    const double norm = gradient.norm(), enough = std::max(0.2 * kGradient, 1e-3 * norm);
    RowMajor step = newton_step(objective, w, gradient, enough);
    bool shorter = false;
    for (int halving = 0; halving < kMaxHalving && !shorter; ++halving) {
      const RowMajor next = w + step;
      objective(next.data(), next_gradient.data());
      shorter = next_gradient.norm() < norm;
      if (shorter) w = next;
      step *= 0.5;
    }
    if (!shorter) return;
    gradient = next_gradient;
  }
}

}  // namespace

std::vector<double> fit_softmax(const Problem& problem, double c, const SoftmaxOptions& options) {
  const std::span<const double> start = options.start;
  Objective objective(problem, c);
  const size_t size = objective.size();
  FATHOM_ASSERT(start.empty() || start.size() == size);
  // Its own allocator, because it wants vectors aligned for SSE.
  const std::unique_ptr<lbfgsfloatval_t, void (*)(lbfgsfloatval_t*)> weight(
      lbfgs_malloc(static_cast<int>(size)), lbfgs_free);
  if (!weight) throw std::bad_alloc();
  std::fill_n(weight.get(), size, 0.0);
  std::ranges::copy(start, weight.get());
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
  if (!options.exact) return {weight.get(), weight.get() + size};
  RowMajor w = Eigen::Map<const RowMajor>(weight.get(), objective.n_row(), objective.width());
  polish(objective, w);
  return {w.data(), w.data() + size};
}

}  // namespace fathom
