// SPDX-License-Identifier: Apache-2.0
// Buffer<T>: owns 64-byte aligned memory for plain numbers. Move-only. Growing
// does not keep the contents: activations are written before they are read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

#include "base/error.h"

namespace fathom {

template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  explicit Buffer(size_t size) { reserve_discard(size); }  // zero-filled

  // At least `size` elements, all zero if memory was taken anew; contents are lost then.
  // Throws std::bad_alloc.
  void reserve_discard(size_t size) {
    if (size <= size_) return;
    size_t bytes = 0;
    if (__builtin_mul_overflow(size, sizeof(T), &bytes) || bytes > SIZE_MAX - 63)
      throw std::bad_alloc();
    data_.reset();
    bytes = (bytes + 63) / 64 * 64;
    data_.reset(static_cast<T*>(std::aligned_alloc(64, bytes)));
    if (!data_) throw std::bad_alloc();
    std::fill_n(reinterpret_cast<unsigned char*>(data_.get()), bytes,
                static_cast<unsigned char>(0));
    size_ = size;
  }

  T* data() const { return data_.get(); }
  size_t size() const { return size_; }
  std::span<T> span() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
  size_t size_ = 0;
};

}  // namespace fathom
