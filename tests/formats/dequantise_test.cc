// SPDX-License-Identifier: Apache-2.0
// Blocks are packed here from chosen scales and integers, as docs/layouts.md says where each bit
// lies, and must come back as its value formula of those integers. (While this was written, random
// blocks of all these types were also compared with PyPI's gguf: no bit differed.)
#include "formats/dequantise.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"
#include "formats/build_files.h"

namespace fathom::dequantise_test {
namespace {

using test::bytes_of;
using test::le;
using test::refusal;
using testing::HasSubstr;

// Exact in f16: 0.5, and a power of two that differs, so that swapped fields show.
constexpr float kD = 0.5f, kMin = 0.125f;
std::string f16(float v) { return le(to_f16(v).bits); }

// Integers without a pattern that a wrong order of bits could keep.
std::vector<int> some_integers(size_t n, int below) {
  std::vector<int> q(n);
  uint32_t state = 12345;
  for (int& v : q) {
    state = state * 1664525u + 1013904223u;
    v = static_cast<int>((state >> 16) % static_cast<uint32_t>(below));
  }
  return q;
}

std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

// Checks block -> values for one block.
template <class Formula>
void expect_values(StoredType dtype, const std::string& block, Formula value) {
  const StoredTypeInfo info = dtype_info(dtype);
  ASSERT_EQ(block.size(), info.block_bytes);
  std::vector<float> got(2 * info.block_elements);
  const std::string two = block + block;  // the second block must be found, too
  dequantise(dtype, bytes_of(two).data(), got);
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_EQ(got[i], value(i % info.block_elements)) << name_of(dtype) << " element " << i;
}

// 32 four-bit integers: element j in the low, element j + 16 in the high nibble of byte j.
std::string nibbles(const std::vector<int>& q) {
  std::vector<uint8_t> out(16);
  for (size_t j = 0; j < 16; ++j)
    out[j] = static_cast<uint8_t>((q[j] & 15) | (q[j + 16] & 15) << 4);
  return text_of(out);
}
// Bit 4 of 32 five-bit integers.
std::string fifth_bits(const std::vector<int>& q) {
  uint32_t bits = 0;
  for (size_t j = 0; j < 32; ++j) bits |= static_cast<uint32_t>(q[j] >> 4) << j;
  return le(bits);
}

TEST(Dequantise, BlocksOf32) {
  const std::vector<int> q4 = some_integers(32, 16), q5 = some_integers(32, 32);
  const auto at = [](const std::vector<int>& q, size_t i) { return static_cast<float>(q[i]); };
  expect_values(StoredType::kQ4_0, f16(kD) + nibbles(q4),
                [&](size_t i) { return (at(q4, i) - 8) * kD; });
  expect_values(StoredType::kQ4_1, f16(kD) + f16(kMin) + nibbles(q4),
                [&](size_t i) { return at(q4, i) * kD + kMin; });
  expect_values(StoredType::kQ5_0, f16(kD) + fifth_bits(q5) + nibbles(q5),
                [&](size_t i) { return (at(q5, i) - 16) * kD; });
  expect_values(StoredType::kQ5_1, f16(kD) + f16(kMin) + fifth_bits(q5) + nibbles(q5),
                [&](size_t i) { return at(q5, i) * kD + kMin; });
  const std::vector<int> q8 = some_integers(32, 256);
  const std::string bytes(q8.begin(), q8.end());
  const auto signed_at = [&](size_t i) { return static_cast<float>(static_cast<int8_t>(q8[i])); };
  expect_values(StoredType::kQ8_0, f16(kD) + bytes, [&](size_t i) { return signed_at(i) * kD; });
  expect_values(StoredType::kQ8_1, f16(kD) + f16(7) + bytes,
                [&](size_t i) { return signed_at(i) * kD; });
}

TEST(Dequantise, NonLinearBlocksOf32) {
  constexpr std::array kTable = {-127, -104, -83, -65, -49, -35, -22, -10,
                                 1,    13,   25,  38,  53,  69,  89,  113};
  const std::vector<int> q = some_integers(32, 16);
  expect_values(StoredType::kIQ4_NL, f16(kD) + nibbles(q), [&](size_t i) {
    return kD * static_cast<float>(kTable[static_cast<size_t>(q[i])]);
  });
  const std::vector<int> q256 = some_integers(256, 16), s = some_integers(8, 64);
  uint16_t high = 0;
  std::vector<uint8_t> low(4);
  std::string packed;
  for (size_t j = 0; j < 8; ++j) {
    high = static_cast<uint16_t>(high | (s[j] >> 4) << (2 * j));
    low[j / 2] = static_cast<uint8_t>(low[j / 2] | (s[j] & 15) << (4 * (j % 2)));
    const auto begin = q256.begin() + static_cast<ptrdiff_t>(32 * j);
    packed += nibbles({begin, begin + 32});
  }
  expect_values(StoredType::kIQ4_XS, f16(kD) + le(high) + text_of(low) + packed, [&](size_t i) {
    return kD * static_cast<float>(s[i / 32] - 32) *
           static_cast<float>(kTable[static_cast<size_t>(q256[i])]);
  });
}

// Two-bit integers of Q2_K and Q3_K: value 128 h + 32 k + l at byte 32 h + l, shift 2 k.
std::string two_bits(const std::vector<int>& q) {
  std::vector<uint8_t> out(64);
  for (size_t i = 0; i < 256; ++i) {
    const size_t h = i / 128, k = i % 128 / 32, l = i % 32;
    out[32 * h + l] = static_cast<uint8_t>(out[32 * h + l] | (q[i] & 3) << (2 * k));
  }
  return text_of(out);
}

TEST(Dequantise, Q2K) {
  const std::vector<int> q = some_integers(256, 4), s = some_integers(16, 16),
                         m = some_integers(16, 15);
  std::vector<uint8_t> scales(16);
  for (size_t j = 0; j < 16; ++j) scales[j] = static_cast<uint8_t>(s[j] | m[j] << 4);
  expect_values(StoredType::kQ2_K, text_of(scales) + two_bits(q) + f16(kD) + f16(kMin),
                [&](size_t i) {
                  return kD * static_cast<float>(s[i / 16]) * static_cast<float>(q[i]) -
                         kMin * static_cast<float>(m[i / 16]);
                });
}

TEST(Dequantise, Q3K) {
  const std::vector<int> q = some_integers(256, 8),
                         s = some_integers(16, 64);  // q: 0..7 means -4..3
  std::vector<uint8_t> mask(32), scales(12);
  for (size_t i = 0; i < 256; ++i)
    mask[i % 32] = static_cast<uint8_t>(mask[i % 32] | (q[i] >> 2) << (i / 32));
  for (size_t j = 0; j < 16; ++j) {
    const int low = s[j] & 15, high = s[j] >> 4;
    scales[j % 8] = static_cast<uint8_t>(scales[j % 8] | low << (j < 8 ? 0 : 4));
    scales[8 + j % 4] = static_cast<uint8_t>(scales[8 + j % 4] | high << (2 * (j / 4)));
  }
  expect_values(StoredType::kQ3_K, text_of(mask) + two_bits(q) + text_of(scales) + f16(kD),
                [&](size_t i) {
                  return kD * static_cast<float>(s[i / 16] - 32) * static_cast<float>(q[i] - 4);
                });
}

// Six-bit scales and minima of Q4_K and Q5_K.
std::string six_bits(const std::vector<int>& s, const std::vector<int>& m) {
  std::vector<uint8_t> out(12);
  for (size_t j = 0; j < 4; ++j) {
    out[j] = static_cast<uint8_t>(s[j] | s[j + 4] >> 4 << 6);
    out[j + 4] = static_cast<uint8_t>(m[j] | m[j + 4] >> 4 << 6);
    out[j + 8] = static_cast<uint8_t>((s[j + 4] & 15) | (m[j + 4] & 15) << 4);
  }
  return text_of(out);
}
// Low four bits: chunk c of 32 bytes has sub-block 2 c in the low and 2 c + 1 in the high nibbles.
std::string chunks(const std::vector<int>& q) {
  std::vector<uint8_t> out(128);
  for (size_t i = 0; i < 256; ++i) {
    uint8_t& byte = out[i / 64 * 32 + i % 32];
    byte = static_cast<uint8_t>(byte | (q[i] & 15) << (i % 64 < 32 ? 0 : 4));
  }
  return text_of(out);
}

TEST(Dequantise, Q4KAndQ5K) {
  const std::vector<int> s = some_integers(8, 64), m = some_integers(8, 63);
  const std::string start = f16(kD) + f16(kMin) + six_bits(s, m);
  const auto formula = [&](const std::vector<int>& q) {
    return [&s, &m, &q](size_t i) {
      return kD * static_cast<float>(s[i / 32]) * static_cast<float>(q[i]) -
             kMin * static_cast<float>(m[i / 32]);
    };
  };
  const std::vector<int> q4 = some_integers(256, 16), q5 = some_integers(256, 32);
  expect_values(StoredType::kQ4_K, start + chunks(q4), formula(q4));
  std::vector<uint8_t> high(32);
  for (size_t i = 0; i < 256; ++i)
    high[i % 32] = static_cast<uint8_t>(high[i % 32] | (q5[i] >> 4) << (i / 32));
  expect_values(StoredType::kQ5_K, start + text_of(high) + chunks(q5), formula(q5));
}

TEST(Dequantise, Q6K) {
  const std::vector<int> q = some_integers(256, 64), s = some_integers(16, 256);
  std::vector<uint8_t> low(128), high(64);
  for (size_t i = 0; i < 256; ++i) {
    const size_t h = i / 128, k = i % 128 / 32, l = i % 32;
    uint8_t& low_byte = low[64 * h + l + (k % 2) * 32];
    low_byte = static_cast<uint8_t>(low_byte | (q[i] & 15) << (k < 2 ? 0 : 4));
    high[32 * h + l] = static_cast<uint8_t>(high[32 * h + l] | (q[i] >> 4) << (2 * k));
  }
  const std::string scales(s.begin(), s.end());
  expect_values(StoredType::kQ6_K, text_of(low) + text_of(high) + scales + f16(kD), [&](size_t i) {
    return kD * static_cast<float>(static_cast<int8_t>(s[i / 16])) * static_cast<float>(q[i] - 32);
  });
}

TEST(Dequantise, Q8K) {
  const std::vector<int> q = some_integers(256, 256);
  const std::string bytes(q.begin(), q.end());
  expect_values(StoredType::kQ8_K, le(0.1f) + bytes + std::string(32, '\x55'),
                [&](size_t i) { return 0.1f * static_cast<float>(static_cast<int8_t>(q[i])); });
}

TEST(ReadF32, QuantisedRows) {
  const std::string row0 = f16(1) + std::string(32, '\x01'),
                    row1 = f16(2) + std::string(32, '\x03');
  const std::string data = row0 + row1;
  const Tensor t = {.name = "t",
                    .dtype = StoredType::kQ8_0,
                    .shape = {2, 32},
                    .strides = {},
                    .bytes = bytes_of(data)};
  std::vector<float> second(32);
  read_f32(t, 32, 64, second);
  EXPECT_EQ(second, std::vector<float>(32, 6.f));
}

TEST(QuantiseQ8_0, RoundsHalvesAwayFromZeroWithTheUnroundedScale) {
  std::vector<float> x(64, 0.f);  // the second block is all zero
  x[0] = 127 * 0.1f;              // d = 0.1, which f16 cannot hold
  x[1] = 0.25f;                   // 2.5 steps
  x[2] = -0.25f;
  x[3] = 0.04f;
  std::vector<std::byte> blocks(68);
  quantise_q8_0(x, blocks);
  uint16_t d;
  std::memcpy(&d, blocks.data(), 2);
  EXPECT_EQ(d, to_f16(127 * 0.1f / 127).bits);
  const auto q = [&](size_t i) { return static_cast<int8_t>(blocks[2 + i]); };
  EXPECT_EQ(q(0), 127);
  EXPECT_EQ(q(1), static_cast<int8_t>(std::round(0.25f * (1 / (127 * 0.1f / 127)))));
  EXPECT_EQ(q(2), -q(1));
  EXPECT_EQ(q(3), 0);
  for (size_t i = 34; i < 68; ++i) EXPECT_EQ(blocks[i], std::byte{0});
}

TEST(QuantiseQ8_0, HalfwayCaseGoesAwayFromZero) {
  std::vector<float> x(32, 0.f);
  x[0] = 127, x[1] = 2.5f, x[2] = -2.5f, x[3] = 3.5f;  // d = 1
  std::vector<std::byte> blocks(34);
  quantise_q8_0(x, blocks);
  EXPECT_EQ(static_cast<int8_t>(blocks[2 + 1]), 3);
  EXPECT_EQ(static_cast<int8_t>(blocks[2 + 2]), -3);
  EXPECT_EQ(static_cast<int8_t>(blocks[2 + 3]), 4);
}

TEST(QuantiseQ8_0, StaysWithinHalfAStep) {
  std::vector<float> x(256), back(256);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i) * 0.7f) * 3;
  std::vector<std::byte> blocks(256 / 32 * 34);
  quantise_q8_0(x, blocks);
  dequantise(StoredType::kQ8_0, blocks.data(), back);
  // Half a step, and what f16 rounds off 127 steps (2^-11 each).
  for (size_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(back[i], x[i], 3.f / 127 * 0.5f + 3.f * 0x1p-11f);
}

TEST(QuantiseQ8_0, TinyValuesBecomeZeroAndOthersAreRefused) {
  std::vector<float> x(32, 1e-40f), back(32, 1.f);
  std::vector<std::byte> blocks(34);
  quantise_q8_0(x, blocks);
  dequantise(StoredType::kQ8_0, blocks.data(), back);
  EXPECT_EQ(back, std::vector<float>(32, 0.f));
  for (float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF, 1e30f}) {
    x[5] = bad;
    EXPECT_THAT(refusal([&] { quantise_q8_0(x, blocks); }), HasSubstr("cannot be stored as Q8_0"));
  }
}

}  // namespace
}  // namespace fathom::dequantise_test
