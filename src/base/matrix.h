// SPDX-License-Identifier: Apache-2.0
// Matrix<T>: a row-major view, (rows, cols), that does not own its memory.
// Matrix<const float> is a read-only view; every Matrix<T> converts to it.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

#include "base/error.h"

namespace fathom {

template <class T>
class Matrix {
 public:
  Matrix() = default;
  Matrix(T* data, size_t rows, size_t cols) : data_(data), rows_(rows), cols_(cols) {}
  operator Matrix<const T>() const requires(!std::is_const_v<T>) { return {data_, rows_, cols_}; }

  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }
  T* data() const { return data_; }
  std::span<T> row(size_t r) const {
    FATHOM_ASSERT(r < rows_);
    return {data_ + r * cols_, cols_};
  }
  // Rows [begin, end), e.g. the tokens of one sequence of a packed batch.
  Matrix slice(size_t begin, size_t end) const {
    FATHOM_ASSERT(begin <= end && end <= rows_);
    return {data_ + begin * cols_, end - begin, cols_};
  }

 private:
  T* data_ = nullptr;  // (rows, cols), contiguous
  size_t rows_ = 0;
  size_t cols_ = 0;
};

}  // namespace fathom
