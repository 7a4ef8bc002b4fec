// SPDX-License-Identifier: Apache-2.0
#include "formats/dequantise.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/error.h"

namespace fathom {
namespace {

// Block is the little-endian bytes of one block; every block type below is a plain struct of them,
// so that its size is the size in the file.
struct F16Bytes {
  uint8_t low, high;
  operator float() const { return to_f32(F16{static_cast<uint16_t>(low | high << 8)}); }
};

struct Q4_0 {
  static constexpr size_t kElements = 32;
  F16Bytes d;
  uint8_t qs[16];
  void decode(float* x) const {
    for (int j = 0; j < 16; ++j) {
      x[j] = static_cast<float>((qs[j] & 15) - 8) * d;
      x[j + 16] = static_cast<float>((qs[j] >> 4) - 8) * d;
    }
  }
};

struct Q4_1 {
  static constexpr size_t kElements = 32;
  F16Bytes d, m;
  uint8_t qs[16];
  void decode(float* x) const {
    for (int j = 0; j < 16; ++j) {
      x[j] = static_cast<float>(qs[j] & 15) * d + m;
      x[j + 16] = static_cast<float>(qs[j] >> 4) * d + m;
    }
  }
};

// The fifth bit of element j of a 5-bit block, in place (16 or 0).
int fifth_bit(const uint8_t (&qh)[4], int j) { return (qh[j / 8] >> (j % 8) & 1) << 4; }

struct Q5_0 {
  static constexpr size_t kElements = 32;
  F16Bytes d;
  uint8_t qh[4], qs[16];
  void decode(float* x) const {
    for (int j = 0; j < 16; ++j) {
      x[j] = static_cast<float>(((qs[j] & 15) | fifth_bit(qh, j)) - 16) * d;
      x[j + 16] = static_cast<float>(((qs[j] >> 4) | fifth_bit(qh, j + 16)) - 16) * d;
    }
  }
};

struct Q5_1 {
  static constexpr size_t kElements = 32;
  F16Bytes d, m;
  uint8_t qh[4], qs[16];
  void decode(float* x) const {
    for (int j = 0; j < 16; ++j) {
      x[j] = static_cast<float>((qs[j] & 15) | fifth_bit(qh, j)) * d + m;
      x[j + 16] = static_cast<float>((qs[j] >> 4) | fifth_bit(qh, j + 16)) * d + m;
    }
  }
};

struct Q8_0 {
  static constexpr size_t kElements = 32;
  F16Bytes d;
  int8_t qs[32];
  void decode(float* x) const {
    for (int j = 0; j < 32; ++j) x[j] = static_cast<float>(qs[j]) * d;
  }
};

struct Q8_1 {
  static constexpr size_t kElements = 32;
  F16Bytes d, sum;  // sum = d * (sum of qs), for dot products
  int8_t qs[32];
  void decode(float* x) const {
    for (int j = 0; j < 32; ++j) x[j] = static_cast<float>(qs[j]) * d;
  }
};

struct Q2_K {
  static constexpr size_t kElements = 256;
  uint8_t scales[16];  // low nibble: scale, high nibble: minimum
  uint8_t qs[64];
  F16Bytes d, dmin;
  void decode(float* x) const {
    for (int j = 0; j < 16; ++j) {  // values 16 j ... 16 j + 15 share a scale
      const uint8_t* from = qs + (j / 8 * 32 + j % 2 * 16);
      const int shift = j % 8 / 2 * 2;
      const float scale = d * static_cast<float>(scales[j] & 15);
      const float minimum = dmin * static_cast<float>(scales[j] >> 4);
      for (int l = 0; l < 16; ++l)
        x[16 * j + l] = scale * static_cast<float>(from[l] >> shift & 3) - minimum;
    }
  }
};

struct Q3_K {
  static constexpr size_t kElements = 256;
  uint8_t hmask[32], qs[64], scales[12];
  F16Bytes d;
  int scale(int j) const {
    const int low = j < 8 ? scales[j] & 15 : scales[j - 8] >> 4;
    const int high = scales[8 + j % 4] >> (2 * (j / 4)) & 3;
    return (low | high << 4) - 32;
  }
  void decode(float* x) const {
    for (int j = 0; j < 16; ++j) {
      const uint8_t* low = qs + (j / 8 * 32 + j % 2 * 16);
      const uint8_t* high = hmask + (j % 2 == 0 ? 0 : 16);
      const int shift = j % 8 / 2 * 2, bit = j / 2;
      const float factor = d * static_cast<float>(scale(j));
      for (int l = 0; l < 16; ++l) {
        const int q = (low[l] >> shift & 3) - (1 - (high[l] >> bit & 1)) * 4;
        x[16 * j + l] = factor * static_cast<float>(q);
      }
    }
  }
};

// The eight six-bit scales and minima of Q4_K and Q5_K, in 12 bytes.
struct ScaleMin {
  float scale, minimum;
};
ScaleMin scale_min(const uint8_t (&sc)[12], int j) {
  const int s = j < 4 ? sc[j] & 63 : (sc[j + 4] & 15) | sc[j - 4] >> 6 << 4;
  const int m = j < 4 ? sc[j + 4] & 63 : sc[j + 4] >> 4 | sc[j] >> 6 << 4;
  return {static_cast<float>(s), static_cast<float>(m)};
}

struct Q4_K {
  static constexpr size_t kElements = 256;
  F16Bytes d, dmin;
  uint8_t scales[12], qs[128];
  void decode(float* x) const {
    for (int j = 0; j < 8; ++j) {
      const auto [s, m] = scale_min(scales, j);
      const float scale = d * s, minimum = dmin * m;
      for (int l = 0; l < 32; ++l) {
        const int q = qs[j / 2 * 32 + l] >> (j % 2 * 4) & 15;
        x[32 * j + l] = scale * static_cast<float>(q) - minimum;
      }
    }
  }
};

struct Q5_K {
  static constexpr size_t kElements = 256;
  F16Bytes d, dmin;
  uint8_t scales[12], qh[32], qs[128];
  void decode(float* x) const {
    for (int j = 0; j < 8; ++j) {
      const auto [s, m] = scale_min(scales, j);
      const float scale = d * s, minimum = dmin * m;
      for (int l = 0; l < 32; ++l) {
        const int low = qs[j / 2 * 32 + l] >> (j % 2 * 4) & 15;
        const int q = low | (qh[l] >> j & 1) << 4;
        x[32 * j + l] = scale * static_cast<float>(q) - minimum;
      }
    }
  }
};

struct Q6_K {
  static constexpr size_t kElements = 256;
  uint8_t ql[128], qh[64];
  int8_t scales[16];
  F16Bytes d;
  void decode(float* x) const {
    for (int j = 0; j < 16; ++j) {  // half h = j / 8, k = j % 8 / 2, l from 16 (j % 2)
      const int k = j % 8 / 2;
      const uint8_t* low = ql + (j / 8 * 64 + k % 2 * 32 + j % 2 * 16);
      const uint8_t* high = qh + (j / 8 * 32 + j % 2 * 16);
      const int low_shift = k / 2 * 4, high_shift = 2 * k;
      const float scale = d * static_cast<float>(scales[j]);
      for (int l = 0; l < 16; ++l) {
        const int q = (low[l] >> low_shift & 15) | (high[l] >> high_shift & 3) << 4;
        x[16 * j + l] = scale * static_cast<float>(q - 32);
      }
    }
  }
};

struct Q8_K {
  static constexpr size_t kElements = 256;
  uint8_t d[4];  // f32
  int8_t qs[256];
  uint8_t sums[32];
  void decode(float* x) const {
    float scale;
    std::memcpy(&scale, d, sizeof(scale));
    for (int i = 0; i < 256; ++i) x[i] = static_cast<float>(qs[i]) * scale;
  }
};

// The 16 values of the non-linear 4-bit types.
constexpr float kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};

struct Iq4Nl {
  static constexpr size_t kElements = 32;
  F16Bytes d;
  uint8_t qs[16];
  void decode(float* x) const {
    for (int j = 0; j < 16; ++j) {
      x[j] = d * kIq4Values[qs[j] & 15];
      x[j + 16] = d * kIq4Values[qs[j] >> 4];
    }
  }
};

struct Iq4Xs {
  static constexpr size_t kElements = 256;
  F16Bytes d;
  uint8_t scales_high[2], scales_low[4], qs[128];
  void decode(float* x) const {
    const int high_bits = scales_high[0] | scales_high[1] << 8;
    for (int j = 0; j < 8; ++j) {
      const int low = scales_low[j / 2] >> (4 * (j & 1)) & 15;
      const int high = high_bits >> (2 * j) & 3;
      const float scale = d * static_cast<float>((low | high << 4) - 32);
      for (int l = 0; l < 16; ++l) {
        x[32 * j + l] = scale * kIq4Values[qs[16 * j + l] & 15];
        x[32 * j + 16 + l] = scale * kIq4Values[qs[16 * j + l] >> 4];
      }
    }
  }
};

// The scale, a 127th of the largest value, has to fit f16.
constexpr float kLargestQ8_0 = 127 * 65504.f;

template <class Block>
void decode_all(StoredType dtype, const std::byte* blocks, std::span<float> out) {
  FATHOM_ASSERT(sizeof(Block) == dtype_info(dtype).block_bytes &&
                Block::kElements == dtype_info(dtype).block_elements &&
                out.size() % Block::kElements == 0);
  for (size_t i = 0; i < out.size(); i += Block::kElements, blocks += sizeof(Block)) {
    Block block;
    std::memcpy(&block, blocks, sizeof(block));
    block.decode(out.data() + i);
  }
}

}  // namespace

void dequantise(StoredType dtype, const std::byte* blocks, std::span<float> out) {
  switch (dtype) {
    case StoredType::kQ4_0:
      return decode_all<Q4_0>(dtype, blocks, out);
    case StoredType::kQ4_1:
      return decode_all<Q4_1>(dtype, blocks, out);
    case StoredType::kQ5_0:
      return decode_all<Q5_0>(dtype, blocks, out);
    case StoredType::kQ5_1:
      return decode_all<Q5_1>(dtype, blocks, out);
    case StoredType::kQ8_0:
      return decode_all<Q8_0>(dtype, blocks, out);
    case StoredType::kQ8_1:
      return decode_all<Q8_1>(dtype, blocks, out);
    case StoredType::kQ2_K:
      return decode_all<Q2_K>(dtype, blocks, out);
    case StoredType::kQ3_K:
      return decode_all<Q3_K>(dtype, blocks, out);
    case StoredType::kQ4_K:
      return decode_all<Q4_K>(dtype, blocks, out);
    case StoredType::kQ5_K:
      return decode_all<Q5_K>(dtype, blocks, out);
    case StoredType::kQ6_K:
      return decode_all<Q6_K>(dtype, blocks, out);
    case StoredType::kQ8_K:
      return decode_all<Q8_K>(dtype, blocks, out);
    case StoredType::kIQ4_NL:
      return decode_all<Iq4Nl>(dtype, blocks, out);
    case StoredType::kIQ4_XS:
      return decode_all<Iq4Xs>(dtype, blocks, out);
    default:
      break;
  }
  FATHOM_ASSERT(!"not a quantised type");
}

void quantise_q8_0(std::span<const float> x, std::span<std::byte> blocks) {
  FATHOM_ASSERT(x.size() % Q8_0::kElements == 0 &&
                blocks.size() == x.size() / Q8_0::kElements * sizeof(Q8_0));
  std::byte* to = blocks.data();
  for (size_t i = 0; i < x.size(); i += Q8_0::kElements, to += sizeof(Q8_0)) {
    const std::span<const float> in = x.subspan(i, Q8_0::kElements);
    float largest = 0;
    for (float v : in) {
      FATHOM_REQUIRE(std::fabs(v) <= kLargestQ8_0, "the value ", v, " cannot be stored as Q8_0");
      largest = std::max(largest, std::fabs(v));
    }
    // Below 2^-126 the reciprocal overflows; so small a scale is 0 in f16 in any case.
    const float d = largest / 127, inverse = d >= 0x1p-126f ? 1 / d : 0;
    const uint16_t d16 = to_f16(d).bits;
    Q8_0 block;
    block.d = {static_cast<uint8_t>(d16), static_cast<uint8_t>(d16 >> 8)};
    for (size_t j = 0; j < in.size(); ++j)
      block.qs[j] = static_cast<int8_t>(std::round(in[j] * inverse));
    std::memcpy(to, &block, sizeof(block));
  }
}

}  // namespace fathom
