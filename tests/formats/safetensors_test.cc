// SPDX-License-Identifier: Apache-2.0
#include "formats/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "formats/build_files.h"

namespace fathom::safetensors_test {
namespace {

using test::BadFile;
using test::data_of;
using test::safetensors;
using test::u64;
using test::values_of;
using testing::ElementsAre;

test::Parsed parse(std::string file) { return test::parsed(parse_safetensors, std::move(file)); }

const std::string kTwo =
    safetensors(R"( {"b.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[4,20]},)"
                R"("__metadata__":{"format":"pt","note":"caf\u00e9 \ud83c\udf0d \"q\"\n"},)"
                R"("a":{"shape":[2],"data_offsets":[0,4],"dtype":"BF16"}}   )",
                data_of<uint16_t>({0x3f80, 0xc000}) + data_of<float>({1, 2, 3, 4}));

TEST(Safetensors, ReadsTensorsInTheOrderOfTheHeader) {
  const test::Parsed contents = parse(kTwo);
  EXPECT_EQ(contents.format, FileFormat::kSafetensors);
  ASSERT_EQ(contents.tensors.size(), 2u);
  const Tensor &b = contents.tensors[0], &a = contents.tensors[1];
  EXPECT_EQ(b.name, "b.weight");
  EXPECT_EQ(b.dtype, StoredType::kF32);
  EXPECT_THAT(b.shape, ElementsAre(2, 2));
  EXPECT_THAT(values_of(b), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(a.name, "a");
  EXPECT_THAT(values_of(a), ElementsAre(1, -2));
}

TEST(Safetensors, ReadsMetadataWithEscapes) {
  const Json attributes = parse(kTwo).attributes;
  EXPECT_EQ(attributes.at("format"), "pt");
  EXPECT_EQ(attributes.at("note"), "caf\u00e9 \U0001F30D \"q\"\n");
}

TEST(Safetensors, ReadsEveryDtype) {
  for (const auto& [name, n_byte] : std::vector<std::pair<std::string, size_t>>{{"F64", 8},
                                                                                {"F32", 4},
                                                                                {"F16", 2},
                                                                                {"BF16", 2},
                                                                                {"I64", 8},
                                                                                {"I32", 4},
                                                                                {"I16", 2},
                                                                                {"I8", 1},
                                                                                {"F8_E4M3", 1},
                                                                                {"F8_E5M2", 1},
                                                                                {"U8", 1},
                                                                                {"BOOL", 1}}) {
    const std::string end = std::to_string(3 * n_byte);
    const test::Parsed contents = parse(safetensors(
        R"({"w":{"dtype":")" + name + R"(","shape":[3],"data_offsets":[0,)" + end + "]}}",
        std::string(3 * n_byte, '\0')));
    EXPECT_EQ(name_of(contents.tensors.at(0).dtype), name);
    EXPECT_THAT(values_of(contents.tensors.at(0)), ElementsAre(0, 0, 0));
  }
}

TEST(Safetensors, ReadsFloat8) {
  const test::Parsed contents =
      parse(safetensors(R"({"a":{"dtype":"F8_E4M3","shape":[5],"data_offsets":[0,5]},)"
                        R"("b":{"dtype":"F8_E5M2","shape":[4],"data_offsets":[5,9]}})",
                        "\x38\xb9\x7e\x01\x87"
                        "\x3c\xbd\x7b\x01"));
  EXPECT_THAT(values_of(contents.tensors.at(0)),
              ElementsAre(1, -1.125f, 448, 0x1p-9f, -7 * 0x1p-9f));
  EXPECT_THAT(values_of(contents.tensors.at(1)), ElementsAre(1, -1.25f, 57344, 0x1p-16f));
}

TEST(Safetensors, ListsTensorsOfTypesThatAreNotRead) {
  for (const std::string type : {"U16", "U32", "U64", "C64", "F4", "F8_E8M0", "F8_E4M3FNUZ"}) {
    const test::Parsed contents = parse(
        safetensors(R"({"w":{"dtype":")" + type + R"(","shape":[3,2],"data_offsets":[0,7]},)" +
                        R"("v":{"dtype":"U8","shape":[1],"data_offsets":[7,8]}})",
                    "12345678"));
    const Tensor& w = contents.tensors.at(0);
    EXPECT_EQ(w.dtype, StoredType::kOther);
    EXPECT_EQ(type_name(w), type);
    EXPECT_THAT(w.shape, ElementsAre(3, 2));
    EXPECT_EQ(w.bytes.size(), 7u);
    std::vector<float> values(6);
    EXPECT_THAT([&] { read_f32(w, 0, 6, values); },
                testing::ThrowsMessage<Error>(
                    testing::AllOf(testing::HasSubstr("w: "), testing::HasSubstr(type))));
    EXPECT_THAT(values_of(contents.tensors.at(1)), ElementsAre('8'));
  }
}

TEST(Safetensors, AcceptsScalarsEmptyTensorsAndFilesWithoutTensors) {
  const test::Parsed contents =
      parse(safetensors(R"({"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                        R"("e":{"dtype":"F32","shape":[0,7],"data_offsets":[2,2]}})",
                        data_of<float>({5})));
  EXPECT_THAT(values_of(contents.tensors.at(0)), ElementsAre(5));
  EXPECT_EQ(contents.tensors.at(1).n_element(), 0u);
  EXPECT_TRUE(parse(safetensors("{}", "")).tensors.empty());
  EXPECT_TRUE(parse(safetensors("{}", "")).attributes.is_null());
}

// A header with one tensor "w" of these fields.
std::string one(std::string_view fields, size_t n_data) {
  return safetensors("{\"w\":{" + std::string(fields) + "}}", std::string(n_data, '\0'));
}

TEST(Safetensors, RefusesWrongSizes) {
  test::expect_all_refused(
      parse_safetensors,
      {{"past the end", one(R"("dtype":"F32","shape":[4],"data_offsets":[0,16])", 15),
        "w: data_offsets [0, 16] lie outside the 15 bytes"},
       {"reversed", one(R"("dtype":"F32","shape":[0],"data_offsets":[4,0])", 4), "outside"},
       {"too few bytes", one(R"("dtype":"F32","shape":[4],"data_offsets":[0,15])", 16),
        "w: dtype and shape need 16 bytes, data_offsets give 15"},
       {"too many bytes", one(R"("dtype":"F16","shape":[4],"data_offsets":[0,16])", 16),
        "need 8 bytes"},
       {"shape overflows",
        one(R"("dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4])", 4), "overflows"},
       {"product overflows",
        one(R"("dtype":"U8","shape":[4294967296,4294967296,4],"data_offsets":[0,4])", 4),
        "overflows"},
       {"overlap",
        safetensors(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                    R"("b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
                    "abcd"),
        "b: its bytes overlap those of a"},
       {"same bytes twice",
        safetensors(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                    R"("b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
                    "ab"),
        "overlap"}});
}

TEST(Safetensors, RefusesWrongHeaders) {
  const std::string w = R"("w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  test::expect_all_refused(
      parse_safetensors,
      {{"empty", "", "truncated: header length"},
       {"header longer than file", u64(100) + "{}", "truncated: header"},
       {"header over the limit", u64(100'000'001) + "{}", "100000001 bytes; at most 100000000"},
       {"absurd header", u64(~uint64_t{0}) + "{}", "at most"},
       {"no header", u64(0), "expected '{'"},
       {"not JSON", safetensors("{", ""), "expected '\"'"},
       {"not an object", safetensors("[1]", ""), "expected '{'"},
       {"trailing text", safetensors("{} x", ""), "expected the end of the header"},
       {"tensor is a number", safetensors(R"({"w":1})", ""), "w: header, byte"},
       {"trailing comma", safetensors("{" + w + ",}", "a"), "expected '\"'"},
       {"two tensors of one name", safetensors("{" + w + "," + w + "}", "a"),
        "two tensors are named 'w'"},
       {"unknown dtype, absurd shape",
        one(R"("dtype":"U16","shape":[4294967296,4294967296,4],"data_offsets":[0,4])", 4),
        "overflows"},
       {"unknown dtype, no text", one(R"("dtype":"","shape":[4],"data_offsets":[0,4])", 4), "w:"},
       {"unknown dtype past the end", one(R"("dtype":"U16","shape":[4],"data_offsets":[0,8])", 4),
        "outside"},
       {"unknown field", one(R"("dtype":"U8","size":[4],"data_offsets":[0,4])", 4), "'size'"},
       {"missing dtype", one(R"("shape":[4],"data_offsets":[0,4])", 4),
        "w: expected dtype, shape and data_offsets"},
       {"missing shape", one(R"("dtype":"U8","data_offsets":[0,4])", 4), "expected dtype"},
       {"missing offsets", one(R"("dtype":"U8","shape":[4])", 4), "expected dtype"},
       {"one offset", one(R"("dtype":"U8","shape":[4],"data_offsets":[0])", 4), "two numbers"},
       {"three offsets", one(R"("dtype":"U8","shape":[4],"data_offsets":[0,4,4])", 4),
        "more than 2"},
       {"dtype twice", one(R"("dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4])", 4),
        "dtype is given twice"},
       {"shape twice", one(R"("dtype":"U8","shape":[],"shape":[4],"data_offsets":[0,4])", 4),
        "shape is given twice"},
       {"negative", one(R"("dtype":"U8","shape":[-4],"data_offsets":[0,4])", 4), "digits only"},
       {"fraction", one(R"("dtype":"U8","shape":[4.0],"data_offsets":[0,4])", 4), "expected ']'"},
       {"leading zero", one(R"("dtype":"U8","shape":[04],"data_offsets":[0,4])", 4), "leading"},
       {"beyond 64 bits",
        one(R"("dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,4])", 4), "2^64"},
       {"nine dimensions",
        one(R"("dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1])", 1),
        "more than 8"}});
}

TEST(Safetensors, RefusesWrongText) {
  test::expect_all_refused(
      parse_safetensors,
      {{"empty name", safetensors(R"({"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "a"),
        "name is empty"},
       {"control character in a name",
        safetensors(R"({"a\u0001":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "a"),
        "not UTF-8 text"},
       {"raw control character", safetensors("{\"a\nb\":1}", ""), "no control character"},
       {"invalid UTF-8", safetensors("{\"\xff\":1}", ""), "not UTF-8"},
       {"long name", safetensors("{\"" + std::string(300, 'x') + "\":1}", ""), "more than 256"},
       {"open string", safetensors(R"({"abc)", ""), "the end of a string"},
       {"unknown escape", safetensors(R"({"a\x":1})", ""), "an escape sequence"},
       {"short escape", safetensors(R"({"a\u00g0":1})", ""), "hexadecimal"},
       {"half a surrogate pair", safetensors(R"({"a\ud83cx":1})", ""), "second half"},
       {"wrong second half", safetensors(R"({"a\ud83c\u0041":1})", ""), "second half"},
       {"second half alone", safetensors(R"({"a\udf0d":1})", ""), "first half"},
       {"metadata is a number", safetensors(R"({"__metadata__":1})", ""), "expected '{'"},
       {"metadata value is a number", safetensors(R"({"__metadata__":{"a":1}})", ""),
        "__metadata__: header"},
       {"metadata twice", safetensors(R"({"__metadata__":{},"__metadata__":{}})", ""), "twice"}});
}

TEST(Safetensors, SurvivesTruncationAndFlippedBits) {
  test::expect_robust(parse_safetensors, kTwo);
}

}  // namespace
}  // namespace fathom::safetensors_test
