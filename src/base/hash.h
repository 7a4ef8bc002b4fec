// SPDX-License-Identifier: Apache-2.0
// Checksums of what is kept in files of Fathom's own: XXH3, 64 bits. Not for keeping secrets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace fathom {

// XXH3_64bits of xxHash (BSD-2-Clause), seed 0: tens of GB/s, the same on every machine.
uint64_t hash_of(std::span<const std::byte> bytes);

// The same of bytes that come in parts.
class Hasher {
 public:
  Hasher();
  Hasher(Hasher&&) noexcept;
  ~Hasher();
  void add(std::span<const std::byte> bytes);
  uint64_t value() const;  // of all bytes so far

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// 16 hexadecimal digits.
std::string hex_of(uint64_t hash);
// The same of the hash of a text.
std::string hash_text(std::string_view text);

}  // namespace fathom
