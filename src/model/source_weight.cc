// SPDX-License-Identifier: Apache-2.0
#include "model/source_weight.h"

#include <algorithm>

#include "model/quantised.h"

namespace fathom {

size_t SourceWeight::rows() const {
  size_t n = 0;
  for (const Tensor& t : parts) n += t.shape[0];  // not t.rows(): a (24, 0) matrix has 24
  return n;
}
size_t SourceWeight::cols() const { return parts.empty() ? 0 : parts.front().cols(); }

void read_rows(const SourceWeight& source, size_t begin, size_t end, float* out) {
  float* const first = out;
  size_t row = 0;
  for (size_t i = 0; i < source.parts.size(); ++i) {
    const Tensor& t = source.parts[i];
    const size_t b = std::max(begin, row), e = std::min(end, row + t.rows());
    if (b < e) {
      const size_t n = (e - b) * t.cols();
      read_f32(t, (b - row) * t.cols(), (e - row) * t.cols(), {out, n});
      if (!source.row_scales.empty())
        multiply_rows(source.row_scales[i], source.scale_divisor, b - row, e - b, t.cols(), out);
      out += n;
    }
    row += t.rows();
  }
  if (source.scale != 1)
    for (float* x = first; x != out; ++x) *x *= source.scale;
  for (const LowRankUpdate& update : source.updates) add_rows(update, begin, end - begin, first);
}

void look_up(const SourceWeight& source, std::span<const uint32_t> tokens, Matrix<float> out,
             ThreadPool& pool) {
  FATHOM_ASSERT(out.rows() == tokens.size() && out.cols() == source.cols());
  constexpr size_t kTask = 64;
  pool.run((tokens.size() + kTask - 1) / kTask, [&](size_t task) {
    const size_t end = std::min(tokens.size(), (task + 1) * kTask);
    for (size_t t = task * kTask; t < end; ++t)
      read_rows(source, tokens[t], tokens[t] + 1, out.row(t).data());
  });
}

}  // namespace fathom
