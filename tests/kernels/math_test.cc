// SPDX-License-Identifier: Apache-2.0
// exp and its relatives against double precision, on every instruction set. A stride through the
// bit patterns of f32 reaches every exponent of both signs; the edges of the ranges are added.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/math_test.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fathom::cpu::HWY_NAMESPACE {

// x: (n), replaced by the function number `which` of it.
void apply_function(int which, float* x, size_t n) {
  const F32 d;
  for_each_vector(n, [&](auto io, size_t c) HWY_ATTR {
    const VF v = io.load(x + c);
    switch (which) {
      case 0:
        return io.store(exp_of(d, v), x + c);
      case 1:
        return io.store(sigmoid_of(d, v), x + c);
      case 2:
        return io.store(silu_of(d, v), x + c);
      case 3:
        return io.store(tanh_of(d, v), x + c);
      default:
        return io.store(exp_of_minus_exp(d, v), x + c);
    }
  });
}

}  // namespace fathom::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <bit>
#include <cmath>

#include "kernels/ops_testing.h"

namespace fathom::cpu {
HWY_EXPORT(apply_function);
}

namespace fathom::testing {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr float kSmallestNormal = std::numeric_limits<float>::min();

std::vector<float> all_sorts_of_floats() {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 9973) {
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  }
  for (float v = -110; v <= 110; v += 0.01f) x.push_back(v);
  for (float edge : {0.0f, 0.625f, 1e-30f, 4.63f, 5.0f, 17.3f, 80.0f, 87.33654f, 88.7228317f,
                     88.7228394f, 104.0f, 1e30f, 3.4e38f}) {
    for (float v : {edge, std::nextafter(edge, 0.0f), std::nextafter(edge, 1e38f)}) {
      x.push_back(v);
      x.push_back(-v);
    }
  }
  return x;
}

struct Function {
  const char* name;
  double (*exact)(double);
  double max_relative;
};

double exact_sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double exact_silu(double x) { return x / (1 + std::exp(-x)); }
double exact_decay(double x) { return std::exp(-std::exp(x)); }

constexpr Function kFunctions[] = {
    {"exp", [](double x) { return std::exp(x); }, 8.6e-8},
    {"sigmoid", exact_sigmoid, 1.6e-7},
    {"silu", exact_silu, 1.8e-7},
    {"tanh", [](double x) { return std::tanh(x); }, 1.5e-7},
    {"exp(-exp)", exact_decay, 1e-6},
};

TEST(Math, RelativeErrorOverAllFloats) {
  const std::vector<float> x = all_sorts_of_floats();
  for_each_target([&] {
    for (int which = 0; which < 5; ++which) {
      const Function& function = kFunctions[which];
      std::vector<float> y = x;
      HWY_DYNAMIC_DISPATCH(cpu::apply_function)(which, y.data(), y.size());
      double worst = 0;
      size_t n_wrong = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const double want = function.exact(x[i]);
        if (std::isnan(want) || static_cast<float>(want) == static_cast<float>(-kInfinity)) {
          n_wrong += !std::isnan(y[i]) && y[i] != want;
        } else if (std::abs(want) > std::numeric_limits<float>::max()) {
          n_wrong += y[i] != static_cast<float>(want);
        } else if (std::abs(want) < 100 * kSmallestNormal) {
          // May be flushed to zero on the way.
          n_wrong += !(std::abs(y[i] - want) <= 100 * kSmallestNormal);
        } else {
          worst = std::max(worst, std::abs(y[i] - want) / std::abs(want));
          n_wrong += std::isnan(y[i]);
        }
      }
      EXPECT_LE(worst, function.max_relative) << function.name;
      EXPECT_EQ(n_wrong, 0u) << function.name;
    }
  });
}

// The decay of v6 must be right at both ends: 1 - w counts over hundreds of tokens.
TEST(Math, DecayIsRightAtBothEnds) {
  for_each_target([] {
    std::vector<float> d;
    for (float v = -30; v < 6.5f; v += 0.001f) d.push_back(v);
    std::vector<float> w = d;
    HWY_DYNAMIC_DISPATCH(cpu::apply_function)(4, w.data(), w.size());
    for (size_t i = 0; i < d.size(); ++i) {
      const double want = exact_decay(d[i]), distance = -std::expm1(-std::exp(double{d[i]}));
      // f32 itself resolves 1 - w to half a unit in the last place below 1.
      ASSERT_LE(std::abs((1 - double{w[i]}) - distance), 1e-6 * distance + 0x1p-25) << d[i];
      ASSERT_LE(std::abs(w[i] - want), 1e-6 * want + kSmallestNormal) << d[i];
    }
    float ends[] = {6.0f,
                    -20.0f,
                    4.7f,
                    100.0f,
                    -200.0f,
                    static_cast<float>(kInfinity),
                    static_cast<float>(-kInfinity)};
    HWY_DYNAMIC_DISPATCH(cpu::apply_function)(4, ends, std::size(ends));
    EXPECT_EQ(ends[0], 0.0f);  // exp(-403)
    EXPECT_EQ(ends[1], 1.0f);  // 1 - 2e-9
    EXPECT_EQ(ends[2], 0.0f);  // exp(-110)
    EXPECT_EQ(ends[3], 0.0f);
    EXPECT_EQ(ends[4], 1.0f);
    EXPECT_EQ(ends[5], 0.0f);
    EXPECT_EQ(ends[6], 1.0f);
  });
}

TEST(Math, NaNStaysNaN) {
  for_each_target([] {
    for (int which = 0; which < 5; ++which) {
      float x[] = {1, kNaN, -kNaN, 2};
      HWY_DYNAMIC_DISPATCH(cpu::apply_function)(which, x, 4);
      EXPECT_TRUE(std::isnan(x[1]) && std::isnan(x[2])) << kFunctions[which].name;
      EXPECT_FALSE(std::isnan(x[0]) || std::isnan(x[3])) << kFunctions[which].name;
    }
  });
}

TEST(Math, ExactWhereItMustBe) {
  for_each_target([] {
    float one[] = {0.0f, -0.0f};
    HWY_DYNAMIC_DISPATCH(cpu::apply_function)(0, one, 2);
    EXPECT_EQ(one[0], 1.0f);
    EXPECT_EQ(one[1], 1.0f);
    float half[] = {0.0f};
    HWY_DYNAMIC_DISPATCH(cpu::apply_function)(1, half, 1);
    EXPECT_EQ(half[0], 0.5f);
    float tanh_of_small[] = {0.0f, -0.0f, 1e-20f, -1e-39f, 100.0f, -100.0f};
    HWY_DYNAMIC_DISPATCH(cpu::apply_function)(3, tanh_of_small, 6);
    EXPECT_EQ(tanh_of_small[0], 0.0f);
    EXPECT_TRUE(std::signbit(tanh_of_small[1]));
    EXPECT_EQ(tanh_of_small[2], 1e-20f);
    EXPECT_EQ(tanh_of_small[3], -1e-39f);
    EXPECT_EQ(tanh_of_small[4], 1.0f);
    EXPECT_EQ(tanh_of_small[5], -1.0f);
  });
}

}  // namespace
}  // namespace fathom::testing
#endif  // HWY_ONCE
