// SPDX-License-Identifier: Apache-2.0
#include "formats/ggmf.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.h"
#include "formats/byte_reader.h"
#include "formats/checks.h"

namespace fathom {
namespace {

// The ids are rwkv.cpp's own: 7 to 9 mean other types in GGUF.
StoredType parse_type(uint32_t id, std::string_view name) {
  switch (id) {
    case 0:
      return StoredType::kF32;
    case 1:
      return StoredType::kF16;
    case 2:
      return StoredType::kQ4_0;
    case 3:
      return StoredType::kQ4_1;
    case 4:
      throw Error(concat(name, ": type 4 (Q4_1_O) was removed from rwkv.cpp; convert again"));
    case 5:
      throw Error(concat(name, ": type 5 (Q4_2) was removed from rwkv.cpp; convert again"));
    case 6:
      throw Error(concat(name, ": type 6 (Q4_3) was removed from rwkv.cpp; convert again"));
    case 7:
      return StoredType::kQ5_0;
    case 8:
      return StoredType::kQ5_1;
    case 9:
      return StoredType::kQ8_0;
    case 10:
      return StoredType::kQ8_1;
    case 11:
      return StoredType::kQ2_K;
    case 12:
      return StoredType::kQ3_K;
    case 13:
      return StoredType::kQ4_K;
    case 14:
      return StoredType::kQ5_K;
    case 15:
      return StoredType::kQ6_K;
    case 16:
      return StoredType::kQ8_K;
    default:
      throw Error(concat(name, ": unknown type ", id));
  }
}

GgmfHeader read_header(ByteReader& in) {
  FATHOM_REQUIRE(in.read<uint32_t>("magic") == kGgmfMagic, "expected the magic of a rwkv.cpp file");
  GgmfHeader header;
  header.version = in.read<uint32_t>("version");
  FATHOM_REQUIRE(header.version == 100 || header.version == 101, "rwkv.cpp file version ",
                 header.version, "; versions 100 and 101 are read");
  header.n_vocab = in.read<uint32_t>("n_vocab");
  header.n_embed = in.read<uint32_t>("n_embed");
  header.n_layer = in.read<uint32_t>("n_layer");
  header.dtype = in.read<uint32_t>("data type");
  parse_type(header.dtype, "header");
  return header;
}

Tensor read_tensor(ByteReader& in, uint32_t version) {
  const auto n_dimension = in.read<uint32_t>("number of dimensions");
  FATHOM_REQUIRE(n_dimension >= 1 && n_dimension <= 3, "a tensor of ", n_dimension,
                 " dimensions; rwkv.cpp has 1 to 3");
  const auto n_name = in.read<uint32_t>("length of a name");
  const auto type = in.read<uint32_t>("data type");
  Tensor t;
  for (uint32_t d = 0; d < n_dimension; ++d) t.shape.push_back(in.read<uint32_t>("shape"));
  std::reverse(t.shape.begin(), t.shape.end());
  t.name = checked_name(in.text(n_name, "name"), "tensor");
  t.dtype = parse_type(type, t.name);
  FATHOM_REQUIRE(version != 100 || !is_quantised(t.dtype), t.name,
                 ": quantised tensors of rwkv.cpp",
                 " version 100 have an obsolete layout; convert again");
  t.bytes = in.take(shape_bytes(t.name, t.dtype, t.shape), t.name);
  return t;
}

}  // namespace

FileContents parse_ggmf(std::span<const std::byte> file) {
  ByteReader in(file);
  FileContents contents;
  contents.format = FileFormat::kGgmf;
  contents.ggmf = read_header(in);
  while (in.remaining() > 0) add_tensor(contents.tensors, read_tensor(in, contents.ggmf->version));
  sorted_by_name(contents.tensors);  // refuses two of one name
  return contents;
}

}  // namespace fathom
