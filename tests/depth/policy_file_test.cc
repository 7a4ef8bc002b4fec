// SPDX-License-Identifier: Apache-2.0
// Policy files: what is written is read; files that are damaged or for another model are refused.
#include "depth/policy_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "encode/depth_encode.h"
#include "encode/exit_rules.h"
#include "formats/write_safetensors.h"

namespace fathom::test::policy_file_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr size_t kLayers = 4, kDim = 40;

Model a_model(uint64_t seed = 1) {
  SyntheticModel m = small(Version::kV6, kLayers);
  if (seed != 1) {
    Shape s = m.shape;
    s.seed = seed;
    m = make_model(s);
  }
  return open_blinkdl(m, cpu_backend());
}

PolicyFile file_for(const Model& model, PolicyRule rule) {
  PolicyFile file;
  file.model = fingerprint_of(model);
  file.reading.norm = Norm::kLnOut;
  file.reading.bos = 3;
  file.fitted = {{"data", "mrpc train"}, {"n", 3668}};
  file.rule = std::move(rule);
  return file;
}

BlockMask a_mask() {
  BlockMask mask = BlockMask::all(kLayers);
  mask.time_mix[1] = mask.channel_mix[3] = false;
  return mask;
}

RouteRule a_route(Router router) {
  RuleMaker make(4);
  RouteRule rule;
  rule.layer = 1;
  rule.router = router;
  rule.normalize = true;
  rule.post.mean = make.numbers(kDim);
  rule.weight = make.numbers(2 * kDim);
  if (router == Router::kRidge) rule.bias = make.numbers(2);
  rule.masks = {BlockMask::all(kLayers), a_mask()};
  return rule;
}

ExitRule an_exit(Measure measure, bool pair) {
  RuleMaker make(6);
  ExitRule rule = make.rule(measure, pair, kLayers, kDim, {1, 3, 4});
  make.add_post(rule, kDim);
  make.add_maps(rule, kDim);
  set_thresholds(rule, 0.4, 2);
  rule.exits[1].threshold = 0.7;
  rule.alpha = 2.5;
  return rule;
}

std::vector<PolicyRule> every_rule() {
  std::vector<PolicyRule> rules = {a_mask(), a_route(Router::kCentroid), a_route(Router::kRidge)};
  for (Measure m : kMeasures)
    for (bool pair : {false, true})
      if (pair || m != Measure::kScore) rules.emplace_back(an_exit(m, pair));
  RuleMaker make(2);
  ExitRule bare = make.rule(Measure::kSaturation, false, kLayers, kDim, {2});
  rules.emplace_back(bare);
  return rules;
}

TEST(PolicyFile, WhatIsWrittenIsRead) {
  const Model model = a_model();
  const TempFolder folder;
  const Texts texts = some_texts();
  size_t n_json = 0;
  for (const PolicyRule& rule : every_rule()) {
    const std::string path = folder.file("p.policy");
    const PolicyFile written = file_for(model, rule);
    write_policy_file(path, written);
    n_json += read_whole(path)[0] == '{';
    const PolicyFile read = read_policy_file(path);
    EXPECT_EQ(to_json(read).dump(), to_json(written).dump());
    EXPECT_EQ(read.kind(), written.kind());
    EXPECT_EQ(read.reading.norm, Norm::kLnOut);
    EXPECT_EQ(read.reading.bos, Token{3});
    require_model(read, model, path);
    // The arrays too: both do the same.
    EncodeOptions options;
    const DepthEncoded a = encode_depth(model, *make_policy("a", written.rule), options, texts);
    const DepthEncoded b = encode_depth(model, *make_policy("b", read.rule), options, texts);
    EXPECT_TRUE(same_bits(a.values, b.values)) << to_json(written).dump();
    for (size_t t = 0; t < texts.size(); ++t) {
      EXPECT_EQ(a.trace[t].exit_layer, b.trace[t].exit_layer);
      EXPECT_EQ(a.trace[t].predicted_class, b.trace[t].predicted_class);
    }
  }
  EXPECT_EQ(n_json, 2u) << "a mask, and saturation without arrays";
}

TEST(PolicyFile, RefusesToWriteWhatDoesNotFit) {
  const Model model = a_model();
  const TempFolder folder;
  PolicyFile file = file_for(model, a_mask());
  std::get<BlockMask>(file.rule).time_mix.pop_back();
  EXPECT_THAT([&] { write_policy_file(folder.file("p"), file); },
              ThrowsMessage<Error>(HasSubstr("mask")));
  EXPECT_EQ(folder.n_file(), 0u);
}

// ---- which model

TEST(PolicyFile, KnowsItsModel) {
  const Model model = a_model(), other = a_model(9);
  EXPECT_EQ(fingerprint_of(model), fingerprint_of(a_model()));
  EXPECT_NE(fingerprint_of(model).weights, fingerprint_of(other).weights);
  const PolicyFile file = file_for(model, a_mask());
  require_model(file, model, "p");
  EXPECT_THAT([&] { require_model(file, other, "p.policy"); },
              ThrowsMessage<Error>(AllOf(HasSubstr("p.policy"), HasSubstr("another model"),
                                         HasSubstr("RWKV-6 of 4 layers of 40"))));
}

TEST(PolicyFile, AnotherDtypeOrLayoutIsTheSameModel) {
  const SyntheticModel m = small(Version::kV6, kLayers);
  const TempFolder folder;
  write_arrays(folder.file("f32.safetensors"), m.arrays, StoredType::kF32);
  write_arrays(folder.file("bf16.safetensors"), m.arrays, StoredType::kBF16);
  write_arrays(folder.file("f16.safetensors"), m.arrays, StoredType::kF16);
  const auto print = [&](const char* name) {
    return fingerprint_of(Model::open(folder.file(name), cpu_backend()));
  };
  EXPECT_EQ(print("f32.safetensors"), print("bf16.safetensors"));
  EXPECT_EQ(print("f32.safetensors"), print("f16.safetensors"));
}

// ---- --depth

TEST(PolicyFile, OpensWhatDepthNames) {
  const Model model = a_model();
  const TempFolder folder;
  const std::string mask = folder.file("m.json");
  write_policy_file(mask, file_for(model, a_mask()));
  EXPECT_FALSE(open_depth("full", model).policy);
  EXPECT_EQ(open_depth("fixed:3", model).policy->name(), "fixed:3");
  EXPECT_FALSE(open_depth("fixed:3", model).file);
  const DepthChoice choice = open_depth("mask:" + mask, model);
  EXPECT_EQ(choice.policy->name(), "mask:" + mask);
  EXPECT_EQ(choice.file->reading.norm, Norm::kLnOut);
  for (const char* text : {"", "fixed", "fixed:", "fixed:5", "fixed:-1", "fixed:x", "half:2",
                           "mask:", "mask", "Full", "exit", "route:"})
    EXPECT_THAT([&] { open_depth(text, model); },
                ThrowsMessage<UsageError>(HasSubstr("depth: expected")))
        << text;
  EXPECT_THAT([&] { open_depth("exit:" + mask, model); },
              ThrowsMessage<UsageError>(AllOf(HasSubstr("of kind mask"), HasSubstr(mask))));
  EXPECT_THAT([&] { open_depth("mask:" + mask, a_model(9)); },
              ThrowsMessage<Error>(HasSubstr("another model")));
  EXPECT_THAT([&] { open_depth("mask:" + folder.file("none").string(), model); },
              ThrowsMessage<Error>(HasSubstr("none")));
}

// ---- damaged files

class Damaged : public testing::Test {
 protected:
  // Spoils the JSON of a file without arrays.
  void refuse(const PolicyRule& rule, const std::string& pointer, const Json& value,
              const std::string& why) {
    Json json = Json::parse(to_json(file_for(model_, rule)).dump());
    const Json::json_pointer at(pointer);
    if (value.is_discarded())
      json.at(at.parent_pointer()).erase(at.back());
    else
      json[at] = value;
    refuse_text(json.dump(), why);
  }
  void refuse_text(const std::string& text, const std::string& why) {
    const std::string path = folder_.write("p.policy", text);
    EXPECT_THAT([&] { read_policy_file(path); },
                ThrowsMessage<Error>(AllOf(HasSubstr("p.policy"), HasSubstr(why))))
        << text.substr(0, 300);
  }
  // Spoils the arrays.
  template <class Spoil>
  void refuse_arrays(const PolicyRule& rule, Spoil&& spoil, const std::string& why) {
    const std::string good = folder_.file("good.policy");
    write_policy_file(good, file_for(model_, rule));
    std::vector<NamedArray> arrays;
    std::map<std::string, std::string> metadata;
    {
      const Checkpoint file = Checkpoint::open(good);
      for (const Tensor& t : file.tensors()) {
        arrays.push_back({t.name, t.shape, std::vector<float>(t.n_element())});
        read_f32(t, 0, t.n_element(), arrays.back().values);
      }
      metadata["fathom_policy"] = file.attributes().at("fathom_policy").get<std::string>();
    }
    spoil(arrays, metadata);
    std::vector<TensorToWrite> tensors;
    for (const NamedArray& a : arrays)
      tensors.push_back(tensor_to_write(a.name, a.shape, std::span<const float>(a.values)));
    write_safetensors(folder_.file("p.policy"), tensors, metadata);
    EXPECT_THAT([&] { read_policy_file(folder_.file("p.policy")); },
                ThrowsMessage<Error>(AllOf(HasSubstr("p.policy"), HasSubstr(why))));
  }

  Model model_ = a_model();
  TempFolder folder_;
  const Json kGone = Json(Json::value_t::discarded);
};

NamedArray& named(std::vector<NamedArray>& arrays, const std::string& name) {
  return const_cast<NamedArray&>(*find_array(arrays, name));
}

TEST_F(Damaged, Fields) {
  const BlockMask mask = a_mask();
  refuse(mask, "/fathom_policy", 2, "version 1");
  refuse(mask, "/fathom_policy", kGone, "fathom_policy: missing");
  refuse(mask, "/kind", "frob", "expected mask, exit or route, got 'frob'");
  refuse(mask, "/kind", 7, "kind");
  refuse(mask, "/kind", "exit", "exit: missing");
  refuse(mask, "/mask", 1, "mask: expected an object");
  refuse(mask, "/mask/time_mix", kGone, "mask.time_mix: missing");
  refuse(mask, "/mask/time_mix", Json::array({true}), "mask.time_mix: expected 4 blocks, got 1");
  refuse(mask, "/mask/channel_mix/2", 1, "mask.channel_mix");
  refuse(mask, "/model/n_layer", 5, "mask.time_mix: expected 5 blocks");
  refuse(mask, "/model/n_layer", 0, "n_layer");
  refuse(mask, "/model/n_layer", -1, "model.n_layer");
  refuse(mask, "/model/n_layer", 1e18, "model.n_layer");
  refuse(mask, "/model/n_layer", uint64_t{1} << 60, "model.n_layer");
  refuse(mask, "/model/weights", "two\nlines", "model.weights");
  refuse(mask, "/embedding/pooling", "median", "embedding.pooling: expected mean, last");
  refuse(mask, "/embedding/bos", "some", "embedding.bos");
  refuse(mask, "/embedding/bos", int64_t{1} << 40, "embedding.bos");
  refuse(mask, "/fitted", kGone, "fitted: missing");
  refuse(mask, "/fitted", "by hand", "fitted");

  RuleMaker make(2);
  ExitRule exit = make.rule(Measure::kSaturation, false, kLayers, kDim, {1, 2});
  refuse(exit, "/exit/measure", "luck", "luck");
  refuse(exit, "/exit/measure", "entropy", "n_class");
  refuse(exit, "/exit/measure", "learned", "learned.weight: missing");
  refuse(exit, "/exit/pair", "yes", "exit.pair");
  refuse(exit, "/exit/n_class", 2, "exit.1.head");
  refuse(exit, "/exit/n_class", 1000000, "exit.n_class");
  refuse(exit, "/exit/features", "none", "none");
  refuse(exit, "/exit/streak", 0, "streak");
  refuse(exit, "/exit/alpha", "x", "exit.alpha");
  refuse(exit, "/exit/exits", Json::array(), "exit.exits");
  refuse(exit, "/exit/exits/1/layer", 5, "exit.exits[1].layer");
  refuse(exit, "/exit/exits/1/layer", 1, "rising");
  refuse(exit, "/exit/exits/0/threshold", nullptr, "exit.exits[0].threshold");
  refuse(exit, "/exit/exits/0/threshold", kGone, "exit.exits[0].threshold: missing");
  refuse(a_route(Router::kRidge), "/fitted", Json::object(), "route.weight: missing");
}

TEST_F(Damaged, Arrays) {
  using Arrays = std::vector<NamedArray>;
  using Metadata = std::map<std::string, std::string>;
  const ExitRule exit = an_exit(Measure::kPrototype, true);
  refuse_arrays(
      exit, [](Arrays&, Metadata& m) { m.clear(); }, "not a policy file");
  refuse_arrays(
      exit, [](Arrays& a, Metadata&) { named(a, "exit.3.head.bias").name = "x"; },
      "exit.3.head.bias");
  refuse_arrays(
      exit,
      [](Arrays& a, Metadata&) {
        a.push_back({"extra", {1}, {1}});
      },
      "extra");
  refuse_arrays(
      exit,
      [](Arrays& a, Metadata&) {
        a.push_back({"layer.9.map", {1}, {1}});
      },
      "layer.9.map");
  refuse_arrays(
      exit,
      [](Arrays& a, Metadata&) {
        named(a, "layer.1.map").shape = {20, 80};
      },
      "layer.1.map");
  refuse_arrays(
      exit, [](Arrays& a, Metadata&) { named(a, "layer.1.map").values[3] = NAN; }, "finite");
  refuse_arrays(
      exit,
      [](Arrays& a, Metadata&) {
        named(a, "layer.2.post.mean").shape = {40, 1};
      },
      "layer.2.post.mean");
  refuse_arrays(
      exit,
      [](Arrays& a, Metadata&) {
        named(a, "exit.1.prototypes.scale") = {"exit.1.prototypes.scale", {1}, {1}};
      },
      "exit.1.prototypes.scale");
  refuse_arrays(
      exit, [](Arrays& a, Metadata&) { named(a, "exit.1.head.temperature").values = {0}; },
      "temperature");
  const RouteRule route = a_route(Router::kRidge);
  refuse_arrays(
      route,
      [](Arrays& a, Metadata&) {
        named(a, "route.weight").shape = {40, 2};
      },
      "route.weight");
  refuse_arrays(
      route, [](Arrays& a, Metadata&) { named(a, "route.bias").name = "x"; }, "route.bias");
  refuse_arrays(
      route, [](Arrays& a, Metadata&) { named(a, "route.bias").values[0] = INFINITY; },
      "route.bias");
}

TEST_F(Damaged, Files) {
  refuse_text("", "");
  refuse_text("{", "JSON");
  refuse_text("[]", "object");
  refuse_text("{}", "fathom_policy: missing");
  refuse_text(std::string(100, '\0'), "");
  EXPECT_THROW(read_policy_file(folder_.file("no such file")), Error);
  EXPECT_THROW(read_policy_file(folder_.path()), Error);
}

// Any change of bytes is refused or read; nothing worse.
TEST_F(Damaged, Bytes) {
  for (const PolicyRule& rule : std::vector<PolicyRule>{a_mask(), a_route(Router::kRidge),
                                                        an_exit(Measure::kLearned, false)}) {
    write_policy_file(folder_.file("good.policy"), file_for(model_, rule));
    const std::string good = read_whole(folder_.file("good.policy"));
    Random random(5);
    size_t n_refused = 0;
    for (int i = 0; i < 150; ++i) {
      std::string bad = good;
      for (int j = 0; j < 3; ++j)
        bad[random.below(std::min<size_t>(bad.size(), 2500))] =
            static_cast<char>(random.below(256));
      if (i % 3 == 0) bad.resize(random.below(bad.size()));
      try {
        read_policy_file(folder_.write("p.policy", bad));
      } catch (const Error&) {
        ++n_refused;
      }
    }
    EXPECT_GT(n_refused, 60u);
  }
}

}  // namespace
}  // namespace fathom::test::policy_file_test
