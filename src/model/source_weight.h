// SPDX-License-Identifier: Apache-2.0
// SourceWeight: a weight in its file, read by rows as f32.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/matrix.h"
#include "base/thread_pool.h"
#include "formats/tensor.h"
#include "model/adapter.h"

namespace fathom {

// A weight as the file has it: strided views, 2-D, whose rows joined are the canonical matrix.
struct SourceWeight {
  std::vector<Tensor> parts;
  float scale = 1;  // undoes a rescale that was folded into the stored weight
  // What the rows of a part are multiplied with (see quantised.h), one for each part; else empty.
  std::vector<Tensor> row_scales = {};
  double scale_divisor = 1;
  std::string_view scheme = {};             // of the scales: "bitsandbytes int8"
  std::vector<LowRankUpdate> updates = {};  // adapters, added last

  // Whether the stored numbers are the weight, as far as they are floats.
  bool is_plain() const { return scale == 1 && row_scales.empty() && updates.empty(); }

  size_t rows() const;
  size_t cols() const;  // the same in every part
};
// Rows [begin, end) as f32, (end - begin, cols). Thread-safe.
void read_rows(const SourceWeight& source, size_t begin, size_t end, float* out);
// The row of each token, into out (tokens.size(), cols). Of a mapped table only the pages of tokens
// that occur are ever read. Every token is below source.rows().
void look_up(const SourceWeight& source, std::span<const uint32_t> tokens, Matrix<float> out,
             ThreadPool& pool);

}  // namespace fathom
