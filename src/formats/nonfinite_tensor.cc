// SPDX-License-Identifier: Apache-2.0
#include "formats/nonfinite_tensor.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace fathom {
namespace {

// Elements of one task: enough to be worth it, few enough to share out.
constexpr size_t kPiece = size_t{1} << 20;

struct Piece {
  const Tensor* tensor;
  size_t begin, end;  // elements
  size_t n = 0, first = 0;
  float value = 0;
};

// Whether one of the numbers, stored as Word, has nothing but ones in its exponent.
template <class Word>
bool any_nonfinite(const std::byte* from, size_t n, Word exponent) {
  constexpr size_t kBlock = 4096;
  Word block[kBlock];
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t count = std::min(kBlock, n - begin);
    std::memcpy(block, from + begin * sizeof(Word), count * sizeof(Word));
    Word bad = 0;
    for (size_t i = 0; i < count; ++i)
      bad = static_cast<Word>(bad | ((block[i] & exponent) == exponent));
    if (bad) return true;
  }
  return false;
}

// Most tensors are whole: told from the stored bits, without a conversion.
bool is_finite_by_bits(const Piece& piece) {
  const Tensor& t = *piece.tensor;
  if (!t.strides.empty()) return false;
  const size_t n = piece.end - piece.begin;
  const std::byte* from = t.bytes.data() + piece.begin * dtype_info(t.dtype).block_bytes;
  if (t.dtype == StoredType::kF32) return !any_nonfinite<uint32_t>(from, n, 0x7f800000u);
  if (t.dtype == StoredType::kBF16) return !any_nonfinite<uint16_t>(from, n, 0x7f80u);
  if (t.dtype == StoredType::kF16) return !any_nonfinite<uint16_t>(from, n, 0x7c00u);
  return false;
}

void look(Piece& piece) {
  if (!is_quantised(piece.tensor->dtype) && is_finite_by_bits(piece)) return;
  std::vector<float> values(piece.end - piece.begin);
  read_f32(*piece.tensor, piece.begin, piece.end, values);
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    if (piece.n++ > 0) continue;
    piece.first = piece.begin + i;
    piece.value = values[i];
  }
}

}  // namespace

std::vector<NonFiniteTensor> nonfinite_tensors(const Checkpoint& checkpoint, ThreadPool& pool) {
  std::vector<Piece> pieces;
  for (const Tensor& t : checkpoint.tensors()) {
    if (!(is_float(t.dtype) || is_quantised(t.dtype)) || t.n_element() == 0) continue;
    const size_t cols = t.cols(), step = std::max<size_t>(kPiece / cols, 1) * cols;
    for (size_t begin = 0; begin < t.n_element(); begin += step)
      pieces.push_back({&t, begin, std::min(begin + step, t.n_element())});
  }
  pool.run(pieces.size(), [&](size_t i) { look(pieces[i]); });
  std::vector<NonFiniteTensor> found;
  const Tensor* last = nullptr;
  for (const Piece& piece : pieces) {
    if (piece.n == 0) continue;
    if (piece.tensor != last) found.push_back({piece.tensor->name, 0, piece.first, piece.value});
    last = piece.tensor;
    found.back().n += piece.n;
  }
  return found;
}

}  // namespace fathom
