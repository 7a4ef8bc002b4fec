// SPDX-License-Identifier: Apache-2.0
// The one file that knows liblinear.
#include <linear.h>

#include <memory>
#include <mutex>

#include "base/error.h"
#include "probe/fit.h"
#include "probe/standardise.h"

namespace fathom {
namespace {

// The sparse rows that liblinear reads, dense as ours are: 16 bytes a number.
struct Nodes {
  std::vector<feature_node> node;
  std::vector<feature_node*> row;
  std::vector<double> label;
};

Nodes nodes_of(const Problem& problem) {
  const size_t width = problem.x.cols() + 1;
  Nodes nodes;
  nodes.node.resize(problem.rows.size() * (width + 1));
  std::vector<double> standard(width);
  feature_node* next = nodes.node.data();
  for (size_t row : problem.rows) {
    problem.standardisation.apply(problem.x.row(row), standard);
    nodes.row.push_back(next);
    nodes.label.push_back(problem.gold[row]);
    for (size_t i = 0; i < width; ++i) *next++ = {static_cast<int>(i + 1), standard[i]};
    *next++ = {-1, 0};
  }
  return nodes;
}

// It reports every iteration on standard output, where results belong.
void silence() {
  static std::once_flag once;
  std::call_once(once, [] { set_print_string_function([](const char*) {}); });
}

}  // namespace

std::vector<double> fit_binary(const Problem& problem, double c) {
  // Beyond this the copy in liblinear's form is not worth its memory: the same objective has the
  // same minimum for fit_softmax(), which reads the rows in place.
  constexpr size_t kMaxNodes = size_t{1} << 26;  // 1 GiB
  const size_t width = problem.x.cols() + 1;
  if (problem.rows.size() * (width + 1) > kMaxNodes) return fit_softmax(problem, c);
  silence();
  Nodes nodes = nodes_of(problem);
  const ::problem data{.l = static_cast<int>(problem.rows.size()),
                       .n = static_cast<int>(width),
                       .y = nodes.label.data(),
                       .x = nodes.row.data(),
                       .bias = -1};
  ::parameter parameter{};
  parameter.solver_type = L2R_LR;
  parameter.eps = 1e-4;
  parameter.C = c;
  const char* complaint = check_parameter(&data, &parameter);
  FATHOM_REQUIRE(complaint == nullptr, "liblinear: ", complaint);
  ::model* fitted = train(&data, &parameter);
  const std::unique_ptr<::model, void (*)(::model*)> guard(
      fitted, [](::model* m) { free_and_destroy_model(&m); });
  FATHOM_ASSERT(fitted->nr_class == 2);
  // w speaks for the class that came first.
  const double sign = fitted->label[0] == 1 ? 1 : -1;
  std::vector<double> weight(fitted->w, fitted->w + width);
  for (double& w : weight) w *= sign;
  return weight;
}

}  // namespace fathom
