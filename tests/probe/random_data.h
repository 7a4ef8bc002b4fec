// SPDX-License-Identifier: Apache-2.0
// Features and noise that another program can make again: uniform numbers in [-1, 1) from the
// project's generator. The expected values of these tests come from such a program (numpy, scipy).
#pragma once

#include <vector>

#include "base/matrix.h"
#include "base/random.h"

namespace fathom::test {

inline double uniform(Random& random) {
  return static_cast<double>(random.next() >> 11) * 0x1p-53 * 2 - 1;
}

struct RandomData {
  std::vector<float> values;  // (n, p)
  std::vector<double> noise;  // (n)
  size_t p;

  RandomData(size_t n, size_t n_feature, uint64_t seed) : p(n_feature) {
    Random random(seed);
    for (size_t i = 0; i < n * p; ++i) values.push_back(static_cast<float>(uniform(random)));
    for (size_t i = 0; i < n; ++i) noise.push_back(uniform(random));
  }
  Matrix<const float> x() const { return {values.data(), noise.size(), p}; }
  double at(size_t row, size_t feature) const { return values[row * p + feature]; }
};

// 60 rows of 4 features with three kinds of gold values that depend on them.
struct SmallProblem {
  RandomData data{60, 4, 7};
  std::vector<double> binary, ternary, score;

  SmallProblem() {
    for (size_t i = 0; i < 60; ++i) {
      const double a = data.at(i, 0), b = data.at(i, 1), c = data.at(i, 2), e = data.noise[i];
      binary.push_back(a + 0.5 * b + 0.4 * e > 0 ? 1 : 0);
      ternary.push_back(a + 0.3 * e > 0.3 ? 2 : b + 0.3 * e > 0 ? 1 : 0);
      score.push_back(2 * a - c + 0.2 * e + 3);
    }
  }
};

}  // namespace fathom::test
