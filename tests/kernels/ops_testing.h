// SPDX-License-Identifier: Apache-2.0
// What the tests of operators share: every instruction set, outputs that start as NaN inside
// guards, reproducible numbers, and distances that do not depend on scale.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/matrix.h"
#include "base/random.h"
#include "hwy/targets.h"
#include "kernels/backend.h"
#include "kernels/cpu/ops.h"

namespace fathom::testing {

inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Calls f(name) with each instruction set that is compiled in and runs here; that the operators
// follow is checked, since one that silently stayed on the best would be tested on nothing else.
template <class F>
void for_each_target(const F& f) {
  cpu_backend();  // a limit on instruction sets counts from here on
  for (int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    ASSERT_EQ(cpu::instruction_set(), hwy::TargetName(target));
    SCOPED_TRACE(hwy::TargetName(target));
    f();
  }
  hwy::SetSupportedTargetsForTest(0);
}

// n numbers off any vector boundary, between guards that must survive.
class Array {
 public:
  explicit Array(size_t n = 0) : n_(n), storage_(n + 2 * kGuard, kGuardValue) {
    std::fill_n(data(), n, kNaN);
  }

  float* data() { return storage_.data() + kGuard; }
  const float* data() const { return storage_.data() + kGuard; }
  size_t size() const { return n_; }
  float& operator[](size_t i) { return data()[i]; }
  float operator[](size_t i) const { return data()[i]; }
  std::span<const float> span() const { return {data(), n_}; }
  Matrix<float> matrix(size_t rows) { return {data(), rows, rows ? n_ / rows : 0}; }
  Matrix<const float> matrix(size_t rows) const { return {data(), rows, rows ? n_ / rows : 0}; }

  bool guards_hold() const {
    for (size_t i = 0; i < kGuard; ++i) {
      if (storage_[i] != kGuardValue || storage_[kGuard + n_ + i] != kGuardValue) return false;
    }
    return true;
  }

  bool operator==(const Array& other) const {
    return n_ == other.n_ && std::memcmp(data(), other.data(), n_ * sizeof(float)) == 0;
  }

 private:
  static constexpr size_t kGuard = 19;  // odd, and more than any vector
  static constexpr float kGuardValue = -7.25f;
  size_t n_;
  std::vector<float> storage_;
};

// Numbers that depend on the seed alone.
class Numbers {
 public:
  explicit Numbers(uint64_t seed) : random_(seed) {}

  float uniform(float low, float high) {
    return low + (high - low) * (static_cast<float>(random_.below(1 << 24)) * 0x1p-24f);
  }
  Array array(size_t n, float low = -1, float high = 1) {
    Array a(n);
    for (size_t i = 0; i < n; ++i) a[i] = uniform(low, high);
    return a;
  }
  Array integers(size_t n, int low, int high) {
    Array a(n);
    for (size_t i = 0; i < n; ++i) {
      a[i] = static_cast<float>(low + static_cast<int>(random_.below(high - low + 1)));
    }
    return a;
  }

 private:
  Random random_;
};

// An operand to be written, with gaps between rows and room for padded rows, all of it marked.
class OutOperand {
 public:
  OutOperand(Compute type, size_t rows, size_t cols)
      : type_(type),
        rows_(rows),
        cols_(cols),
        stride_(cols + 3),
        bytes_(padded_rows(rows) * stride_ * width(), kMark),
        scale_(padded_rows(rows), kNaN) {}

  Operand operand() { return {type_, bytes_.data(), scale_.data(), rows_, cols_, stride_}; }

  // What is stored at (t, c), as a number.
  float value(size_t t, size_t c) const {
    const size_t at = t * stride_ + c;
    if (type_ == Compute::kInt8) return scale_[t] * integer(t, c);
    if (type_ == Compute::kBF16) return to_f32(BF16{bits(t, c)});
    float v;
    std::memcpy(&v, &bytes_[at * 4], 4);
    return v;
  }
  uint16_t bits(size_t t, size_t c) const {
    uint16_t bits;
    std::memcpy(&bits, &bytes_[(t * stride_ + c) * 2], 2);
    return bits;
  }
  int8_t integer(size_t t, size_t c) const { return static_cast<int8_t>(bytes_[t * stride_ + c]); }
  float scale(size_t t) const { return scale_[t]; }

  std::vector<float> values() const {
    std::vector<float> values;
    for (size_t t = 0; t < rows_; ++t) {
      for (size_t c = 0; c < cols_; ++c) values.push_back(value(t, c));
    }
    return values;
  }

  // Between rows, and from the last row on, nothing is written.
  bool gaps_hold() const {
    for (size_t t = 0; t < padded_rows(rows_); ++t) {
      for (size_t i = t < rows_ ? cols_ * width() : 0; i < stride_ * width(); ++i) {
        if (bytes_[t * stride_ * width() + i] != kMark) return false;
      }
    }
    return true;
  }

  bool operator==(const OutOperand& other) const {
    return bytes_ == other.bytes_ &&
           std::memcmp(scale_.data(), other.scale_.data(), scale_.size() * sizeof(float)) == 0;
  }

 private:
  static constexpr unsigned char kMark = 0xa5;
  size_t width() const { return type_ == Compute::kF32 ? 4 : type_ == Compute::kBF16 ? 2 : 1; }
  Compute type_;
  size_t rows_, cols_, stride_;
  std::vector<unsigned char> bytes_;
  std::vector<float> scale_;
};

// Normalised mean squared error: one number for a whole tensor, blind to scale.
inline double nmse(std::span<const float> got, std::span<const float> want) {
  double error = 0, power = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += (double{got[i]} - want[i]) * (double{got[i]} - want[i]);
    power += double{want[i]} * want[i];
  }
  return power > 0 ? error / power : error;
}

inline void expect_close(std::span<const float> got, std::span<const float> want, double max_nmse,
                         const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_TRUE(std::isfinite(got[i])) << what << " is not finite at " << i;
  }
  EXPECT_LE(nmse(got, want), max_nmse) << what;
}

inline void expect_close(const Array& got, const Array& want, double max_nmse,
                         const std::string& what) {
  EXPECT_TRUE(got.guards_hold()) << what << " was written outside";
  expect_close(got.span(), want.span(), max_nmse, what);
}

// Offsets of sequences of these lengths.
inline std::vector<size_t> offsets_of(std::span<const size_t> lengths) {
  std::vector<size_t> offsets = {0};
  for (size_t n : lengths) offsets.push_back(offsets.back() + n);
  return offsets;
}
inline std::vector<size_t> offsets_of(std::initializer_list<size_t> lengths) {
  return offsets_of(std::span(lengths.begin(), lengths.size()));
}

}  // namespace fathom::testing
