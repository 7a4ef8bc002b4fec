// SPDX-License-Identifier: Apache-2.0
// The file of packed weights. Its header has a checksum, which no mutation would get past: it is
// put right first where the sizes allow.
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/hash.h"
#include "model/weight_cache_file.h"

namespace {

void correct_checksum(std::vector<std::byte>& file) {
  uint64_t n_header = 0;
  if (file.size() < 64) return;
  std::memcpy(&n_header, file.data() + 8, sizeof(n_header));
  if (n_header < 64 || n_header > file.size()) return;
  const size_t at = n_header - sizeof(uint64_t);
  const uint64_t hash = fathom::hash_of(std::span(file).first(at));
  std::memcpy(file.data() + at, &hash, sizeof(hash));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  std::vector<std::byte> file(bytes.begin(), bytes.end());
  correct_checksum(file);
  try {
    uint64_t sum = 0;
    for (const fathom::CachedWeight& w : fathom::parse_weight_cache(file).weights)
      sum += fathom::hash_of(w.blob) + w.name.size();  // reaches the ends of all bytes
    volatile uint64_t used = sum;
    static_cast<void>(used);
  } catch (const fathom::Error&) {
  }
  return 0;
}
