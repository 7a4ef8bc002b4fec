// SPDX-License-Identifier: Apache-2.0
#include "formats/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>
#include <vector>

#include "formats/build_files.h"

namespace fathom::gguf_test {
namespace {

using test::bytes_of;
using test::data_of;
using test::gguf;
using test::gguf_entry;
using test::gguf_record;
using test::gguf_text;
using test::le;
using test::refusal;
using test::u16;
using test::u32;
using test::u64;
using test::values_of;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kStrings = u32(8) + u64(3) + gguf_text("<s>") + gguf_text("") + gguf_text("\xff");

std::vector<std::string> all_types() {
  return {gguf_entry("u8", 0, "\xff"),
          gguf_entry("i8", 1, "\xff"),
          gguf_entry("u16", 2, u16(65535)),
          gguf_entry("i16", 3, u16(65535)),
          gguf_entry("u32", 4, u32(7)),
          gguf_entry("i32", 5, le(int32_t{-7})),
          gguf_entry("f32", 6, le(1.5f)),
          gguf_entry("bool", 7, "\x01"),
          gguf_entry("string", 8, gguf_text("rwkv6")),
          gguf_entry("strings", 9, kStrings),
          gguf_entry("i32s", 9, u32(5) + u64(2) + le(int32_t{-1}) + le(int32_t{3})),
          gguf_entry("nested", 9, u32(9) + u64(2) + kStrings + u32(0) + u64(2) + "ab"),
          gguf_entry("u64", 10, u64(~uint64_t{0})),
          gguf_entry("i64", 11, le(int64_t{-5})),
          gguf_entry("f64", 12, le(2.5))};
}

// Data of "a" (2 x 3 in PyTorch's order), then of "q" at 32.
const std::vector<std::string> kRecords = {gguf_record("a", {3, 2}, 0, 0),
                                           gguf_record("q", {32}, 8, 32)};
const std::string kData = data_of<float>({1, 2, 3, 4, 5, 6}) + std::string(8, 'p') + u16(0x3c00) +
                          std::string(32, '\x02');

TEST(Gguf, ReadsTensorsWithShapesReversed) {
  for (uint32_t version : {2u, 3u}) {
    const std::string file = gguf(all_types(), kRecords, kData, 32, version);
    const FileContents contents = parse_gguf(bytes_of(file));
    EXPECT_EQ(contents.format, FileFormat::kGguf);
    ASSERT_EQ(contents.tensors.size(), 2u);
    EXPECT_EQ(contents.tensors[0].name, "a");
    EXPECT_THAT(contents.tensors[0].shape, ElementsAre(2, 3));
    EXPECT_THAT(values_of(contents.tensors[0]), ElementsAre(1, 2, 3, 4, 5, 6));
    EXPECT_EQ(contents.tensors[1].dtype, StoredType::kQ8_0);
    EXPECT_EQ(values_of(contents.tensors[1]), std::vector<float>(32, 2.f));
  }
}

TEST(Gguf, ReadsEveryMetadataType) {
  const std::string file = gguf(all_types(), {}, "");
  const FileContents contents = parse_gguf(bytes_of(file));
  const auto& m = contents.metadata;
  EXPECT_EQ(m.size(), 15u);
  EXPECT_EQ(std::get<uint64_t>(m.at("u8")), 255u);
  EXPECT_EQ(std::get<int64_t>(m.at("i8")), -1);
  EXPECT_EQ(std::get<uint64_t>(m.at("u16")), 65535u);
  EXPECT_EQ(std::get<int64_t>(m.at("i16")), -1);
  EXPECT_EQ(std::get<uint64_t>(m.at("u32")), 7u);
  EXPECT_EQ(std::get<int64_t>(m.at("i32")), -7);
  EXPECT_EQ(std::get<double>(m.at("f32")), 1.5);
  EXPECT_EQ(std::get<bool>(m.at("bool")), true);
  EXPECT_EQ(std::get<std::string_view>(m.at("string")), "rwkv6");
  EXPECT_EQ(std::get<uint64_t>(m.at("u64")), ~uint64_t{0});
  EXPECT_EQ(std::get<int64_t>(m.at("i64")), -5);
  EXPECT_EQ(std::get<double>(m.at("f64")), 2.5);
  EXPECT_THAT(meta_strings(std::get<MetaArray>(m.at("strings")), "strings"),
              ElementsAre("<s>", "", "\xff"));
  EXPECT_THAT(meta_integers(std::get<MetaArray>(m.at("i32s")), "i32s"), ElementsAre(-1, 3));
  EXPECT_EQ(std::get<MetaArray>(m.at("nested")).count, 2u);
}

TEST(Gguf, UnpacksArraysOfEveryIntegerType) {
  const auto integers = [](GgufType type, std::string_view data, uint64_t count) {
    return meta_integers(
        {.type = static_cast<uint32_t>(type), .count = count, .bytes = bytes_of(data)}, "key");
  };
  EXPECT_THAT(integers(GgufType::kU8, "\xff", 1), ElementsAre(255));
  EXPECT_THAT(integers(GgufType::kI8, "\xff", 1), ElementsAre(-1));
  EXPECT_THAT(integers(GgufType::kU16, u16(65535), 1), ElementsAre(65535));
  EXPECT_THAT(integers(GgufType::kI16, u16(65535), 1), ElementsAre(-1));
  EXPECT_THAT(integers(GgufType::kU32, u32(0xffffffff), 1), ElementsAre(0xffffffff));
  EXPECT_THAT(integers(GgufType::kI64, le(int64_t{-9}), 1), ElementsAre(-9));
  EXPECT_THAT(integers(GgufType::kU64, u64(9), 1), ElementsAre(9));
  EXPECT_THAT(refusal([&] { integers(GgufType::kU64, u64(~uint64_t{0}), 1); }), HasSubstr("63"));
  EXPECT_THAT(refusal([&] { integers(GgufType::kF32, u32(0), 1); }),
              HasSubstr("key: expected an array of integers"));
  EXPECT_THAT(refusal([&] { integers(GgufType::kU8, "", uint64_t{1} << 40); }),
              HasSubstr("at most"));
  const MetaArray numbers{.type = 4, .count = 1, .bytes = bytes_of("abcd")};
  EXPECT_THAT(refusal([&] { meta_strings(numbers, "tokens"); }),
              HasSubstr("tokens: expected an array of strings"));
}

TEST(Gguf, ReadsEveryTensorType) {
  const std::vector<std::pair<uint32_t, StoredType>> types = {
      {0, StoredType::kF32},     {1, StoredType::kF16},   {2, StoredType::kQ4_0},
      {3, StoredType::kQ4_1},    {6, StoredType::kQ5_0},  {7, StoredType::kQ5_1},
      {8, StoredType::kQ8_0},    {9, StoredType::kQ8_1},  {10, StoredType::kQ2_K},
      {11, StoredType::kQ3_K},   {12, StoredType::kQ4_K}, {13, StoredType::kQ5_K},
      {14, StoredType::kQ6_K},   {15, StoredType::kQ8_K}, {20, StoredType::kIQ4_NL},
      {23, StoredType::kIQ4_XS}, {24, StoredType::kI8},   {25, StoredType::kI16},
      {26, StoredType::kI32},    {27, StoredType::kI64},  {28, StoredType::kF64},
      {30, StoredType::kBF16}};
  for (const auto& [id, dtype] : types) {
    const std::string file = gguf({}, {gguf_record("w", {256}, id, 0)},
                                  std::string(tensor_bytes("w", dtype, 1, 256), '\0'));
    const FileContents contents = parse_gguf(bytes_of(file));
    EXPECT_EQ(contents.tensors.at(0).dtype, dtype);
    EXPECT_EQ(values_of(contents.tensors.at(0)), std::vector<float>(256, 0.f)) << name_of(dtype);
    EXPECT_EQ(ggml_type(dtype), id);
  }
}

TEST(Gguf, HonoursTheAlignment) {
  const std::string entry = gguf_entry("general.alignment", 4, u32(8));
  const std::string file = gguf({entry}, {gguf_record("a", {2}, 0, 0), gguf_record("b", {1}, 0, 8)},
                                data_of<float>({1, 2, 3}), 8);
  const FileContents contents = parse_gguf(bytes_of(file));
  EXPECT_THAT(values_of(contents.tensors.at(1)), ElementsAre(3));
}

TEST(Gguf, RefusesWrongHeaders) {
  const std::string magic = "GGUF";
  test::expect_all_refused(
      parse_gguf,
      {{"empty", "", "truncated: magic"},
       {"not GGUF", "GGML" + u32(3) + u64(0) + u64(0), "begins with GGUF"},
       {"version 1", magic + u32(1) + u32(0) + u32(0), "GGUF version 1; versions 2 and 3"},
       {"version 4", magic + u32(4) + u64(0) + u64(0), "version 4"},
       {"big-endian", magic + std::string("\0\0\0\3", 4) + u64(0) + u64(0), "big-endian"},
       {"many tensors, none there", magic + u32(3) + u64(uint64_t{1} << 60) + u64(0), "truncated"},
       {"many entries", magic + u32(3) + u64(0) + u64(uint64_t{1} << 60), "at most 16384"},
       {"no tensor record", magic + u32(3) + u64(1) + u64(0), "truncated: tensor name"}});
}

TEST(Gguf, RefusesWrongMetadata) {
  const auto with = [](const std::string& entry) { return gguf({entry}, {}, ""); };
  std::string deep;
  for (int i = 0; i < 6; ++i) deep += u32(9) + u64(1);
  test::expect_all_refused(
      parse_gguf,
      {{"unknown type", with(gguf_entry("k", 13, "x")), "k: unknown metadata type 13"},
       {"unknown element type", with(gguf_entry("k", 9, u32(13) + u64(1))),
        "unknown metadata type"},
       {"bool of 2", with(gguf_entry("k", 7, "\x02")), "k: expected a boolean, got 2"},
       {"array beyond the file", with(gguf_entry("k", 9, u32(0) + u64(1000))), "truncated: k"},
       {"array size overflows", with(gguf_entry("k", 9, u32(12) + u64(uint64_t{1} << 62))),
        "overflows"},
       {"made-up number of strings", with(gguf_entry("k", 9, u32(8) + u64(uint64_t{1} << 62))),
        "truncated"},
       {"string beyond the file", with(gguf_entry("k", 8, u64(1000) + "abc")), "truncated: k"},
       {"string size absurd", with(gguf_entry("k", 8, u64(~uint64_t{0}))), "truncated: k"},
       {"arrays in arrays", with(gguf_entry("k", 9, deep + u32(0) + u64(0))), "nested deeper"},
       {"key twice", gguf({gguf_entry("k", 7, "\x01"), gguf_entry("k", 7, "\x01")}, {}, ""),
        "two metadata entries are named 'k'"},
       {"empty key", with(gguf_entry("", 7, "\x01")), "name is empty"},
       {"alignment 0", with(gguf_entry("general.alignment", 4, u32(0))), "power of two"},
       {"alignment 24", with(gguf_entry("general.alignment", 4, u32(24))), "power of two"},
       {"alignment of text", with(gguf_entry("general.alignment", 8, gguf_text("32"))),
        "power of two"}});
}

// IQ2_XXS, MXFP4, a type that was removed, one that does not exist.
TEST(Gguf, ListsTensorsOfTypesThatAreNotRead) {
  for (uint32_t type : {16u, 39u, 4u, 12345u}) {
    const test::Parsed contents = test::parsed(
        parse_gguf,
        gguf({}, {gguf_record("blk.0.w", {32, 3}, type, 0), gguf_record("v", {1}, 0, 32)},
             std::string(64, '\0')));
    const Tensor& w = contents.tensors.at(0);
    EXPECT_EQ(w.dtype, StoredType::kOther);
    EXPECT_EQ(type_name(w), "ggml type " + std::to_string(type));
    EXPECT_EQ(w.shape, (std::vector<size_t>{3, 32}));
    std::vector<float> values(96);
    EXPECT_THAT([&] { read_f32(w, 0, 96, values); },
                testing::ThrowsMessage<Error>(testing::AllOf(
                    testing::HasSubstr("blk.0.w"), testing::HasSubstr(std::to_string(type)))));
    EXPECT_EQ(test::values_of(contents.tensors.at(1)).size(), 1u);
  }
}

TEST(Gguf, RefusesWrongTensors) {
  const std::string data(64, '\0');
  const auto with = [&](const std::vector<std::string>& records) {
    return gguf({}, records, data);
  };
  test::expect_all_refused(
      parse_gguf,
      {{"unknown type, absurd shape",
        with({gguf_record("w", {uint64_t{1} << 40, uint64_t{1} << 40}, 16, 0)}), "overflows"},
       {"five dimensions", with({gguf_record("w", {1, 1, 1, 1, 1}, 0, 0)}), "w: 5 dimensions"},
       {"row of half a block", with({gguf_record("w", {16, 2}, 8, 0)}), "w: a row of 16 elements"},
       {"past the end", with({gguf_record("w", {17}, 0, 0)}), "w: needs 68 bytes at 0"},
       {"offset past the end", with({gguf_record("w", {1}, 0, 96)}), "w: needs 4 bytes at 96"},
       {"offset absurd", with({gguf_record("w", {1}, 0, ~uint64_t{31})}), "w: needs 4 bytes"},
       {"offset not aligned", with({gguf_record("w", {1}, 0, 4)}), "multiple of the alignment"},
       {"overflow", with({gguf_record("w", {uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0)}),
        "overflows"},
       {"overlap", with({gguf_record("v", {12}, 0, 0), gguf_record("w", {4}, 0, 32)}),
        "w: its bytes overlap those of v"},
       {"one name twice", with({gguf_record("w", {4}, 0, 0), gguf_record("w", {4}, 0, 32)}),
        "two tensors are named 'w'"},
       {"name is not text", with({gguf_record("\xff", {4}, 0, 0)}), "not UTF-8"},
       {"long name", with({gguf_record(std::string(300, 'x'), {4}, 0, 0)}),
        "a name of 300 bytes"}});
}

TEST(Gguf, SurvivesTruncationAndFlippedBits) {
  test::expect_robust(parse_gguf, gguf(all_types(), kRecords, kData));
}

TEST(Gguf, KnowsItsPartOfASplit) {
  const auto split = [](uint16_t number, uint16_t count) {
    const std::string file = gguf(
        {gguf_entry("split.no", 2, u16(number)), gguf_entry("split.count", 2, u16(count))}, {}, "");
    return gguf_split(parse_gguf(bytes_of(file)));
  };
  EXPECT_EQ(split(1, 3).number, 1u);
  EXPECT_EQ(split(1, 3).count, 3u);
  EXPECT_EQ(split(0, 0).count, 1u);  // llama.cpp's tool leaves 0 after merging
  EXPECT_THAT(refusal([&] { split(3, 3); }), HasSubstr("not possible"));
  EXPECT_THAT(refusal([&] { split(0, 2000); }), HasSubstr("not possible"));
  const std::string text = gguf({gguf_entry("split.count", 8, gguf_text("3"))}, {}, "");
  EXPECT_THAT(refusal([&] { gguf_split(parse_gguf(bytes_of(text))); }), HasSubstr("split.count"));
}

}  // namespace
}  // namespace fathom::gguf_test
