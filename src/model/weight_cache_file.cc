// SPDX-License-Identifier: Apache-2.0
#include "model/weight_cache_file.h"

#include <string>

#include "base/error.h"
#include "base/hash.h"
#include "formats/byte_reader.h"
#include "formats/write_tensor.h"

namespace fathom {
namespace {

constexpr std::string_view kMagic = "fathomW1";
constexpr size_t kAlignment = 64;
constexpr size_t kFixedBytes = 24;  // magic and the two sizes

size_t aligned(size_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

template <class T>
void append(std::string& header, T number) {
  header.append(reinterpret_cast<const char*>(&number), sizeof(number));
}
void append_text(std::string& header, std::string_view text) {
  append(header, static_cast<uint32_t>(text.size()));
  header.append(text);
}

std::string_view read_text(ByteReader& in, std::string_view what) {
  return in.text(in.read<uint32_t>(what), what);
}

Compute read_compute(ByteReader& in) {
  const auto value = in.read<uint8_t>("type of product");
  FATHOM_REQUIRE(value <= static_cast<uint8_t>(Compute::kInt8), "unknown type of product ",
                 static_cast<int>(value));
  return static_cast<Compute>(value);
}

}  // namespace

WeightCacheFile parse_weight_cache(std::span<const std::byte> file) {
  ByteReader fixed(file);
  FATHOM_REQUIRE(fixed.text(kMagic.size(), "magic") == kMagic,
                 "not a file of packed weights, or of another version");
  const auto header_bytes = fixed.read<uint64_t>("size of the header");
  const auto file_bytes = fixed.read<uint64_t>("size of the file");
  FATHOM_REQUIRE(
      header_bytes % kAlignment == 0 && header_bytes >= kAlignment && header_bytes <= file.size(),
      "a header of ", header_bytes, " bytes in a file of ", file.size());
  const auto header = file.first(header_bytes - sizeof(uint64_t));
  const auto stored = ByteReader(file.subspan(header.size())).read<uint64_t>("checksum");
  FATHOM_REQUIRE(hash_of(header) == stored, "the header does not match its checksum");
  FATHOM_REQUIRE(file_bytes == file.size(), "expected ", file_bytes, " bytes, the file has ",
                 file.size());

  ByteReader in(header.subspan(kFixedBytes));
  WeightCacheFile parsed;
  parsed.key = read_text(in, "key");
  const auto n_weight = in.read<uint32_t>("number of weights");
  size_t at = header_bytes;
  for (uint32_t i = 0; i < n_weight; ++i) {
    CachedWeight w;
    w.name = read_text(in, "name");
    w.n_out = in.read<uint64_t>("n_out");
    w.n_in = in.read<uint64_t>("n_in");
    w.compute = read_compute(in);
    const auto n_byte = in.read<uint64_t>("size of a packed blob");
    w.hash = in.read<uint64_t>("hash of a packed blob");
    FATHOM_REQUIRE(at <= file.size() && n_byte <= file.size() - at, "weight ", i,
                   " does not lie inside the file");
    w.blob = file.subspan(at, n_byte);
    at = aligned(at + n_byte);
    parsed.weights.push_back(w);
  }
  return parsed;
}

void write_weight_cache(std::ostream& out, const WeightCacheFile& file) {
  std::string rest;
  append_text(rest, file.key);
  append(rest, static_cast<uint32_t>(file.weights.size()));
  size_t blob_bytes = 0;
  for (const CachedWeight& w : file.weights) {
    append_text(rest, w.name);
    append(rest, uint64_t{w.n_out});
    append(rest, uint64_t{w.n_in});
    append(rest, static_cast<uint8_t>(w.compute));
    append(rest, uint64_t{w.blob.size()});
    append(rest, w.hash);
    blob_bytes = aligned(blob_bytes) + w.blob.size();
  }
  const size_t header_bytes = aligned(kFixedBytes + rest.size() + sizeof(uint64_t));
  std::string header(kMagic);
  append(header, uint64_t{header_bytes});
  append(header, uint64_t{header_bytes + blob_bytes});
  header += rest;
  header.resize(header_bytes - sizeof(uint64_t), '\0');
  append(header, hash_of(std::as_bytes(std::span(header))));
  write_text(out, header);
  size_t at = 0;
  for (const CachedWeight& w : file.weights) {
    write_text(out, std::string(aligned(at) - at, '\0'));
    write_bytes(out, w.blob);
    if (!out) return;
    at = aligned(at) + w.blob.size();
  }
}

}  // namespace fathom
