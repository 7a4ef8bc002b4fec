// SPDX-License-Identifier: Apache-2.0
#include "formats/safetensors.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"
#include "formats/byte_reader.h"
#include "formats/checks.h"
#include "formats/header_json.h"

namespace fathom {
namespace {

constexpr size_t kMaxAttributes = 4096;
constexpr size_t kMaxAttributeBytes = size_t{4} << 20;  // names and values together

// kOther for what is not read (U16, U32, U64, C64, F4, F8_E8M0, ...): its tensors are listed all the
// same, for a model may not need them.
StoredType parse_dtype(std::string_view text) {
  constexpr StoredType known[] = {StoredType::kF64,  StoredType::kF32,    StoredType::kF16,
                                  StoredType::kBF16, StoredType::kI64,    StoredType::kI32,
                                  StoredType::kI16,  StoredType::kI8,     StoredType::kU8,
                                  StoredType::kBool, StoredType::kF8E4M3, StoredType::kF8E5M2};
  for (StoredType t : known)
    if (name_of(t) == text) return t;
  return StoredType::kOther;
}

struct HeaderEntry {
  std::optional<StoredType> dtype;
  std::string other_type;
  std::optional<std::vector<size_t>> shape, data_offsets;
};

void read_field(HeaderJson& json, std::string_view field, HeaderEntry& entry) {
  const auto read_integers = [&](std::optional<std::vector<size_t>>& out, size_t max_count) {
    FATHOM_REQUIRE(!out, field, " is given twice");
    out.emplace();
    json.array([&] {
      FATHOM_REQUIRE(out->size() < max_count, field, " has more than ", max_count, " elements");
      out->push_back(json.integer());
    });
  };
  if (field == "dtype") {
    FATHOM_REQUIRE(!entry.dtype, "dtype is given twice");
    const std::string text = json.string(16);
    entry.dtype = parse_dtype(text);
    if (entry.dtype == StoredType::kOther) entry.other_type = checked_name(text, "dtype");
  } else if (field == "shape") {
    read_integers(entry.shape, kMaxDimensions);
  } else if (field == "data_offsets") {
    read_integers(entry.data_offsets, 2);
  } else {
    throw Error(concat("expected dtype, shape and data_offsets, got '", excerpt(field), "'"));
  }
}

Tensor read_tensor(HeaderJson& json, std::string name, std::span<const std::byte> data) {
  HeaderEntry entry;
  try {
    json.object(kMaxNameBytes, [&](std::string_view field) { read_field(json, field, entry); });
  } catch (const Error& e) {
    throw Error(concat(name, ": ", e.what()));
  }
  FATHOM_REQUIRE(entry.dtype && entry.shape && entry.data_offsets, name,
                 ": expected dtype, shape and data_offsets");
  FATHOM_REQUIRE(entry.data_offsets->size() == 2, name, ": data_offsets must be two numbers");
  const size_t begin = (*entry.data_offsets)[0], end = (*entry.data_offsets)[1];
  FATHOM_REQUIRE(begin <= end && end <= data.size(), name, ": data_offsets [", begin, ", ", end,
                 "] lie outside the ", data.size(), " bytes of data in the file");
  // The size of an unknown type is whatever the file says.
  const bool other = entry.dtype == StoredType::kOther;
  const size_t n_bytes = other ? end - begin : shape_bytes(name, *entry.dtype, *entry.shape);
  if (other) shape_bytes(name, StoredType::kI8, *entry.shape);  // n_element() must not overflow
  FATHOM_REQUIRE(n_bytes == end - begin, name, ": dtype and shape need ", n_bytes,
                 " bytes, data_offsets give ", end - begin);
  return Tensor{.name = std::move(name),
                .dtype = *entry.dtype,
                .shape = std::move(*entry.shape),
                .strides = {},
                .bytes = data.subspan(begin, n_bytes),
                .other_type = std::move(entry.other_type)};
}

Json read_attributes(HeaderJson& json) {
  Json attributes = Json::object();
  size_t n_bytes = 0;
  json.object(kMaxNameBytes, [&](std::string_view key) {
    std::string name(key), value = json.string(kMaxAttributeBytes);
    n_bytes += name.size() + value.size();
    FATHOM_REQUIRE(attributes.size() < kMaxAttributes && n_bytes <= kMaxAttributeBytes,
                   "more than ", kMaxAttributes, " entries or ", kMaxAttributeBytes, " bytes");
    attributes[std::move(name)] = std::move(value);
  });
  return attributes;
}

}  // namespace

FileContents parse_safetensors(std::span<const std::byte> file) {
  ByteReader in(file);
  const auto n_header = in.read<uint64_t>("header length");
  FATHOM_REQUIRE(n_header <= kMaxSafetensorsHeader, "header of ", n_header, " bytes; at most ",
                 kMaxSafetensorsHeader, " are read (is it a safetensors file?)");
  const std::string_view header = in.text(n_header, "header");
  FATHOM_REQUIRE(is_utf8(header), "the header is not UTF-8 text");
  const auto data = in.take(in.remaining(), "data");

  FileContents contents;
  contents.format = FileFormat::kSafetensors;
  HeaderJson json(header);
  json.object(kMaxNameBytes, [&](std::string_view key) {
    if (key == "__metadata__") {
      FATHOM_REQUIRE(contents.attributes.is_null(), "__metadata__ is given twice");
      try {
        contents.attributes = read_attributes(json);
      } catch (const Error& e) {
        throw Error(concat("__metadata__: ", e.what()));
      }
    } else {
      std::string name(checked_name(key, "tensor"));
      add_tensor(contents.tensors, read_tensor(json, std::move(name), data));
    }
  });
  json.end();
  sorted_by_name(contents.tensors);  // refuses two of one name
  check_no_overlap(contents.tensors);
  return contents;
}

}  // namespace fathom
