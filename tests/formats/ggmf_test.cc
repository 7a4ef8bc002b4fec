// SPDX-License-Identifier: Apache-2.0
#include "formats/ggmf.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "formats/build_files.h"

namespace fathom::ggmf_test {
namespace {

using test::bytes_of;
using test::data_of;
using test::ggmf_header;
using test::ggmf_tensor;
using test::u16;
using test::u32;
using test::values_of;
using testing::ElementsAre;

const std::string kFirst = ggmf_tensor("emb.weight", 0, {3, 2}, data_of<float>({1, 2, 3, 4, 5, 6}));
const std::string kSecond =
    ggmf_tensor("head.weight", 9, {32}, u16(0x3c00) + std::string(32, '\x02'));

TEST(Ggmf, ReadsHeaderAndTensors) {
  const std::string file = ggmf_header(101, 9) + kFirst + kSecond;
  const FileContents contents = parse_ggmf(bytes_of(file));
  EXPECT_EQ(contents.format, FileFormat::kGgmf);
  ASSERT_TRUE(contents.ggmf);
  EXPECT_EQ(contents.ggmf->version, 101u);
  EXPECT_EQ(contents.ggmf->n_vocab, 256u);
  EXPECT_EQ(contents.ggmf->n_embed, 64u);
  EXPECT_EQ(contents.ggmf->n_layer, 2u);
  EXPECT_EQ(contents.ggmf->dtype, 9u);
  ASSERT_EQ(contents.tensors.size(), 2u);
  EXPECT_EQ(contents.tensors[0].name, "emb.weight");
  EXPECT_THAT(contents.tensors[0].shape, ElementsAre(2, 3));
  EXPECT_THAT(values_of(contents.tensors[0]), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(values_of(contents.tensors[1]), std::vector<float>(32, 2.f));
}

// 7, 8 and 9 are not what they are in GGUF.
TEST(Ggmf, ReadsEveryType) {
  const std::vector<std::pair<uint32_t, StoredType>> types = {
      {0, StoredType::kF32},   {1, StoredType::kF16},   {2, StoredType::kQ4_0},
      {3, StoredType::kQ4_1},  {7, StoredType::kQ5_0},  {8, StoredType::kQ5_1},
      {9, StoredType::kQ8_0},  {10, StoredType::kQ8_1}, {11, StoredType::kQ2_K},
      {12, StoredType::kQ3_K}, {13, StoredType::kQ4_K}, {14, StoredType::kQ5_K},
      {15, StoredType::kQ6_K}, {16, StoredType::kQ8_K}};
  for (const auto& [id, dtype] : types) {
    const std::string data(tensor_bytes("w", dtype, 1, 256), '\0');
    const std::string file = ggmf_header() + ggmf_tensor("w", id, {256}, data);
    EXPECT_EQ(parse_ggmf(bytes_of(file)).tensors.at(0).dtype, dtype);
  }
}

TEST(Ggmf, Version100HoldsPlainTensorsOnly) {
  const std::string plain = ggmf_header(100) + kFirst;
  EXPECT_EQ(parse_ggmf(bytes_of(plain)).ggmf->version, 100u);
  test::expect_all_refused(parse_ggmf,
                           {{"quantised", ggmf_header(100) + kFirst + kSecond,
                             "head.weight: quantised tensors of rwkv.cpp version 100"}});
}

TEST(Ggmf, RefusesBadFiles) {
  const auto with = [](const std::string& tensor) { return ggmf_header() + tensor; };
  test::expect_all_refused(
      parse_ggmf,
      {{"empty", "", "truncated: magic"},
       {"other magic", u32(1) + ggmf_header().substr(4), "magic of a rwkv.cpp file"},
       {"version 99", ggmf_header(99), "file version 99; versions 100 and 101"},
       {"version 102", ggmf_header(102), "file version 102"},
       {"header of a removed type", ggmf_header(101, 4), "header: type 4 (Q4_1_O)"},
       {"Q4_1_O", with(ggmf_tensor("w", 4, {32}, "")), "w: type 4 (Q4_1_O) was removed"},
       {"Q4_2", with(ggmf_tensor("w", 5, {32}, "")), "w: type 5 (Q4_2) was removed"},
       {"Q4_3", with(ggmf_tensor("w", 6, {32}, "")), "w: type 6 (Q4_3) was removed"},
       {"unknown type", with(ggmf_tensor("w", 17, {32}, "")), "w: unknown type 17"},
       {"no dimensions", with(ggmf_tensor("w", 0, {}, "")), "a tensor of 0 dimensions"},
       {"four dimensions", with(ggmf_tensor("w", 0, {1, 1, 1, 1}, "")), "4 dimensions"},
       {"missing data", with(ggmf_tensor("w", 0, {4}, "abc")),
        "truncated: w needs 16 bytes, 3 left"},
       {"overflow", with(ggmf_tensor("w", 0, {~0u, ~0u, ~0u}, "")), "overflows"},
       {"row of half a block", with(ggmf_tensor("w", 7, {16}, "")), "w: a row of 16 elements"},
       {"name beyond the file", with(u32(1) + u32(1000) + u32(0) + u32(1) + "w"),
        "truncated: name"},
       {"empty name", with(ggmf_tensor("", 0, {1}, "abcd")), "name is empty"},
       {"one name twice", with(kFirst + kFirst), "two tensors are named 'emb.weight'"}});
}

TEST(Ggmf, SurvivesTruncationAndFlippedBits) {
  // A file that ends after a whole tensor cannot be told from a complete one.
  const size_t header = ggmf_header().size(), first = header + kFirst.size();
  test::expect_robust(parse_ggmf, ggmf_header() + kFirst + kSecond,
                      [&](size_t n) { return n == header || n == first; });
}

}  // namespace
}  // namespace fathom::ggmf_test
