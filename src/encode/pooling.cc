// SPDX-License-Identifier: Apache-2.0
#include "encode/pooling.h"

#include <algorithm>
#include <limits>

#include "base/invalid_option.h"
#include "base/list.h"
#include "encode/nonfinite.h"

namespace fathom {

Pool::Pool(Pooling pooling, size_t n_sequence, size_t dim, EosRule eos)
    : pooling_(pooling == Pooling::kEos && !eos.id ? Pooling::kLast : pooling),
      eos_(eos),
      n_sequence_(n_sequence),
      dim_(dim),
      is_lost_(n_sequence, false),
      weight_(n_sequence, 0) {
  if (pooling_ == Pooling::kLast || pooling_ == Pooling::kMax)
    value_.assign(n_sequence * dim, -std::numeric_limits<float>::infinity());
  else
    sum_.assign(n_sequence * dim, 0);
}

void Pool::add(const Backend& backend, ThreadPool& threads, Matrix<const float> rows,
               std::span<const size_t> offsets, std::span<const size_t> position,
               std::span<const size_t> first, std::span<const uint32_t> ids) {
  FATHOM_ASSERT(offsets.size() == n_sequence_ + 1 && rows.cols() == dim_);
  FATHOM_ASSERT(pooling_ != Pooling::kEos || ids.size() == rows.rows());
  const auto skipped = [&](size_t s) {  // leading rows of this piece that are not pooled
    return std::min(offsets[s + 1] - offsets[s],
                    first[s] > position[s] ? first[s] - position[s] : 0);
  };
  if (pooling_ == Pooling::kLast || pooling_ == Pooling::kMax) {
    for (size_t s = 0; s < n_sequence_; ++s) {
      const size_t begin = offsets[s] + skipped(s), end = offsets[s + 1];
      if (begin == end) continue;
      weight_[s] = 1;
      float* value = value_.data() + s * dim_;
      if (pooling_ == Pooling::kLast) {
        std::ranges::copy(rows.row(end - 1), value);
      } else {
        const size_t whole[] = {0, end - begin};
        backend.max_rows(threads, rows.slice(begin, end), whole, {value, 1, dim_});
        // Comparing with NaN is always false: the maximum would be that of the other rows.
        for (size_t t = begin; t < end && !is_lost_[s]; ++t) is_lost_[s] = !all_finite(rows.row(t));
      }
    }
    return;
  }
  const bool every_row_alike =
      pooling_ == Pooling::kMean &&
      std::all_of(first.begin(), first.end(), [](size_t f) { return f == 0; });
  std::vector<float> weights;
  if (!every_row_alike) weights.assign(rows.rows(), 0);
  for (size_t s = 0; s < n_sequence_; ++s) {
    if (every_row_alike) {
      weight_[s] += static_cast<double>(offsets[s + 1] - offsets[s]);
      continue;
    }
    for (size_t t = offsets[s] + skipped(s); t < offsets[s + 1]; ++t) {
      const size_t place = position[s] + (t - offsets[s]) - first[s] + 1;
      weights[t] = pooling_ == Pooling::kWeighted ? static_cast<float>(place)
                   : pooling_ == Pooling::kEos
                       ? static_cast<float>(ids[t] == *eos_.id && !(eos_.has_bos && place == 1))
                       : 1;
      weight_[s] += weights[t];
    }
  }
  backend.add_rows(threads, rows, offsets, weights, {sum_.data(), n_sequence_, dim_});
}

void Pool::finish(size_t s, std::span<float> out) const {
  FATHOM_ASSERT(s < n_sequence_ && out.size() == dim_ && weight_[s] > 0);
  if (is_lost_[s]) {
    std::ranges::fill(out, std::numeric_limits<float>::quiet_NaN());
    return;
  }
  for (size_t i = 0; i < dim_; ++i)
    out[i] =
        sum_.empty() ? value_[s * dim_ + i] : static_cast<float>(sum_[s * dim_ + i] / weight_[s]);
}

}  // namespace fathom
