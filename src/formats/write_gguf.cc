// SPDX-License-Identifier: Apache-2.0
#include "formats/write_gguf.h"

#include <algorithm>
#include <array>
#include <type_traits>

#include "base/error.h"
#include "formats/checks.h"
#include "formats/gguf.h"

namespace fathom {
namespace {

constexpr size_t kAlignment = 32;

size_t aligned(size_t n_byte) { return (n_byte + kAlignment - 1) / kAlignment * kAlignment; }

template <class T>
void put(std::ostream& out, T value) {
  static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
  write_bytes(out, std::as_bytes(std::span(&value, 1)));
}

void put_string(std::ostream& out, std::string_view text) {
  put(out, uint64_t{text.size()});
  write_text(out, text);
}

void put_scalar(std::ostream& out, const std::string& value) { put_string(out, value); }
void put_scalar(std::ostream& out, bool value) { put(out, static_cast<uint8_t>(value)); }
template <class T>
void put_scalar(std::ostream& out, T value) {
  put(out, value);
}

template <class T>
constexpr GgufType type_of() {
  if constexpr (std::is_same_v<T, uint8_t>) return GgufType::kU8;
  if constexpr (std::is_same_v<T, uint16_t>) return GgufType::kU16;
  if constexpr (std::is_same_v<T, uint32_t>) return GgufType::kU32;
  if constexpr (std::is_same_v<T, int32_t>) return GgufType::kI32;
  if constexpr (std::is_same_v<T, uint64_t>) return GgufType::kU64;
  if constexpr (std::is_same_v<T, float>) return GgufType::kF32;
  if constexpr (std::is_same_v<T, bool>) return GgufType::kBool;
  if constexpr (std::is_same_v<T, std::string>) return GgufType::kString;
}

template <class T>
void put_value(std::ostream& out, const T& value) {
  put(out, type_of<T>());
  put_scalar(out, value);
}
template <class T>
void put_value(std::ostream& out, const std::vector<T>& values) {
  put(out, GgufType::kArray);
  put(out, type_of<T>());
  put(out, uint64_t{values.size()});
  for (const T& value : values) put_scalar(out, value);
}

void pad(std::ostream& out, size_t n_byte) {
  constexpr std::array<std::byte, kAlignment> kZeros{};
  write_bytes(out, std::span(kZeros).first((kAlignment - n_byte % kAlignment) % kAlignment));
}

void put_records(std::ostream& out, std::span<const TensorToWrite> tensors) {
  uint64_t offset = 0;
  for (const TensorToWrite& t : tensors) {
    FATHOM_ASSERT(t.shape.size() <= 4);
    put_string(out, t.name);
    put(out, static_cast<uint32_t>(t.shape.size()));
    for (size_t d = t.shape.size(); d-- > 0;) put(out, uint64_t{t.shape[d]});
    put(out, ggml_type(t.dtype));
    put(out, offset);
    const size_t n_byte = shape_bytes(t.name, t.dtype, t.shape);
    offset += aligned(n_byte);
  }
}

}  // namespace

void write_gguf(const std::filesystem::path& path, const GgufMetadata& metadata,
                std::span<const TensorToWrite> tensors) {
  AtomicFile file(path);
  write_gguf(file, metadata, tensors);
  file.commit();
}

void write_gguf(AtomicFile& file, const GgufMetadata& metadata,
                std::span<const TensorToWrite> tensors) {
  std::ostream& out = file.stream();
  write_text(out, "GGUF");
  put(out, uint32_t{3});
  put(out, uint64_t{tensors.size()});
  put(out, uint64_t{metadata.size()});
  for (const auto& [key, value] : metadata) {
    FATHOM_ASSERT(key != "general.alignment");
    put_string(out, key);
    std::visit([&](const auto& v) { put_value(out, v); }, value);
  }
  put_records(out, tensors);
  size_t n_byte = aligned(static_cast<size_t>(out.tellp()));
  for (const TensorToWrite& t : tensors) n_byte += aligned(shape_bytes(t.name, t.dtype, t.shape));
  file.reserve(n_byte);
  for (const TensorToWrite& t : tensors) {
    pad(out, static_cast<size_t>(out.tellp()));
    write_data(out, t);
  }
  // llama.cpp expects the padding after the last tensor, too.
  pad(out, static_cast<size_t>(out.tellp()));
}

}  // namespace fathom
