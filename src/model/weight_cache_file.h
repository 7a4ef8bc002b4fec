// SPDX-License-Identifier: Apache-2.0
// The file of a model's packed weights. The program writes it for this machine, and reads it with
// the same checks as any other file.
//
//   u8[8]  "fathomW1"
//   u64    size of the header in bytes, a multiple of 64
//   u64    size of the file in bytes
//   text   the key: what the weights were packed from and for
//   u32    number of weights; for each: text name, u64 n_out, u64 n_in, u8 Compute,
//          u64 size of its packed blob in bytes, u64 XXH3 of the blob
//   zeros, then the last 8 bytes of the header: XXH3 of all of it before them
//   the packed blobs in the same order, each on the next multiple of 64
//
// Little-endian, not aligned; text is a u32 length and that many bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/backend.h"

namespace fathom {

struct CachedWeight {
  std::string_view name;
  size_t n_out = 0, n_in = 0;
  Compute compute = Compute::kF32;
  std::span<const std::byte> blob;  // on 64 bytes if the file is
  uint64_t hash = 0;                // hash_of(blob)
};

// Views of the bytes that were parsed, or of what is to be written.
struct WeightCacheFile {
  std::string_view key;
  std::vector<CachedWeight> weights;
};

// Checks the header's checksum and that everything lies inside the file, not the hashes of the
// blobs. Throws Error naming the fault, without the name of the file.
WeightCacheFile parse_weight_cache(std::span<const std::byte> file);

// Straight from the packed blobs. What fails is left to the stream.
void write_weight_cache(std::ostream& out, const WeightCacheFile& file);

}  // namespace fathom
