// SPDX-License-Identifier: Apache-2.0
#include "formats/npy.h"

#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/mapped_file.h"
#include "formats/byte_reader.h"
#include "formats/checks.h"

namespace fathom {
namespace {

constexpr std::string_view kMagic("\x93NUMPY\x01\x00", 8);
constexpr std::string_view kBeforeShape = "{'descr': '<f4', 'fortran_order': False, 'shape': (";

size_t product(std::span<const size_t> shape) {
  size_t n = 1;
  for (size_t d : shape) n = checked_mul(n, d, "npy shape");
  return n;
}

// Magic, length and dictionary, padded so that the data starts at a multiple of 64.
std::string header_of(std::span<const size_t> shape, std::string_view descr) {
  std::string text(kBeforeShape);
  text.replace(text.find("<f4"), 3, descr);
  for (size_t d : shape) text += std::to_string(d) + ", ";
  if (shape.size() > 1) text.resize(text.size() - 2);
  if (shape.size() == 1) text.pop_back();  // "(3,)"
  text += "), }";
  const size_t n_fixed = kMagic.size() + 2;
  text.append(63 - (n_fixed + text.size()) % 64, ' ');
  text += '\n';
  const auto length = static_cast<uint16_t>(text.size());
  std::string header(kMagic);
  header += {static_cast<char>(length & 0xff), static_cast<char>(length >> 8)};
  return header + text;
}

std::string_view descr_of(StoredType type) {
  switch (type) {
    case StoredType::kF32:
      return "<f4";
    case StoredType::kF16:
      return "<f2";
    case StoredType::kI8:
      return "|i1";
    case StoredType::kU8:
      return "|u1";
    default:
      FATHOM_ASSERT(!"a type that NumPy has not");
  }
}

std::vector<size_t> parse_shape(std::string_view dictionary) {
  FATHOM_REQUIRE(dictionary.starts_with(kBeforeShape), "expected a header that begins with ",
                 kBeforeShape, ", got '", excerpt(dictionary), "'");
  dictionary.remove_prefix(kBeforeShape.size());
  std::vector<size_t> shape;
  while (!dictionary.starts_with(')')) {
    size_t d = 0;
    const char* end = dictionary.data() + dictionary.size();
    const auto [at, error] = std::from_chars(dictionary.data(), end, d);
    FATHOM_REQUIRE(error == std::errc{}, "the shape is damaged");
    shape.push_back(d);
    dictionary.remove_prefix(static_cast<size_t>(at - dictionary.data()));
    while (dictionary.starts_with(',') || dictionary.starts_with(' ')) dictionary.remove_prefix(1);
  }
  return shape;
}

NpyArray parse_npy(std::span<const std::byte> file) {
  ByteReader in(file);
  FATHOM_REQUIRE(in.text(kMagic.size(), "magic") == kMagic, "not a .npy file of version 1.0");
  const auto length = in.read<uint16_t>("header length");
  NpyArray array;
  array.shape = parse_shape(in.text(length, "header"));
  const size_t n_byte = checked_mul(product(array.shape), sizeof(float), "npy shape");
  FATHOM_REQUIRE(n_byte == in.remaining(), "the shape needs ", n_byte, " bytes, the file has ",
                 in.remaining());
  array.values.resize(n_byte / sizeof(float));
  if (n_byte > 0) std::memcpy(array.values.data(), in.take(n_byte, "data").data(), n_byte);
  return array;
}

}  // namespace

NpyWriter::NpyWriter(AtomicFile& file, std::span<const size_t> shape, StoredType type)
    : file_(file), element_bytes_(dtype_info(type).block_bytes), n_left_(product(shape)) {
  FATHOM_ASSERT(shape.size() <= 32);  // NumPy's limit
  const std::string header = header_of(shape, descr_of(type));
  data_ = header.size();
  file_.reserve(data_ + checked_mul(n_left_, element_bytes_, "npy shape"));
  file_.write_at(0, std::as_bytes(std::span(header)));
}

void NpyWriter::write(size_t first, std::span<const std::byte> values) {
  FATHOM_ASSERT(values.size() <= n_left_ * element_bytes_);
  n_left_ -= values.size() / element_bytes_;
  file_.write_at(place(first), values);
}

void NpyWriter::finish() { FATHOM_ASSERT(n_left_ == 0); }

void write_npy(const std::filesystem::path& path, std::span<const size_t> shape,
               std::span<const float> values) {
  AtomicFile file(path);
  NpyWriter writer(file, shape);
  writer.write(0, values);
  writer.finish();
  file.commit();
}

NpyArray read_npy(const std::filesystem::path& path) {
  const MappedFile file(path);
  try {
    return parse_npy(file.bytes());
  } catch (const Error& e) {
    throw Error(concat(path.string(), ": ", e.what()));
  }
}

}  // namespace fathom
