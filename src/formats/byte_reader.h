// SPDX-License-Identifier: Apache-2.0
// ByteReader: the only way a parser touches untrusted bytes. Every read is
// checked against what is left, so no parser holds a raw cursor of its own.
#pragma once

#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/error.h"

namespace fathom {

// a * b, or an Error if it does not fit: sizes come from the file.
inline size_t checked_mul(size_t a, size_t b, std::string_view what) {
  size_t product = 0;
  FATHOM_REQUIRE(!__builtin_mul_overflow(a, b, &product), what, ": ", a, " * ", b, " overflows");
  return product;
}

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : rest_(bytes) {}

  size_t remaining() const { return rest_.size(); }

  std::span<const std::byte> take(size_t n, std::string_view what) {
    FATHOM_REQUIRE(n <= rest_.size(), "truncated: ", what, " needs ", n, " bytes, ", rest_.size(),
                   " left");
    const auto head = rest_.first(n);
    rest_ = rest_.subspan(n);
    return head;
  }

  // Little-endian number; memcpy because file offsets are not aligned.
  template <class T>
  T read(std::string_view what) {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  std::string_view text(size_t n, std::string_view what) {
    const auto bytes = take(n, what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

 private:
  std::span<const std::byte> rest_;
};

}  // namespace fathom
