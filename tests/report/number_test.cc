// SPDX-License-Identifier: Apache-2.0
#include "report/number.h"

#include <gtest/gtest.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <random>
#include <set>

namespace fathom::number_test {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kMax = std::numeric_limits<double>::max();

TEST(FormatNumber, Fixed) {
  EXPECT_EQ(format_number(0.39441, fixed(4)), "0.3944");
  EXPECT_EQ(format_number(-1.5, fixed(0)), "-2");  // to even
  EXPECT_EQ(format_number(2, fixed(2)), "2.00");
  EXPECT_EQ(format_number(1e300, fixed(3)), "1.000e+300");
}

TEST(FormatNumber, NoNegativeZero) {
  EXPECT_EQ(format_number(-0.00001, fixed(3)), "0.000");
  EXPECT_EQ(format_number(-0.0, {}), "0");
  EXPECT_EQ(format_number(-0.0, significant(3)), "0");
  EXPECT_EQ(format_number(-0.0, si(3)), "0");
}

TEST(FormatNumber, Significant) {
  EXPECT_EQ(format_number(0.0123456, significant(3)), "0.0123");
  EXPECT_EQ(format_number(12.3456, significant(3)), "12.3");
  EXPECT_EQ(format_number(9.996, significant(3)), "10.0");  // rounding adds a digit
  EXPECT_EQ(format_number(123456, significant(3)), "123000");
  EXPECT_EQ(format_number(-123.456, significant(4)), "-123.5");
  EXPECT_EQ(format_number(1.5e-9, significant(2)), "1.5e-09");
}

TEST(FormatNumber, Si) {
  EXPECT_EQ(format_number(12.345e6, si(3)), "12.3 M");
  EXPECT_EQ(format_number(999.96, si(3)), "1.00 k");  // rounding reaches the next prefix
  EXPECT_EQ(format_number(999.4, si(3)), "999");
  EXPECT_EQ(format_number(4.1e-5, si(3)), "41.0 u");
  EXPECT_EQ(format_number(-2.5e-3, si(2)), "-2.5 m");
  EXPECT_EQ(format_number(1, si(3)), "1.00");
  EXPECT_EQ(format_number(1e20, si(2)), "100 E");
  EXPECT_EQ(format_number(3e22, si(2)), "3.0e+22");  // beyond the prefixes
  EXPECT_EQ(format_number(3e-15, si(2)), "3.0e-15");
}

TEST(FormatNumber, NotFinite) {
  for (const NumberFormat f : {NumberFormat{}, fixed(2), significant(2), si(2)}) {
    EXPECT_EQ(format_number(std::nan(""), f), "nan");
    EXPECT_EQ(format_number(kInf, f), "inf");
    EXPECT_EQ(format_number(-kInf, f), "-inf");
  }
}

TEST(FormatNumber, ShortestGivesTheSameDoubleBack) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    const double value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    const std::string text = format_number(value, {});
    double back = 0;
    std::from_chars(text.data(), text.data() + text.size(), back);
    ASSERT_EQ(back, value) << text;
  }
  EXPECT_EQ(format_number(0.1, {}), "0.1");
}

TEST(SiPrefix, MovesTheFactorOut) {
  EXPECT_EQ(si_prefix(736e6).symbol, "M");
  EXPECT_EQ(si_prefix(736e6).factor, 1e6);
  EXPECT_EQ(si_prefix(0.011).symbol, "m");
  EXPECT_EQ(si_prefix(1).symbol, "");
  EXPECT_EQ(si_prefix(999.9999999).symbol, "k");
  EXPECT_EQ(si_prefix(0).factor, 1);
  EXPECT_EQ(si_prefix(kInf).factor, 1);
  EXPECT_EQ(si_prefix(1e-20).factor, 1);
}

TEST(NiceTicks, RoundNumbersInTheRange) {
  const auto expect = [](double low, double high, size_t n, std::vector<double> expected) {
    const std::vector<double> ticks = nice_ticks(low, high, n);
    ASSERT_EQ(ticks.size(), expected.size()) << low << " to " << high;
    for (size_t i = 0; i < ticks.size(); ++i) EXPECT_NEAR(ticks[i], expected[i], 1e-12);
  };
  expect(0, 1, 5, {0, 0.2, 0.4, 0.6, 0.8, 1});
  expect(0.23, 0.51, 6, {0.25, 0.3, 0.35, 0.4, 0.45, 0.5});
  expect(-3.2, 3.4, 6, {-3, -2, -1, 0, 1, 2, 3});
  expect(0, 0.3, 3, {0, 0.1, 0.2, 0.3});  // 0.3 / 0.1 is below 3 in binary
  expect(-250, -40, 4, {-250, -200, -150, -100, -50});
}

TEST(NiceTicks, HoldsForAnyRange) {
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> unit(-1, 1), exponent(-200, 200);
  for (int i = 0; i < 5000; ++i) {
    const double scale = std::pow(10, exponent(random));
    double low = unit(random) * scale, high = unit(random) * scale;
    if (low > high) std::swap(low, high);
    const size_t n = 3 + i % 8;
    const std::vector<double> ticks = nice_ticks(low, high, n);
    ASSERT_GE(ticks.size(), 1u) << low << " " << high;
    ASSERT_LE(ticks.size(), 2 * n) << low << " " << high;
    for (size_t k = 0; k < ticks.size(); ++k) {
      ASSERT_GE(ticks[k], low - scale * 1e-8);
      ASSERT_LE(ticks[k], high + scale * 1e-8);
      if (k > 0) {
        ASSERT_GT(ticks[k], ticks[k - 1]);
      }
    }
    if (ticks.size() < 2) continue;
    const double step = ticks[1] - ticks[0];
    const double digit = step / std::pow(10, std::floor(std::log10(step) + 1e-6));
    ASSERT_TRUE(std::abs(digit - 1) < 1e-5 || std::abs(digit - 2) < 1e-5 ||
                std::abs(digit - 5) < 1e-5)
        << step;
  }
}

TEST(NiceTicks, EndsOfDouble) {
  for (const double tick : nice_ticks(-kMax, kMax, 5)) EXPECT_TRUE(std::isfinite(tick));
  EXPECT_GE(nice_ticks(-kMax, kMax, 5).size(), 3u);
  EXPECT_GE(nice_ticks(0, 1e-300, 5).size(), 3u);
  EXPECT_FALSE(nice_ticks(0, std::numeric_limits<double>::denorm_min(), 5).empty());
  EXPECT_FALSE(nice_ticks(1e16, 1e16 + 2, 5).empty());  // below what a double tells apart
}

TEST(NiceLogTicks, DecadesThinnedOrFilled) {
  const auto ticks = [](double low, double high, size_t n) {
    std::vector<std::string> out;
    for (const double t : nice_log_ticks(low, high, n))
      out.push_back(format_number(t, significant(3)));
    return out;
  };
  using Labels = std::vector<std::string>;
  EXPECT_EQ(ticks(1, 1e4, 5), (Labels{"1.00", "10.0", "100", "1000", "10000"}));
  EXPECT_EQ(ticks(1, 100, 6), (Labels{"1.00", "2.00", "5.00", "10.0", "20.0", "50.0", "100"}));
  EXPECT_EQ(ticks(1, 1e8, 4), (Labels{"1.00", "100", "10000", "1000000", "100000000"}));
  EXPECT_EQ(ticks(2, 4, 4), (Labels{"2.00", "2.50", "3.00", "3.50", "4.00"}));
}

TEST(NiceLogTicks, NeverEmptyAndInRange) {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> exponent(-290, 290), range(0.01, 12);
  for (int i = 0; i < 2000; ++i) {
    const double low = std::pow(10, exponent(random)), high = low * std::pow(10, range(random));
    const std::vector<double> ticks = nice_log_ticks(low, high, 2 + i % 8);
    ASSERT_FALSE(ticks.empty()) << low << " " << high;
    for (const double t : ticks) {
      ASSERT_GE(t, low * (1 - 1e-8));
      ASSERT_LE(t, high * (1 + 1e-8));
    }
  }
}

TEST(TickLabels, SameDecimalsAndAllDifferent) {
  using Labels = std::vector<std::string>;
  EXPECT_EQ(tick_labels({0.25, 0.3, 0.35}), (Labels{"0.25", "0.30", "0.35"}));
  EXPECT_EQ(tick_labels({0, 200e6, 400e6}, 1e6), (Labels{"0", "200", "400"}));
  EXPECT_EQ(tick_labels({-1, 0, 1}), (Labels{"-1", "0", "1"}));
  EXPECT_EQ(tick_labels({}), Labels{});
  EXPECT_EQ(tick_labels({1e300, 2e300}), (Labels{"1e+300", "2e+300"}));
  EXPECT_EQ(tick_labels({1e-320, 2e-320}).size(), 2u);  // below the normal doubles
  const Labels fine = tick_labels({1000.001, 1000.002, 1000.003});
  EXPECT_EQ(std::set<std::string>(fine.begin(), fine.end()).size(), 3u);
}

}  // namespace
}  // namespace fathom::number_test
