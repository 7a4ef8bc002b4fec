// SPDX-License-Identifier: Apache-2.0
// Random: the project's own generator, so that a seed means the same rows and the same resamples on
// every platform and compiler (the distributions of <random> differ between libraries).
//
// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014):
// a 64-bit counter with step 2^64 / golden ratio, mixed by Stafford's variant 13. Period 2^64.
// Any seed is a good seed. One thread at a time. Not for cryptography.
#pragma once

#include <cstdint>

#include "base/error.h"

namespace fathom {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  // Uniform over all 64-bit values.
  uint64_t next() {
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  // Uniform over 0 .. n-1, without modulo bias; n >= 1. The high half of next() * n, where the few
  // low halves that would favour some results are drawn again (Lemire, "Fast random integer
  // generation in an interval", TOMACS 2019).
  uint64_t below(uint64_t n) {
    FATHOM_ASSERT(n > 0);
    __extension__ using Wide = unsigned __int128;
    Wide product = Wide{next()} * n;
    if (static_cast<uint64_t>(product) < n) {
      const uint64_t biased = (0 - n) % n;  // 2^64 mod n
      while (static_cast<uint64_t>(product) < biased) product = Wide{next()} * n;
    }
    return static_cast<uint64_t>(product >> 64);
  }

 private:
  uint64_t state_;
};

}  // namespace fathom
