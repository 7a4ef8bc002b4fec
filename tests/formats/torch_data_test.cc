// SPDX-License-Identifier: Apache-2.0
// What torch.load reads with weights_only=True besides plain tensors: values that are read over,
// tensors that are listed and never read, tensors with attributes, and the wrappers of training
// programs. The opcodes are those that PyTorch 2.15 writes.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "formats/torch_rows.h"

namespace fathom::torch_data_test {
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
using test::u64;
using test::values_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kHooks = p::global("collections", "OrderedDict") + ")R";

std::string pth(const p::Entries& entries) { return torch_zip(p::dict(entries), {{"0", kSix}}); }
std::string call(std::string_view module, std::string_view name, const std::string& arguments) {
  return p::global(module, name) + "(" + arguments + "tR";
}
std::string dtype(std::string_view name) { return p::global("torch", name); }

// _rebuild_tensor_v2 of six floats with a seventh argument.
std::string tensor_with(const std::string& metadata) {
  return call(
      "torch._utils", "_rebuild_tensor_v2",
      kStorage + p::integer(0) + p::tuple({2, 3}) + p::tuple({3, 1}) + "\x89" + kHooks + metadata);
}
// _rebuild_tensor_v3: an untyped storage of n bytes.
std::string tensor_v3(std::string_view type, int64_t n_byte, const std::vector<int64_t>& shape,
                      const std::vector<int64_t>& strides, const std::string& more = "") {
  return call("torch._utils", "_rebuild_tensor_v3",
              p::storage("UntypedStorage", "0", n_byte, "torch.storage") + p::integer(0) +
                  p::tuple(shape) + p::tuple(strides) + "\x89" + kHooks + dtype(type) + more);
}

// The tensor w of the file is there, cannot be read, and the error says why.
void expect_listed(const std::string& tensor, const std::vector<size_t>& shape,
                   const std::string& why, const std::string& data = kSix) {
  SCOPED_TRACE(why);
  const std::string file = torch_zip(
      p::dict({{"w", tensor}, {"v", p::tensor(p::storage("ByteStorage", "0", 1), 0, {1}, {1})}}),
      {{"0", data}});
  const test::Parsed contents = parse_pth(file);
  ASSERT_EQ(contents.tensors.size(), 2u);
  const Tensor& w = tensor_named(contents.tensors, "w");
  EXPECT_EQ(w.dtype, StoredType::kOther);
  EXPECT_EQ(w.shape, shape);
  EXPECT_THAT(std::string(type_name(w)), HasSubstr(why));
  std::vector<float> out(w.n_element());
  EXPECT_THAT(refusal([&] { read_f32(w, 0, out.size(), out); }),
              AllOf(HasSubstr("w: "), HasSubstr(why)));
  EXPECT_EQ(values_of(tensor_named(contents.tensors, "v")).size(), 1u);
}

TEST(TorchViews, LazyNegativesAndConjugatesAreNeverReadAsTheyLie) {
  expect_listed(tensor_with(p::dict({{"neg", "\x88"}})), {2, 3}, "negative view");
  expect_listed(tensor_with(p::dict({{"conj", "\x89"}, {"neg", "\x88"}})), {2, 3}, "negative view");
  expect_listed(tensor_with(p::dict({{"conj", "\x88"}})), {2, 3}, "conjugate view");
  expect_listed(tensor_with(p::dict({{"new in 2030", "\x88"}})), {2, 3}, "'new in 2030'");
  expect_listed(tensor_with(p::dict({{"neg", p::integer(1)}})), {2, 3}, "negative view");
  expect_listed(tensor_with(p::text("neg")), {2, 3}, "unknown kind");
  expect_listed(tensor_v3("float8_e4m3fn", 24, {24}, {1}, p::dict({{"neg", "\x88"}})), {24},
                "F8_E4M3 as a lazy negative view");
  for (const std::string& plain :
       {std::string("N"), std::string("}"), p::dict({{"neg", "\x89"}, {"conj", "\x89"}})}) {
    const test::Parsed contents = parse_pth(pth({{"w", tensor_with(plain)}}));
    EXPECT_THAT(values_of(contents.tensors.at(0)), ElementsAre(1, 2, 3, 4, 5, 6));
  }
}

TEST(TorchViews, LegacyFilesToo) {
  const std::string file =
      torch_legacy(p::dict({{"w", tensor_with(p::dict({{"neg", "\x88"}}))}}), {{"0", kSix}}, 4);
  EXPECT_EQ(parse_pth(file).tensors.at(0).dtype, StoredType::kOther);
}

TEST(TorchViews, ExpandedOnesAreListed) {
  expect_listed(p::tensor(kStorage, 0, {7}, {0}), {7}, "F32 as an expanded view");
  expect_listed(p::tensor(kStorage, 0, {2, 50}, {3, 0}), {2, 50}, "F32 as an expanded view");
}

TEST(TorchTypes, OnesThatFathomHasNotAreListed) {
  const std::string data(64, '\1');
  for (const auto& [storage, name, bytes] :
       std::vector<std::tuple<std::string, std::string, int>>{{"ComplexFloat", "C64", 8},
                                                              {"ComplexDouble", "C128", 16},
                                                              {"QInt8", "qint8", 1},
                                                              {"QUInt8", "quint8", 1},
                                                              {"QInt32", "qint32", 4},
                                                              {"QUInt4x2", "quint4x2", 1},
                                                              {"QUInt2x4", "quint2x4", 1}})
    expect_listed(p::tensor(p::storage(storage + "Storage", "0", 64 / bytes), 1, {3}, {1}), {3},
                  name, data);
  for (const auto& [type, name, bytes] :
       std::vector<std::tuple<std::string, std::string, int>>{{"uint16", "U16", 2},
                                                              {"uint32", "U32", 4},
                                                              {"uint64", "U64", 8},
                                                              {"complex32", "C32", 4},
                                                              {"complex64", "C64", 8},
                                                              {"float8_e4m3fnuz", "F8_E4M3FNUZ", 1},
                                                              {"float8_e5m2fnuz", "F8_E5M2FNUZ", 1},
                                                              {"float8_e8m0fnu", "F8_E8M0", 1},
                                                              {"float4_e2m1fn_x2", "F4", 1},
                                                              {"bits8", "bits8", 1},
                                                              {"bits16", "bits16", 2},
                                                              {"uint4", "less than 8 bits", 1},
                                                              {"int3", "less than 8 bits", 1}}) {
    expect_listed(tensor_v3(type, 64, {64 / bytes}, {1}), {static_cast<size_t>(64 / bytes)}, name,
                  data);
    EXPECT_THAT(refusal([&] {
                  parse_pth(torch_zip(p::dict({{"w", tensor_v3(type, 64, {64 / bytes + 1}, {1})}}),
                                      {{"0", data}}));
                }),
                HasSubstr("w: reaches outside"));
  }
}

TEST(TorchTypes, Float8AndBytesAreRead) {
  // 1, -2, 0.5 and 448 in E4M3; 1, -2, 0.5 and 57344 in E5M2.
  const auto values = [&](std::string_view type, const std::string& data) {
    const test::Parsed c =
        parse_pth(torch_zip(p::dict({{"w", tensor_v3(type, 4, {2, 2}, {1, 2})}}), {{"0", data}}));
    return values_of(c.tensors.at(0));
  };
  EXPECT_THAT(values("float8_e4m3fn", "\x38\xc0\x30\x7e"), ElementsAre(1, 0.5f, -2, 448));
  EXPECT_THAT(values("float8_e5m2", "\x3c\xc0\x38\x7b"), ElementsAre(1, 0.5f, -2, 57344));
  EXPECT_THAT(values("uint8", "\1\2\3\4"), ElementsAre(1, 3, 2, 4));
  // torch.load takes an untyped storage for bytes.
  const std::string untyped = p::storage("UntypedStorage", "0", 24, "torch.storage");
  const test::Parsed c = parse_pth(pth({{"w", p::tensor(untyped, 2, {2}, {1})}}));
  EXPECT_THAT(values_of(c.tensors.at(0)), ElementsAre(0x80, 0x3f));
}

TEST(TorchTensors, SpecialOnesAreListedWithTheirShapes) {
  const std::string indices = p::tensor(p::storage("ByteStorage", "0", 6), 0, {2, 3}, {3, 1});
  const std::string size = call("torch", "Size", p::tuple({4, 5}));
  const std::string layout =
      call("torch.serialization", "_get_layout", p::text("torch.sparse_coo"));
  expect_listed(call("torch._utils", "_rebuild_sparse_tensor",
                     layout + "(" + indices + kRow + size + "\x88t"),
                {4, 5}, "sparse");
  expect_listed(call("torch._utils", "_rebuild_sparse_tensor",
                     layout + "(" + indices + indices + kRow + size + "t"),
                {4, 5}, "sparse");
  const std::string scale = std::string("G\x3f\xb9\x99\x99\x99\x99\x99\x9a");
  const std::string quantised =
      p::storage("QInt8Storage", "0", 6) + p::integer(0) + p::tuple({2, 3}) + p::tuple({3, 1});
  expect_listed(call("torch._utils", "_rebuild_qtensor",
                     quantised + "(" + p::global("torch", "per_tensor_affine") + scale +
                         p::integer(0) + "t\x89" + kHooks),
                {2, 3}, "quantised");
  expect_listed(call("torch._utils", "_rebuild_meta_tensor_no_storage",
                     dtype("float32") + p::tuple({8, 9}) + p::tuple({9, 1}) + "\x89"),
                {8, 9}, "meta");
  expect_listed(call("torch._utils", "_rebuild_device_tensor_from_cpu_tensor",
                     kRow + dtype("float32") + p::text("xla:0") + "\x89"),
                {}, "device");
  EXPECT_THAT(refusal([&] {
                parse_pth(pth({{"w", call("torch._utils", "_rebuild_meta_tensor_no_storage",
                                          dtype("float32") + p::tuple({int64_t{1} << 40, 1 << 30}) +
                                              p::tuple({1, 1}) + "\x89")}}));
              }),
              HasSubstr("overflows"));
}

TEST(TorchTensors, AttributesAndClassesAreReadOver) {
  const std::string state = p::dict({{"foo", p::text("bar")}, {"ds_id", p::integer(3)}});
  const std::string plain =
      "(" + kStorage + p::integer(0) + p::tuple({6}) + p::tuple({1}) + "\x89" + kHooks + "t";
  const std::string v2 = p::global("torch._utils", "_rebuild_tensor_v2");
  const std::vector<std::string> tensors = {
      call("torch._utils", "_rebuild_parameter", kRow + "\x88" + kHooks),
      call("torch._utils", "_rebuild_parameter_with_state", kRow + "\x88" + kHooks + state),
      call("torch._tensor", "_rebuild_from_type_v2",
           v2 + p::global("torch", "Tensor") + plain + state),
      call("torch._tensor", "_rebuild_from_type_v2",
           v2 + p::global("torch.nn.parameter", "Parameter") + plain + "(" + state + "Nt"),
      p::global("torch.nn.parameter", "Parameter") + "(" + kRow + "\x88t\x81",
      call("torch._utils", "_rebuild_tensor",
           kStorage + p::integer(0) + p::tuple({6}) + p::tuple({1})),
      kRow + state + "b"};
  for (const std::string& tensor : tensors) {
    const test::Parsed contents = parse_pth(pth({{"w", tensor}}));
    ASSERT_EQ(contents.tensors.size(), 1u);
    EXPECT_THAT(values_of(contents.tensors[0]), ElementsAre(1, 2, 3, 4, 5, 6));
  }
}

// Each value stands beside the weights, and inside a list beside them.
TEST(TorchValues, ThatWeightsOnlyAllowsAreReadOver) {
  const std::string encode = call("_codecs", "encode", p::text("ab\xc3\xbf") + p::text("latin1"));
  const std::string dtype_f8 = call("numpy", "dtype", p::text("f8") + "\x89\x88") + "(" +
                               p::integer(3) + p::text("<") + "NNN" + p::integer(-1) +
                               p::integer(-1) + p::integer(0) + "tb";
  const std::vector<std::pair<const char*, std::string>> values = {
      {"device", call("torch", "device", p::text("cuda") + p::integer(0))},
      {"dtype", dtype("bfloat16")},
      {"bytes of protocol 2", encode},
      {"no bytes of protocol 2", p::global("__builtin__", "bytes") + ")R"},
      {"bytes", "C\x03xyz"},
      {"long bytes", "B" + u32(3) + "xyz"},
      {"longer bytes", "\x8e" + u64(3) + "xyz"},
      {"bytearray", "\x96" + u64(3) + "xyz"},
      {"bytearray of protocol 2", call("__builtin__", "bytearray", encode)},
      {"complex", call("__builtin__", "complex", "NN")},
      {"huge number", std::string("\x8b") + u32(9) + std::string(9, '\1')},
      {"numpy scalar", call("numpy._core.multiarray", "scalar", dtype_f8 + encode)},
      {"numpy scalar of numpy 1", call("numpy.core.multiarray", "scalar", dtype_f8 + encode)},
      {"numpy array", call("numpy._core.multiarray", "_reconstruct",
                           p::global("numpy", "ndarray") + p::tuple({0}) + encode) +
                          "(" + p::integer(1) + p::tuple({3}) + dtype_f8 + "\x89" + encode + "tb"},
      {"layout", call("torch.serialization", "_get_layout", p::text("torch.strided"))}};
  for (const auto& [what, value] : values) {
    SCOPED_TRACE(what);
    const test::Parsed contents =
        parse_pth(pth({{"x", value}, {"list", "](" + value + "Ne"}, {"w", kRow}}));
    EXPECT_THAT(values_of(tensor_named(contents.tensors, "w")), ElementsAre(1, 2, 3, 4, 5, 6));
    EXPECT_TRUE(contents.extras.is_null());
    EXPECT_THAT(contents.notes, ElementsAre(AllOf(HasSubstr("'x'"), HasSubstr("'list'"))));
  }
}

TEST(TorchValues, SequencesBecomeLists) {
  const test::Parsed contents = parse_pth(
      pth({{"w", kRow},
           {"size", call("torch", "Size", p::tuple({2, 3}))},
           {"no size", p::global("torch", "Size") + ")R"},
           {"set", call("__builtin__", "set", "](" + p::integer(1) + p::integer(2) + "e")},
           {"frozenset", call("__builtin__", "frozenset", "](" + p::integer(3) + "e")},
           {"empty set", "\x8f"},
           {"set of protocol 4", "\x8f(" + p::integer(4) + p::integer(5) + "\x90"},
           {"frozenset of protocol 4", "(" + p::integer(6) + "\x91"},
           {"counter", call("collections", "Counter", p::dict({{"a", p::integer(3)}}))},
           {"number", std::string("\x8b") + u32(2) + "\x01\x02"},
           {"long text", "\x8d" + u64(2) + "hi"}}));
  EXPECT_EQ(contents.extras, Json::parse(R"({"size": [2, 3], "no size": [], "set": [1, 2],
      "frozenset": [3], "empty set": [], "set of protocol 4": [4, 5],
      "frozenset of protocol 4": [6], "counter": {"a": 3}, "number": 513, "long text": "hi"})"));
  EXPECT_THAT(contents.notes, IsEmpty());
}

// mp_rank_00_model_states.pt.
TEST(TorchWrappers, DeepSpeedsModelStates) {
  const std::string size = call("torch", "Size", p::tuple({6}));
  const std::string parameter = call("torch._utils", "_rebuild_parameter_with_state",
                                     kRow + "\x88" + kHooks + p::dict({{"ds_id", p::integer(0)}}));
  const test::Parsed contents = parse_pth(
      pth({{"module", p::global("collections", "OrderedDict") + ")R(" + p::text("emb.weight") +
                          parameter + "u" + p::dict({{"_metadata", "}"}}) + "b"},
           {"buffer_names", "]"},
           {"optimizer", "N"},
           {"param_shapes", "](" + p::dict({{"emb.weight", size}}) + "e"},
           {"sparse_tensor_module_names", call("__builtin__", "set", "]")},
           {"data_sampler", "N"},
           {"dtype", dtype("bfloat16")},
           {"rng", tensor_v3("uint64", 24, {3}, {1})},
           {"ds_config", p::dict({{"bf16", p::dict({{"enabled", "\x88"}})}})},
           {"ds_version", p::text("0.18.2")}}));
  ASSERT_EQ(contents.tensors.size(), 1u);
  EXPECT_EQ(contents.tensors[0].name, "emb.weight");
  EXPECT_THAT(values_of(contents.tensors[0]), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(contents.extras["param_shapes"], Json::parse(R"([{"emb.weight": [6]}])"));
  EXPECT_THAT(contents.notes, ElementsAre("took the weights from entry 'module'",
                                          "ignored entries that are not weights: 'dtype' 'rng'"));
}

// Lightning's .ckpt: the state dict, the optimiser's states by number, hyper-parameters.
TEST(TorchWrappers, LightningsCheckpoints) {
  const std::string state =
      "}" + p::integer(0) + p::dict({{"step", kRow}, {"exp_avg", kRow}}) + "s";
  const std::string groups = "](" + p::dict({{"params", "](" + p::integer(0) + "e"}}) + "e";
  const test::Parsed contents = parse_pth(
      pth({{"epoch", p::integer(3)},
           {"pytorch-lightning_version", p::text("2.5.0")},
           {"state_dict", p::dict({{"model.emb.weight", kRow}, {"model.blocks.0.ln1.bias", kRow}})},
           {"optimizer_states", "](" + p::dict({{"state", state}, {"param_groups", groups}}) + "e"},
           {"hparams_name", p::text("kwargs")},
           {"hyper_parameters", p::dict({{"betas", p::tuple({1, 2})},
                                         {"device", call("torch", "device", p::text("cpu"))}})}}));
  EXPECT_EQ(contents.tensors.size(), 2u);
  EXPECT_EQ(contents.extras["epoch"], 3);
  EXPECT_THAT(contents.notes,
              ElementsAre(HasSubstr("state_dict"),
                          AllOf(HasSubstr("'optimizer_states'"), HasSubstr("'hyper_parameters'"))));
}

TEST(TorchValues, SurviveFlippedBits) {
  const std::string body =
      p::dict({{"w", tensor_with(p::dict({{"neg", "\x88"}}))},
               {"v", tensor_v3("uint16", 24, {12}, {1})},
               {"s", call("__builtin__", "set", "](" + p::integer(1) + "e")},
               {"b", "C\x03xyz"},
               {"p", call("torch._tensor", "_rebuild_from_type_v2",
                          p::global("torch._utils", "_rebuild_tensor_v2") +
                              p::global("torch", "Tensor") + "(" + kStorage + p::integer(0) +
                              p::tuple({6}) + p::tuple({1}) + "\x89" + kHooks + "t}")}});
  std::string file = torch_zip(body, {{"0", kSix}});
  file.replace(file.find("PK\x01\x02") + 16, 4, u32(0));  // no checksum
  const size_t begin = file.find("\x80\x02");
  for (size_t i = 8 * begin; i < 8 * (begin + body.size()); ++i) {
    std::string flipped = file;
    flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ (1 << i % 8));
    test::survives(parse_torch, flipped);
  }
}

}  // namespace
}  // namespace fathom::torch_data_test
