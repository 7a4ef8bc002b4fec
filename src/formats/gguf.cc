// SPDX-License-Identifier: Apache-2.0
#include "formats/gguf.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "formats/byte_reader.h"
#include "formats/checks.h"

namespace fathom {
namespace {

constexpr size_t kMaxMetadata = 16384;
constexpr size_t kMaxArrayDepth = 4;
constexpr size_t kMaxUnpacked = size_t{1} << 19;  // elements of an array handed out as a vector
constexpr size_t kMaxSplit = 1024;                // files of one model

struct GgmlType {
  uint32_t id;
  StoredType dtype;
};
constexpr GgmlType kGgmlTypes[] = {
    {0, StoredType::kF32},     {1, StoredType::kF16},   {2, StoredType::kQ4_0},
    {3, StoredType::kQ4_1},    {6, StoredType::kQ5_0},  {7, StoredType::kQ5_1},
    {8, StoredType::kQ8_0},    {9, StoredType::kQ8_1},  {10, StoredType::kQ2_K},
    {11, StoredType::kQ3_K},   {12, StoredType::kQ4_K}, {13, StoredType::kQ5_K},
    {14, StoredType::kQ6_K},   {15, StoredType::kQ8_K}, {20, StoredType::kIQ4_NL},
    {23, StoredType::kIQ4_XS}, {24, StoredType::kI8},   {25, StoredType::kI16},
    {26, StoredType::kI32},    {27, StoredType::kI64},  {28, StoredType::kF64},
    {30, StoredType::kBF16},
};

// kOther for types that are not read: a model may not need their tensors.
StoredType parse_ggml_type(uint32_t id) {
  for (const GgmlType& type : kGgmlTypes)
    if (type.id == id) return type.dtype;
  return StoredType::kOther;
}

std::string_view read_string(ByteReader& in, std::string_view what) {
  return in.text(in.read<uint64_t>(what), what);
}

// Bytes of one value; 0 for strings and arrays, whose values differ in size.
size_t scalar_bytes(GgufType type, std::string_view key) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      return 0;
  }
  throw Error(concat(key, ": unknown metadata type ", static_cast<uint32_t>(type)));
}

// Steps over `count` values. Every string or array takes at least 8 bytes of the file, so the loop
// ends long before a count that is made up.
void skip_values(ByteReader& in, GgufType type, uint64_t count, std::string_view key,
                 size_t depth) {
  FATHOM_REQUIRE(depth <= kMaxArrayDepth, key, ": arrays nested deeper than ", kMaxArrayDepth);
  if (const size_t n_bytes = scalar_bytes(type, key); n_bytes > 0) {
    in.take(checked_mul(count, n_bytes, key), key);
    return;
  }
  for (uint64_t i = 0; i < count; ++i) {
    if (type == GgufType::kString) {
      read_string(in, key);
    } else {
      const auto inner = static_cast<GgufType>(in.read<uint32_t>(key));
      const auto inner_count = in.read<uint64_t>(key);
      skip_values(in, inner, inner_count, key, depth + 1);
    }
  }
}

MetaArray read_array(ByteReader& in, std::string_view key) {
  MetaArray array;
  array.type = in.read<uint32_t>(key);
  array.count = in.read<uint64_t>(key);
  ByteReader after = in;
  skip_values(after, static_cast<GgufType>(array.type), array.count, key, 1);
  array.bytes = in.take(in.remaining() - after.remaining(), key);
  return array;
}

bool read_bool(ByteReader& in, std::string_view key) {
  const auto value = in.read<uint8_t>(key);
  FATHOM_REQUIRE(value <= 1, key, ": expected a boolean, got ", int{value});
  return value == 1;
}

MetaValue read_value(ByteReader& in, std::string_view key) {
  switch (const auto type = static_cast<GgufType>(in.read<uint32_t>(key)); type) {
    case GgufType::kU8:
      return uint64_t{in.read<uint8_t>(key)};
    case GgufType::kI8:
      return int64_t{in.read<int8_t>(key)};
    case GgufType::kU16:
      return uint64_t{in.read<uint16_t>(key)};
    case GgufType::kI16:
      return int64_t{in.read<int16_t>(key)};
    case GgufType::kU32:
      return uint64_t{in.read<uint32_t>(key)};
    case GgufType::kI32:
      return int64_t{in.read<int32_t>(key)};
    case GgufType::kU64:
      return in.read<uint64_t>(key);
    case GgufType::kI64:
      return in.read<int64_t>(key);
    case GgufType::kF32:
      return double{in.read<float>(key)};
    case GgufType::kF64:
      return in.read<double>(key);
    case GgufType::kBool:
      return read_bool(in, key);
    case GgufType::kString:
      return read_string(in, key);
    case GgufType::kArray:
      return read_array(in, key);
    default:
      throw Error(concat(key, ": unknown metadata type ", static_cast<uint32_t>(type)));
  }
}

void read_metadata(ByteReader& in, uint64_t n_entry, FileContents& contents) {
  FATHOM_REQUIRE(n_entry <= kMaxMetadata, "header: ", n_entry, " metadata entries; at most ",
                 kMaxMetadata, " are read");
  for (uint64_t i = 0; i < n_entry; ++i) {
    const std::string_view key = checked_name(read_string(in, "metadata key"), "metadata key");
    const bool fresh = contents.metadata.emplace(key, read_value(in, key)).second;
    FATHOM_REQUIRE(fresh, "two metadata entries are named '", key, "'");
  }
}

struct Record {
  Tensor tensor;  // without its bytes
  uint64_t offset;
};

Record read_record(ByteReader& in) {
  Record record;
  Tensor& t = record.tensor;
  t.name = checked_name(read_string(in, "tensor name"), "tensor");
  const auto n_dimension = in.read<uint32_t>(t.name);
  FATHOM_REQUIRE(n_dimension <= 4, t.name, ": ", n_dimension, " dimensions; ggml has at most 4");
  for (uint32_t d = 0; d < n_dimension; ++d) t.shape.push_back(in.read<uint64_t>(t.name));
  std::reverse(t.shape.begin(), t.shape.end());
  const auto type = in.read<uint32_t>(t.name);
  t.dtype = parse_ggml_type(type);
  if (t.dtype == StoredType::kOther) t.other_type = concat("ggml type ", type);
  record.offset = in.read<uint64_t>(t.name);
  return record;
}

uint64_t alignment_of(const FileContents& contents) {
  const auto found = contents.metadata.find("general.alignment");
  if (found == contents.metadata.end()) return 32;
  const uint64_t* value = std::get_if<uint64_t>(&found->second);
  FATHOM_REQUIRE(value && *value > 0 && *value <= (1u << 20) && (*value & (*value - 1)) == 0,
                 "general.alignment must be a power of two up to 2^20");
  return *value;
}

void check_header(ByteReader& in) {
  FATHOM_REQUIRE(in.text(4, "magic") == "GGUF", "expected a file that begins with GGUF");
  const auto version = in.read<uint32_t>("version");
  FATHOM_REQUIRE(version != 0x02000000 && version != 0x03000000,
                 "this GGUF file is big-endian; only little-endian files are read");
  FATHOM_REQUIRE(version == 2 || version == 3, "GGUF version ", version,
                 "; versions 2 and 3 are read");
}

}  // namespace

FileContents parse_gguf(std::span<const std::byte> file) {
  ByteReader in(file);
  check_header(in);
  const auto n_tensor = in.read<uint64_t>("number of tensors");
  const auto n_entry = in.read<uint64_t>("number of metadata entries");
  FileContents contents;
  contents.format = FileFormat::kGguf;
  read_metadata(in, n_entry, contents);

  std::vector<uint64_t> offsets;  // not reserved: the count is only a claim
  for (uint64_t i = 0; i < n_tensor; ++i) {
    auto [tensor, offset] = read_record(in);
    add_tensor(contents.tensors, std::move(tensor));
    offsets.push_back(offset);
  }

  const uint64_t alignment = alignment_of(contents);
  const size_t header_end = file.size() - in.remaining();
  const size_t padding = (alignment - header_end % alignment) % alignment;
  in.take(std::min(padding, in.remaining()), "padding");  // absent where there is no data
  const auto data = in.take(in.remaining(), "data");
  for (size_t i = 0; i < offsets.size(); ++i) {
    Tensor& t = contents.tensors[i];
    const size_t n_bytes = shape_bytes(t.name, t.dtype, t.shape);  // none of an unknown type
    if (t.dtype == StoredType::kOther)
      shape_bytes(t.name, StoredType::kI8, t.shape);  // must not overflow
    FATHOM_REQUIRE(offsets[i] % alignment == 0, t.name, ": offset ", offsets[i],
                   " is not a multiple of the alignment, ", alignment);
    FATHOM_REQUIRE(offsets[i] <= data.size() && n_bytes <= data.size() - offsets[i], t.name,
                   ": needs ", n_bytes, " bytes at ", offsets[i], ", the file has ", data.size(),
                   " bytes of data");
    t.bytes = data.subspan(offsets[i], n_bytes);
  }
  sorted_by_name(contents.tensors);  // refuses two of one name
  check_no_overlap(contents.tensors);
  return contents;
}

uint32_t ggml_type(StoredType dtype) {
  for (const GgmlType& type : kGgmlTypes)
    if (type.dtype == dtype) return type.id;
  FATHOM_ASSERT(!"no ggml type for this dtype");
}

GgufSplit gguf_split(const FileContents& contents) {
  const auto read = [&](std::string_view key, size_t fallback) -> size_t {
    const auto found = contents.metadata.find(key);
    if (found == contents.metadata.end()) return fallback;
    const uint64_t* value = std::get_if<uint64_t>(&found->second);
    FATHOM_REQUIRE(value, key, ": expected an unsigned integer");
    return *value;
  };
  const GgufSplit split{read("split.no", 0), read("split.count", 1)};
  // 0: written by tools that merge the parts and keep the entry.
  if (split.count == 0) return {};
  FATHOM_REQUIRE(split.count <= kMaxSplit && split.number < split.count, "split.no ", split.number,
                 " of split.count ", split.count, " is not possible");
  return split;
}

std::vector<std::string_view> meta_strings(const MetaArray& array, std::string_view key) {
  FATHOM_REQUIRE(static_cast<GgufType>(array.type) == GgufType::kString, key,
                 ": expected an array of strings");
  FATHOM_REQUIRE(array.count <= kMaxUnpacked, key, ": ", array.count, " elements; at most ",
                 kMaxUnpacked, " are read");
  ByteReader in(array.bytes);
  std::vector<std::string_view> out;
  out.reserve(array.count);
  for (uint64_t i = 0; i < array.count; ++i) out.push_back(read_string(in, key));
  return out;
}

std::vector<int64_t> meta_integers(const MetaArray& array, std::string_view key) {
  FATHOM_REQUIRE(array.count <= kMaxUnpacked, key, ": ", array.count, " elements; at most ",
                 kMaxUnpacked, " are read");
  ByteReader in(array.bytes);
  std::vector<int64_t> out;
  out.reserve(array.count);
  const auto read_all = [&](auto zero) {
    using T = decltype(zero);
    for (uint64_t i = 0; i < array.count; ++i) {
      const T value = in.read<T>(key);
      FATHOM_REQUIRE(std::in_range<int64_t>(value), key, ": ", value, " does not fit 63 bits");
      out.push_back(static_cast<int64_t>(value));
    }
  };
  switch (static_cast<GgufType>(array.type)) {
    case GgufType::kU8:
      read_all(uint8_t{});
      break;
    case GgufType::kI8:
      read_all(int8_t{});
      break;
    case GgufType::kU16:
      read_all(uint16_t{});
      break;
    case GgufType::kI16:
      read_all(int16_t{});
      break;
    case GgufType::kU32:
      read_all(uint32_t{});
      break;
    case GgufType::kI32:
      read_all(int32_t{});
      break;
    case GgufType::kU64:
      read_all(uint64_t{});
      break;
    case GgufType::kI64:
      read_all(int64_t{});
      break;
    default:
      throw Error(concat(key, ": expected an array of integers"));
  }
  return out;
}

}  // namespace fathom
