// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "formats/torch_rows.h"

namespace fathom::torch_test {
namespace {

namespace p = test::pickle;

using test::data_of;
using test::kRow;
using test::kSix;
using test::kStorage;
using test::parse_pth;
using test::refusal;
using test::tensor_named;
using test::torch_legacy;
using test::torch_zip;
using test::u32;
using test::values_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

std::vector<std::string> names_of(const FileContents& contents) {
  std::vector<std::string> names;
  for (const Tensor& t : contents.tensors) names.push_back(t.name);
  return names;
}

// A .pth with one storage of six floats.
std::string pth(const p::Entries& entries) { return torch_zip(p::dict(entries), {{"0", kSix}}); }

TEST(Torch, ReadsTensorsWithoutCopying) {
  const std::string file = pth({{"whole", p::tensor(kStorage, 0, {2, 3}, {3, 1})},
                                {"transposed", p::tensor(kStorage, 0, {3, 2}, {1, 3})},
                                {"part", p::tensor(kStorage, 2, {3}, {1})},
                                {"columns", p::tensor(kStorage, 1, {2, 2}, {3, 1})},
                                {"singleton", p::tensor(kStorage, 3, {1, 1, 3}, {99, 99, 1})},
                                {"scalar", p::tensor(kStorage, 5, {}, {})},
                                {"empty", p::tensor(kStorage, 6, {0, 4}, {4, 1})}});
  const test::Parsed contents = parse_pth(file);
  EXPECT_EQ(contents.format, FileFormat::kTorch);
  const auto values = [&](std::string_view name) {
    return values_of(tensor_named(contents.tensors, name));
  };
  EXPECT_THAT(values("whole"), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(values("transposed"), ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_THAT(values("part"), ElementsAre(3, 4, 5));
  EXPECT_THAT(values("columns"), ElementsAre(2, 3, 5, 6));
  EXPECT_THAT(values("singleton"), ElementsAre(4, 5, 6));
  EXPECT_THAT(values("scalar"), ElementsAre(6));
  EXPECT_THAT(values("empty"), IsEmpty());
  EXPECT_THAT(tensor_named(contents.tensors, "whole").strides, IsEmpty());
  EXPECT_THAT(tensor_named(contents.tensors, "singleton").strides, IsEmpty());
  EXPECT_THAT(tensor_named(contents.tensors, "transposed").strides, ElementsAre(1, 3));
  for (const Tensor& t : contents.tensors) {
    if (t.bytes.empty()) continue;
    const auto file = test::bytes_of(*contents.file);
    EXPECT_GE(t.bytes.data(), file.data());
    EXPECT_LE(t.bytes.data() + t.bytes.size(), file.data() + file.size());
  }
}

TEST(Torch, ReadsEveryStorageType) {
  const std::vector<std::pair<std::string, StoredType>> types = {
      {"Double", StoredType::kF64},    {"Float", StoredType::kF32}, {"Half", StoredType::kF16},
      {"BFloat16", StoredType::kBF16}, {"Long", StoredType::kI64},  {"Int", StoredType::kI32},
      {"Short", StoredType::kI16},     {"Char", StoredType::kI8},   {"Byte", StoredType::kU8},
      {"Bool", StoredType::kBool}};
  for (const auto& [type, dtype] : types)
    for (const char* ending : {"Storage", "Tensor"}) {
      const std::string body =
          p::dict({{"w", p::tensor(p::storage(type + ending, "0", 2), 0, {2}, {1})}});
      const std::string zeros(2 * dtype_info(dtype).block_bytes, '\0');
      const std::string file = torch_zip(body, {{"0", zeros}});
      const test::Parsed contents = parse_pth(file);
      EXPECT_EQ(contents.tensors.at(0).dtype, dtype);
      EXPECT_THAT(values_of(contents.tensors.at(0)), ElementsAre(0, 0));
    }
}

TEST(Torch, ReadsLegacyFiles) {
  const std::string second = p::storage("FloatStorage", "94", 2);
  const std::string body = p::dict({{"a", p::tensor(kStorage, 0, {3, 2}, {1, 3})},
                                    {"b", p::tensor(second, 0, {2}, {1})},
                                    {"c", p::tensor(second, 1, {1}, {1})}});
  const std::string file = torch_legacy(body, {{"0", kSix}, {"94", data_of<float>({7, 8})}}, 4);
  const test::Parsed contents = parse_pth(file);
  EXPECT_THAT(values_of(contents.tensors.at(0)), ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_THAT(values_of(contents.tensors.at(1)), ElementsAre(7, 8));
  EXPECT_THAT(values_of(contents.tensors.at(2)), ElementsAre(8));
  EXPECT_THAT(contents.notes, ElementsAre(HasSubstr("legacy")));
}

TEST(Torch, RefusesBadLegacyFiles) {
  const std::string body = p::dict({{"w", kRow}});
  const std::string of_a_view = p::storage("FloatStorage", "0", 6, "torch", p::tuple({1, 2}));
  const std::string view = p::dict({{"w", p::tensor(of_a_view, 0, {6}, {1})}});
  const std::string two_types =
      p::dict({{"a", kRow}, {"b", p::tensor(p::storage("HalfStorage", "0", 6), 0, {6}, {1})}});
  const std::string good = torch_legacy(body, {{"0", kSix}}, 4);
  test::expect_all_refused(
      parse_torch,
      {{"big-endian", torch_legacy(body, {{"0", kSix}}, 4, false), "only little-endian"},
       {"other protocol", torch_legacy(body, {{"0", kSix}}, 4, true, 1002), "protocol 1001"},
       {"not torch's", p::whole(p::dict({{"a", "N"}})), "its magic number is missing"},
       {"missing storage", torch_legacy(body, {}, 4), "storage '0' is missing"},
       {"storage nobody uses", torch_legacy(body, {{"0", kSix}, {"7", kSix}}, 4), "storage '7'"},
       {"storage twice", torch_legacy(body, {{"0", kSix}, {"0", kSix}}, 4), "listed twice"},
       {"view of a storage", torch_legacy(view, {{"0", kSix}}, 4), "views of storages"},
       {"two types", torch_legacy(two_types, {{"0", kSix}}, 4), "two types"},
       {"short storage", good.substr(0, good.size() - 1), "truncated: storage"}});
}

TEST(Torch, RefusesTensorsThatDoNotFitTheirStorage) {
  const auto with = [](const std::string& tensor) { return pth({{"blocks.0.w", tensor}}); };
  const int64_t huge = int64_t{1} << 62;
  test::expect_all_refused(
      parse_torch,
      {{"too long", with(p::tensor(kStorage, 0, {4}, {2})), "blocks.0.w: reaches outside"},
       {"offset", with(p::tensor(kStorage, 4, {3}, {1})), "reaches outside"},
       {"offset absurd", with(p::tensor(kStorage, huge, {1}, {1})), "reaches outside"},
       {"offset negative", with(p::tensor(kStorage, -1, {1}, {1})), "reaches outside"},
       {"stride absurd", with(p::tensor(kStorage, 0, {2}, {huge})), "reaches outside"},
       {"strides overflow", with(p::tensor(kStorage, 0, {3, 2}, {huge + (huge - 1), huge})),
        "overflow"},
       {"stride negative", with(p::tensor(kStorage, 5, {3}, {-1})), "strides must be numbers of 0"},
       {"shape negative", with(p::tensor(kStorage, 0, {-1}, {1})), "shape must be numbers of 0"},
       {"expanded without end", with(p::tensor(kStorage, 0, {huge}, {0})), "overflows"},
       {"ranks differ", with(p::tensor(kStorage, 0, {2, 3}, {1})), "2 dimensions, but 1 strides"},
       {"nine dimensions",
        with(p::tensor(kStorage, 0, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1})),
        "9 dimensions"},
       {"storage too small", with(p::tensor(p::storage("FloatStorage", "0", 7), 0, {1}, {1})),
        "should have 7 elements of 4 bytes, the file has 24 bytes"},
       {"storage negative", with(p::tensor(p::storage("FloatStorage", "0", -1), 0, {1}, {1})),
        "should have -1 elements"},
       {"storage missing", with(p::tensor(p::storage("FloatStorage", "5", 6), 0, {6}, {1})),
        "storage '5' is missing"}});
}

TEST(Torch, TakesStateDictsOutOfWrappers) {
  const std::string inner = p::dict({{"w", kRow}});
  for (const char* wrapper : {"state_dict", "model_state_dict", "model", "module", "params"}) {
    const test::Parsed contents = parse_pth(pth({{"step", p::integer(7)}, {wrapper, inner}}));
    EXPECT_THAT(names_of(contents), ElementsAre("w"));
    EXPECT_THAT(contents.notes, ElementsAre(HasSubstr(wrapper)));
    EXPECT_EQ(contents.extras, Json({{"step", 7}}));
  }
  EXPECT_THAT(names_of(parse_pth(pth({{"state_dict", p::dict({{"model", inner}})}}))),
              ElementsAre("w"));
  // A tensor beside the wrapper, such as a counter, does not hide it.
  EXPECT_THAT(names_of(parse_pth(pth({{"model", inner}, {"step", kRow}}))), ElementsAre("w"));
  // A dict of settings that happens to have such a name does not hide the tensors.
  EXPECT_THAT(names_of(parse_pth(pth({{"w", kRow}, {"params", p::dict({{"lr", "N"}})}}))),
              ElementsAre("w"));
}

TEST(Torch, OtherEntriesBecomeExtras) {
  const std::string list = "](" + p::integer(1) + "\x88" + p::text("x") + "](" + "Nee";
  const test::Parsed contents =
      parse_pth(pth({{"w", kRow},
                     {"reranker_layer_idx", list},
                     {"rate", std::string("G\x3f\xe0\0\0\0\0\0\0", 9)},
                     {"nested", p::dict({{"a", p::tuple({1, 2})}})},
                     {"optimizer", p::dict({{"state", kRow}})},
                     {"huge", std::string("\x8a\x09\0\0\0\0\0\0\0\0\1", 11)}}));
  EXPECT_EQ(contents.extras, Json::parse(R"({"reranker_layer_idx": [1, true, "x", [null]],
                                             "rate": 0.5, "nested": {"a": [1, 2]}})"));
  EXPECT_THAT(contents.notes,
              ElementsAre("ignored entries that are not weights: 'optimizer' 'huge'"));
}

TEST(Torch, ReadsWhatOldAndNewPicklesUse) {
  // Parameter; Python 2 strings; OrderedDict from pairs; state of an OrderedDict; memo; protocol 4.
  const std::string parameter = p::global("torch._utils", "_rebuild_parameter") + "(" + kRow +
                                "\x88" + p::global("collections", "OrderedDict") + ")RtR";
  EXPECT_THAT(names_of(parse_pth(pth({{"w", parameter}}))), ElementsAre("w"));
  const std::string ordered = p::global("collections", "OrderedDict");
  const std::string pairs = ordered + "(](](" + "U\x01w" + kRow + "eetR";
  EXPECT_THAT(names_of(parse_pth(torch_zip(pairs, {{"0", kSix}}))), ElementsAre("w"));
  const std::string with_state =
      ordered + ")R" + p::text("w") + kRow + "s" + p::dict({{"_metadata", "}"}}) + "b";
  EXPECT_THAT(names_of(parse_pth(torch_zip(with_state, {{"0", kSix}}))), ElementsAre("w"));
  const std::string memo = "}q\x05(" + p::text("w") + kRow + "r" + u32(300) + p::text("v") + "j" +
                           u32(300) + "uh\x05" + "0";
  EXPECT_THAT(refusal([&] { parse_pth(torch_zip(memo, {{"0", kSix}})); }), HasSubstr("opcode 48"));
  const std::string memo_used =
      "}q\x05(" + p::text("w") + kRow + "r" + u32(300) + p::text("v") + "j" + u32(300) + "u";
  EXPECT_THAT(names_of(parse_pth(torch_zip(memo_used, {{"0", kSix}}))), ElementsAre("w", "v"));
  const std::string four = "\x80\x04\x95" + test::u64(1) + "}\x94(\x8c\x01w\x94" + kRow + "u";
  EXPECT_THAT(names_of(parse_pth(torch_zip(four, {{"0", kSix}}))), ElementsAre("w"));
  const std::string stack_global = std::string("\x8c\x0b") + "collections\x8c\x0bOrderedDict\x93)R";
  EXPECT_THAT(names_of(parse_pth(torch_zip(stack_global, {}))), IsEmpty());
}

TEST(Torch, RefusesForeignGlobals) {
  const auto call = [](std::string_view module, std::string_view name) {
    return torch_zip(p::global(module, name) + "(" + p::text("echo harm") + "tR", {});
  };
  test::expect_all_refused(
      parse_torch,
      {{"os.system", call("os", "system"), "the pickle names os.system"},
       {"builtins", call("builtins", "eval"), "builtins.eval"},
       {"almost", call("torch._utils", "_rebuild_tensor_v4"), "_rebuild_tensor_v4"},
       {"a class of torch", call("torch.nn.modules.linear", "Linear"), "Linear"},
       {"what runs a factory", call("collections", "defaultdict"), "collections.defaultdict"},
       {"arbitrary objects", call("argparse", "Namespace"), "argparse.Namespace"},
       {"numpy's own pickles", call("numpy", "load"), "numpy.load"},
       {"hidden in the name", call("collections.OrderedDict", "x"), "collections.OrderedDict.x"},
       {"by the stack", torch_zip("\x8c\x02os\x8c\x06system\x93", {}), "os.system"},
       {"called without a name", torch_zip(p::text("os.system") + ")R", {}),
        "not a known function"},
       {"storage class called", torch_zip(p::global("torch", "FloatStorage") + ")R", {}),
        "a call of a storage class"},
       {"NEWOBJ", torch_zip(p::global("os", "system") + ")\x81", {}), "os.system"},
       {"NEWOBJ of a text", torch_zip(p::text("os.system") + ")\x81", {}), "not a known function"},
       {"a type called", torch_zip(p::global("torch", "float32") + ")R", {}), "type of numbers"},
       {"a name as tensor",
        torch_zip(p::global("torch._tensor", "_rebuild_from_type_v2") + "(" +
                      p::global("os", "system") + "N))tR",
                  {}),
        "os.system"},
       {"INST", torch_zip("(ios\nsystem\n", {}), "opcode 105"},
       {"REDUCE of a lambda by EXT1", torch_zip("\x82\x01", {}), "opcode 130"},
       {"endless name", torch_zip("c" + std::string(10000, 'x'), {}), "a name without an end"}});
}

TEST(Torch, RefusesMalformedPickles) {
  const auto body = [](const std::string& opcodes) { return torch_zip(opcodes, {{"0", kSix}}); };
  const std::string ordered = p::global("collections", "OrderedDict");
  const std::string rebuild = p::global("torch._utils", "_rebuild_tensor_v2");
  test::expect_all_refused(
      parse_torch,
      {{"nothing", body(""), "ended with 0 values"},
       {"two values", body("}}"), "ended with 2 values"},
       {"open mark", body("}("), "expected 1"},
       {"not a dict", body("N"), "expected a dictionary of tensors"},
       {"a list", body("]"), "expected a dictionary of tensors"},
       {"protocol 1", body("\x80\x01"), "pickle protocol 1;"},
       {"protocol 9", body("\x80\x09"), "pickle protocol 9;"},
       {"tuple without mark", body("t"), "a mark is missing"},
       {"tuple of missing values", body("N\x86"), "a tuple of missing values"},
       {"tuple across a mark", body("N(N\x86"), "a tuple of missing values"},
       {"append to nothing", body("Na"), "something else than a list"},
       {"append to a dict", body("}Na"), "something else than a list"},
       {"append across a mark", body("](Na"), "something else than a list"},
       {"items for a list", body("](NNu"), "something else than a dict"},
       {"key without value", body("}(Nu"), "a key without a value"},
       {"memo missing", body("h\x01"), "memo entry 1 is missing"},
       {"memo of nothing", body("q\x01"), "a value is missing"},
       {"memo far away", body(std::string("}r") + u32(0xffffffff)), "memo entry 4294967295"},
       {"persistent id of text", body(p::text("0") + "Q"), "not a tuple"},
       {"persistent id of numbers", body(p::tuple({1, 2, 3, 4, 5}) + "Q"),
        "not a tensor's storage"},
       {"tensor of a number", body(rebuild + p::tuple({1, 2, 3, 4, 5, 6}) + "R"),
        "not made of storage"},
       {"tensor of too little", body(rebuild + "(" + kStorage + "tR"), "not made of storage"},
       {"parameter of nothing", body(p::global("torch._utils", "_rebuild_parameter") + ")R"),
        "not a tensor"},
       {"dict of numbers", body(ordered + p::tuple({1}) + "R"), "not made of a list"},
       {"dict of single values", body(ordered + "(](](NeetR"), "not made of pairs"},
       {"dict of two lists", body(ordered + "(]]tR"), "2 arguments"},
       {"state of a list", body("]}b"), "state for something"},
       {"state that is a tensor's data", body(kRow + "(" + kStorage + ")t" + "b"),
        "a tensor whose state is not a dict"},
       {"tensor v3 without type",
        body(p::global("torch._utils", "_rebuild_tensor_v3") + "(" + kStorage + p::integer(0) +
             p::tuple({6}) + p::tuple({1}) + "\x89NNtR"),
        "without its type"},
       {"tensor of a class made by a dict",
        body(p::global("torch._tensor", "_rebuild_from_type_v2") + "(" + ordered + "N))tR"),
        "makes none"},
       {"tensor of a class of too little",
        body(p::global("torch._tensor", "_rebuild_from_type_v2") + "(" + rebuild + "NtR"),
        "not made of function"},
       {"arguments are a list", body(ordered + "]R"), "not a known function"},
       {"global without a name", body("NN\x93"), "a global without a name"},
       {"string beyond the end", body(std::string("X") + u32(0xffffffff)), "truncated: string"},
       {"number beyond the end", torch_zip("J", {}), "truncated"}});
}

TEST(Torch, RefusesTensorNamesThatAreNotText) {
  test::expect_all_refused(
      parse_torch, {{"empty", pth({{"", kRow}}), "name is empty"},
                    {"not UTF-8", pth({{"\xff", kRow}}), "not UTF-8"},
                    {"twice", pth({{"w", kRow}, {"w", kRow}}), "two tensors are named 'w'"}});
}

TEST(Torch, RefusesConvertedFilesOfChatRWKV) {
  for (const char* key : {"_strategy", "_rescale_layer"})
    EXPECT_THAT(refusal([&] {
                  parse_pth(pth({{"emb.weight", kRow}, {key, p::text("cuda fp16")}}));
                }),
                testing::AllOf(HasSubstr(key), HasSubstr("ChatRWKV")));
}

TEST(Torch, RefusesArchivesThatAreNotTorchs) {
  const std::string body = p::dict({{"w", kRow}});
  const auto with = [&](std::vector<test::ZipPart> more) {
    return torch_zip(body, {{"0", kSix}}, std::move(more));
  };
  EXPECT_EQ(parse_pth(with({{"m/byteorder", "little"}})).tensors.size(), 1u);
  std::string damaged = torch_zip(body, {{"0", kSix}});
  damaged[damaged.find("storage")] = 'S';
  test::expect_all_refused(
      parse_torch, {{"big-endian", with({{"m/byteorder", "big"}}), "byteorder is 'big'"},
                    {"two pickles", with({{"n/data.pkl", "x"}}), "two entries are named data.pkl"},
                    {"no pickle", test::zip({{"word/document.xml", "<w/>"}}), "without data.pkl"},
                    {"pickle too deep", test::zip({{"a/b/data.pkl", "x"}}), "without data.pkl"},
                    {"deflated", test::zip({{"m/data.pkl", "x", 8}}), "compressed (method 8)"},
                    {"checksum", damaged, "data.pkl: its checksum differs"},
                    {"nothing but a beginning", "PK\x03\x04", "truncated ZIP archive"}});
}

TEST(Torch, RefusesListsInThemselvesWithoutHanging) {
  // l.append(l), and thirty lists of two of the one before: 2^30 values if written out.
  const std::string self = "]q" + std::string(1, '\x01') + "h" + "\x01" + "a";
  std::string bomb = "]";
  for (char i = 1; i < 30; ++i) bomb = concat("](", bomb, "q", i, "h", i, "e");
  const test::Parsed contents = parse_pth(pth({{"w", kRow}, {"self", self}, {"bomb", bomb}}));
  EXPECT_TRUE(contents.extras.is_null());
  EXPECT_THAT(contents.notes, ElementsAre(HasSubstr("'self' 'bomb'")));
}

TEST(Torch, SurvivesTruncationAndFlippedBits) {
  const std::string body = p::dict({{"a", p::tensor(kStorage, 1, {2, 2}, {1, 2})}, {"n", "N"}});
  test::expect_robust(parse_torch, torch_zip(body, {{"0", kSix}}));
  test::expect_robust(parse_torch, torch_legacy(body, {{"0", kSix}}, 4));
}

TEST(Torch, SurvivesFlippedBitsInThePickleItself) {
  // The checksum would stop most of them: here it is left out, as PyTorch can be told to do.
  const std::string body = p::dict({{"a", p::tensor(kStorage, 1, {2, 2}, {1, 2})}, {"n", "N"}});
  std::string file = torch_zip(body, {{"0", kSix}});
  file.replace(file.find("PK\x01\x02") + 16, 4, u32(0));
  const size_t begin = file.find("\x80\x02");
  for (size_t i = 8 * begin; i < 8 * (begin + body.size()); ++i) {
    std::string flipped = file;
    flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ (1 << i % 8));
    test::survives(parse_torch, flipped);
  }
}

}  // namespace
}  // namespace fathom::torch_test
