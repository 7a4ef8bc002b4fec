// SPDX-License-Identifier: Apache-2.0
// LoRA adapters: W + factor B A, from PEFT's folders, in the model's file and from torch-like files
// without a description; everything that is not plain LoRA is refused by name.
#include "model/adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/exported.h"
#include "model/stored_numbers.h"

namespace fathom::test::adapter_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::ThrowsMessage;

constexpr size_t kRank = 3;

Shape shape_for(Version version) {
  return {.version = version, .n_layer = 2, .d_model = 24, .d_ffn = 61, .seed = 9};
}

Json plain_config() {
  return {{"peft_type", "LORA"},
          {"r", kRank},
          {"lora_alpha", 7},
          {"bias", "none"},
          {"use_rslora", false},
          {"use_dora", false},
          {"modules_to_save", nullptr},
          {"rank_pattern", Json::object()},
          {"alpha_pattern", Json::object()},
          {"fan_in_fan_out", false},
          {"init_lora_weights", true},
          {"target_modules", {"key", "value"}},
          {"lora_dropout", 0.1},
          {"task_type", "CAUSAL_LM"}};
}

// lora_A (r, n_in) and lora_B (n_out, r) for a matrix of the model.
struct Pair {
  std::string weight;  // as the model's file calls it
  Array down, up;
};
Pair random_pair(const Array& weight, uint64_t seed, size_t rank = kRank) {
  Random random(seed);
  const auto numbers = [&](size_t n) {
    std::vector<float> v(n);
    for (float& x : v) x = static_cast<float>(static_cast<int>(random.next() % 2001) - 1000) / 4096;
    return v;
  };
  return {weight.name,
          {"lora_A", {rank, weight.shape[1]}, numbers(rank * weight.shape[1])},
          {"lora_B", {weight.shape[0], rank}, numbers(weight.shape[0] * rank)}};
}

Array& named(Arrays& arrays, const std::string& name) {
  return *std::ranges::find(arrays, name, &Array::name);
}

// W + factor B A, by the formula.
void add_to(Array& weight, const Pair& pair, double factor) {
  const size_t cols = weight.shape[1], rank = pair.down.shape[0];
  for (size_t r = 0; r < weight.shape[0]; ++r)
    for (size_t c = 0; c < cols; ++c) {
      double sum = 0;
      for (size_t k = 0; k < rank; ++k)
        sum += double{pair.up.values[r * rank + k]} * double{pair.down.values[k * cols + c]};
      float& w = weight.values[r * cols + c];
      w = static_cast<float>(double{w} + factor * sum);
    }
}

std::string module_of(const std::string& weight) {
  return weight.substr(0, weight.size() - std::string(".weight").size());
}

class AdapterTest : public testing::Test {
 protected:
  // Pairs for every linear layer of the blocks, and for the head.
  void make_pairs(const Arrays& arrays) {
    uint64_t seed = 100;
    for (const Array& a : arrays)
      if (is_linear(a) && a.name.find("emb") == std::string::npos)
        pairs_.push_back(random_pair(a, ++seed));
  }
  Arrays merged(Arrays arrays, double factor) const {
    for (const Pair& p : pairs_) add_to(named(arrays, p.weight), p, factor);
    return arrays;
  }
  Arrays adapter(const std::string& prefix, const std::string& down, const std::string& up) const {
    Arrays out;
    for (const Pair& p : pairs_) {
      out.push_back(renamed(p.down, prefix + module_of(p.weight) + down));
      out.push_back(renamed(p.up, prefix + module_of(p.weight) + up));
    }
    return out;
  }
  // PEFT's folder.
  fs::path peft(const Json& config) const {
    const fs::path folder = folder_.file("adapter");
    fs::create_directories(folder);
    write_arrays(folder / "adapter_model.safetensors",
                 adapter("base_model.model.", ".lora_A.weight", ".lora_B.weight"));
    std::ofstream(folder / "adapter_config.json") << config.dump();
    return folder;
  }
  Model open(const Arrays& arrays, const ModelOptions& options = {},
             const Backend& backend = reference_backend()) const {
    write_arrays(folder_.file("m.safetensors"), arrays);
    return Model::open(folder_.file("m.safetensors"), backend, options);
  }
  static void expect_same(const Model& model, const Model& plain, const std::string& what) {
    const auto ids = random_ids(9, 37, 3);
    Workspace work(1);
    ModelRun run = run_model(model, ids, 0, work), expected = run_model(plain, ids, 0, work);
    expect_same_run(run, expected, what);
  }

  TempFolder folder_;
  std::vector<Pair> pairs_;
};

TEST_F(AdapterTest, AreAddedToTheWeightsTheyWereMadeFor) {
  for (Version version : {Version::kV4, Version::kV6, Version::kV7}) {
    const SyntheticModel m = make_model(shape_for(version));
    pairs_.clear();
    make_pairs(m.arrays);
    ModelOptions options;
    for (const bool rank_stabilised : {false, true}) {
      Json config = plain_config();
      config["use_rslora"] = rank_stabilised;
      options.adapter = peft(config);
      const double factor = rank_stabilised ? 7 / std::sqrt(3.0) : 7 / 3.0;
      for (const Backend* backend : {&reference_backend(), &cpu_backend()}) {
        const Model model = open(m.arrays, options, *backend);
        const TempFolder other;
        write_arrays(other.file("m.st"), merged(m.arrays, factor));
        const Model plain = Model::open(other.file("m.st"), *backend);
        expect_same(model, plain, concat(name_of(version), rank_stabilised, backend->name()));
        ASSERT_EQ(model.info().adapters.size(), 1u);
        const AdapterInfo& info = model.info().adapters.front();
        EXPECT_EQ(info.source, (options.adapter / "adapter_model.safetensors").string());
        EXPECT_EQ(info.rank, kRank);
        EXPECT_EQ(info.alpha, 7);
        EXPECT_DOUBLE_EQ(info.factor, factor);
        EXPECT_EQ(info.n_weight, pairs_.size());
        EXPECT_THAT(model.info().notes, testing::Contains(HasSubstr("merged the LoRA adapter")));
      }
    }
  }
}

TEST_F(AdapterTest, AreFoundBesideTheWeightsOfOneFile) {
  const SyntheticModel m = make_model(shape_for(Version::kV7));
  make_pairs(m.arrays);
  // What torch.save writes of a model that PEFT wrapped.
  Arrays wrapped;
  for (const Array& a : m.arrays) {
    const bool changed =
        std::ranges::any_of(pairs_, [&](const Pair& p) { return p.weight == a.name; });
    wrapped.push_back(renamed(
        a, "base_model.model." + (changed ? module_of(a.name) + ".base_layer.weight" : a.name)));
  }
  for (Array& a : adapter("base_model.model.", ".lora_A.default.weight", ".lora_B.default.weight"))
    wrapped.push_back(std::move(a));
  EXPECT_THAT([&] { open(wrapped); },
              ThrowsMessage<Error>(AllOf(HasSubstr("lora_A"), HasSubstr("adapter_config.json"))));
  folder_.write("adapter_config.json", plain_config().dump());
  const Model model = open(wrapped);
  EXPECT_EQ(model.info().adapter_not_merged, "");
  EXPECT_THAT(model.info().ignored, IsEmpty());
  const TempFolder other;
  write_arrays(other.file("m.st"), merged(m.arrays, 7 / 3.0));
  expect_same(model, Model::open(other.file("m.st"), reference_backend()), "in one file");
  // Left out, the base is what remains.
  ModelOptions options;
  options.ignore_tensors = {"*.lora_?.*"};
  write_arrays(other.file("b.st"), m.arrays);
  expect_same(open(wrapped, options), Model::open(other.file("b.st"), reference_backend()), "base");
}

TEST_F(AdapterTest, OfBlinkDlsTrainersNeedAlpha) {
  const SyntheticModel m = make_model(shape_for(Version::kV6));
  make_pairs(m.arrays);
  write_arrays(folder_.file("lora.st"), adapter("", ".lora_A", ".lora_B"));
  ModelOptions options;
  options.adapter = folder_.file("lora.st");
  EXPECT_THAT([&] { open(m.arrays, options); },
              ThrowsMessage<Error>(AllOf(HasSubstr("lora.st"), HasSubstr("`adapter_alpha`"))));
  options.adapter_alpha = 5;
  const TempFolder other;
  write_arrays(other.file("m.st"), merged(m.arrays, 5 / 3.0));
  const Model expected = Model::open(other.file("m.st"), reference_backend());
  expect_same(open(m.arrays, options), expected, "a file");
  // The same matrices beside the weights.
  Arrays both = m.arrays;
  for (Array& a : adapter("", ".lora_A", ".lora_B")) both.push_back(std::move(a));
  options.adapter.clear();
  expect_same(open(both, options), expected, "in one file");
}

TEST_F(AdapterTest, FitTheSameModelInAnotherLayout) {
  const SyntheticModel m = make_model(shape_for(Version::kV7));
  const Arrays fla = fla_v7(m);
  for (const Array& a : fla)
    if (a.name.ends_with("attn.r_proj.weight") || a.name.ends_with("attn.o_proj.weight") ||
        a.name.ends_with("w_lora.lora.0.weight") || a.name.ends_with("w_lora.lora.2.weight"))
      pairs_.push_back(random_pair(a, 7 + a.name.size()));
  ASSERT_EQ(pairs_.size(), 8u);
  ModelOptions options;
  options.adapter = peft(plain_config());
  const TempFolder other;
  write_arrays(other.file("m.st"), merged(fla, 7 / 3.0));
  ModelOptions same_eps;
  same_eps.ln_x_eps = options.ln_x_eps = 64e-5f;
  const Model expected = Model::open(other.file("m.st"), reference_backend(), same_eps);
  expect_same(open(fla, options), expected, "fla on fla");
  expect_same(open(m.arrays, options), expected, "fla on BlinkDL");
}

TEST_F(AdapterTest, AreAddedToQuantisedWeights) {
  const SyntheticModel m = make_model(shape_for(Version::kV6));
  make_pairs(m.arrays);
  const StoredModel stored = store_random(m.arrays, kSchemes[0], 3);
  write_raw(folder_.file("q.st"), stored.tensors);
  write_arrays(folder_.file("f.st"), merged(stored.meaning, 7 / 3.0));
  ModelOptions options;
  options.adapter = peft(plain_config());
  expect_same(Model::open(folder_.file("q.st"), reference_backend(), options),
              Model::open(folder_.file("f.st"), reference_backend()), "int8");
}

TEST_F(AdapterTest, ExportsHoldTheMergedWeights) {
  const SyntheticModel m = make_model(shape_for(Version::kV6));
  make_pairs(m.arrays);
  write_arrays(folder_.file("m.st"), m.arrays);
  ModelOptions options;
  options.adapter = peft(plain_config());
  const Checkpoint checkpoint = Checkpoint::open(folder_.file("m.st"));
  ExportSource source(checkpoint, options);
  write_safetensors(folder_.file("out.st"), export_hugging_face(source, StoredType::kF32).tensors);
  write_arrays(folder_.file("f.st"), merged(m.arrays, 7 / 3.0));
  EXPECT_EQ(read_all(folder_.file("out.st")).at("rwkv.blocks.1.attention.key.weight").values,
            read_all(folder_.file("f.st")).at("blocks.1.att.key.weight").values);
  EXPECT_EQ(read_all(folder_.file("out.st")).at("head.weight").values,
            read_all(folder_.file("f.st")).at("head.weight").values);
}

TEST_F(AdapterTest, TheCacheOfPackedWeightsKnowsThem) {
  const SyntheticModel m = make_model(shape_for(Version::kV6));
  make_pairs(m.arrays);
  write_arrays(folder_.file("m.st"), m.arrays);
  ModelOptions base;
  base.cache.folder = folder_.file("cache");
  ModelOptions with = base;
  with.adapter = peft(plain_config());
  const auto open_as = [&](const ModelOptions& o) {
    return Model::open(folder_.file("m.st"), cpu_backend(), o);
  };
  ModelOptions uncached = with;
  uncached.cache = {};
  const Model plain = Model::open(folder_.file("m.st"), cpu_backend());
  const Model merged_model = open_as(uncached);
  for (int i = 0; i < 2; ++i) {
    expect_same(open_as(base), plain, concat("base ", i));
    expect_same(open_as(with), merged_model, concat("merged ", i));
  }
  EXPECT_THAT(open_as(with).info().messages, IsEmpty());  // two files, both right
  EXPECT_THAT(open_as(base).info().messages, IsEmpty());
  // Another alpha is another model, and so are other numbers.
  Json config = plain_config();
  config["lora_alpha"] = 8;
  peft(config);
  EXPECT_THAT(open_as(with).info().messages, testing::Contains(HasSubstr("written")));
  pairs_.front().up.values.front() += 1;
  peft(config);
  EXPECT_THAT(open_as(with).info().messages, testing::Contains(HasSubstr("written")));
}

TEST_F(AdapterTest, BesideAModelAndNotMergedAreANote) {
  const SyntheticModel m = make_model(shape_for(Version::kV6));
  make_pairs(m.arrays);
  EXPECT_EQ(open(m.arrays).info().adapter_not_merged, "");
  write_arrays(folder_.file("adapter_model.safetensors"),
               adapter("base_model.model.", ".lora_A.weight", ".lora_B.weight"));
  const Model beside = open(m.arrays);
  EXPECT_EQ(beside.info().adapter_not_merged, folder_.file("adapter_model.safetensors").string());
  EXPECT_THAT(beside.info().notes, testing::Contains(HasSubstr("is not merged")));
  EXPECT_THAT(beside.info().messages, testing::Contains(HasSubstr("is not merged")));
  // A folder with a model and an adapter is the model's.
  fs::rename(folder_.file("m.safetensors"), folder_.file("goose.pth"));
  EXPECT_NE(Model::open(folder_.path(), reference_backend()).info().adapter_not_merged, "");
  folder_.write("adapter_config.json", plain_config().dump());
  ModelOptions options;
  options.adapter = folder_.path();
  const Model both = Model::open(folder_.file("goose.pth"), reference_backend(), options);
  EXPECT_EQ(both.info().adapters.size(), 1u);
  EXPECT_EQ(both.info().adapter_not_merged, "");
}

TEST_F(AdapterTest, WithoutItsModelIsNoModel) {
  make_pairs(make_model(shape_for(Version::kV7)).arrays);
  const fs::path folder = peft(plain_config());
  EXPECT_THAT([&] { Model::open(folder, reference_backend()); },
              ThrowsMessage<Error>(AllOf(HasSubstr("adapter without its model"),
                                         HasSubstr("`adapter`"), HasSubstr(folder.string()))));
}

TEST_F(AdapterTest, WhatIsNotPlainIsRefusedByName) {
  struct Case {
    const char* key;
    Json value;
  };
  const SyntheticModel m = make_model(shape_for(Version::kV6));
  make_pairs(m.arrays);
  ModelOptions options;
  for (const Case& c : {Case{"use_dora", true},
                        Case{"bias", "all"},
                        Case{"bias", "lora_only"},
                        Case{"modules_to_save", {"head"}},
                        Case{"rank_pattern", {{"key", 8}}},
                        Case{"alpha_pattern", {{"key", 8}}},
                        Case{"fan_in_fan_out", true},
                        Case{"init_lora_weights", "pissa"},
                        Case{"init_lora_weights", "olora"},
                        Case{"init_lora_weights", "loftq"},
                        Case{"peft_type", "IA3"},
                        Case{"peft_type", nullptr},
                        Case{"lora_bias", true},
                        Case{"layer_replication", {{0, 2}, {1, 3}}},
                        Case{"trainable_token_indices", {1, 2}},
                        Case{"target_parameters", {"att.w1"}},
                        Case{"use_qalora", true},
                        Case{"alora_invocation_tokens", {1}},
                        Case{"something_new", 3},
                        Case{"r", 4},
                        Case{"r", 0},
                        Case{"r", "x"},
                        Case{"lora_alpha", nullptr}}) {
    Json config = plain_config();
    config[c.key] = c.value;
    options.adapter = peft(config);
    const std::string name = c.key;
    EXPECT_THAT([&] { open(m.arrays, options); },
                ThrowsMessage<Error>(AllOf(HasSubstr(name), HasSubstr("adapter"))))
        << c.key << " " << c.value;
  }
}

TEST_F(AdapterTest, TensorsThatAreNoPairsAreRefusedByName) {
  const SyntheticModel m = make_model(shape_for(Version::kV6));
  ModelOptions options;
  const auto refused = [&](const Arrays& arrays, const std::vector<std::string>& words) {
    const fs::path folder = peft(plain_config());
    write_arrays(folder / "adapter_model.safetensors", arrays);
    options.adapter = folder;
    for (const std::string& word : words)
      EXPECT_THAT([&] { open(m.arrays, options); }, ThrowsMessage<Error>(HasSubstr(word)));
  };
  const std::string key = "base_model.model.blocks.0.att.key";
  const auto zeros = [](const std::string& name, std::vector<size_t> shape) {
    size_t n = 1;
    for (size_t d : shape) n *= d;
    return Array{name, std::move(shape), std::vector<float>(n)};
  };
  const Array a = zeros(key + ".lora_A.weight", {3, 24}),
              b = zeros(key + ".lora_B.weight", {24, 3});
  refused({a, b, zeros(key + ".lora_magnitude_vector", {24})}, {"lora_magnitude_vector", "DoRA"});
  refused({a, b, zeros("base_model.model.head.weight", {37, 24})}, {"head.weight", "lora_A"});
  refused({a, b, zeros("base_model.model.emb.lora_embedding_A", {3, 37})}, {"lora_embedding_A"});
  refused({a, b, zeros(key + ".lora_B.bias", {24})}, {"lora_B.bias"});
  refused({a, b, zeros(key + ".bone", {24})}, {"Bone"});
  refused({a}, {"blocks.0.att.key", "lora_B", "only"});
  refused({a, zeros(key + ".lora_B.weight", {24, 2})}, {"same rank"});
  refused({a, zeros(key + ".lora_B.weight", {23, 3})}, {"does not fit", "(23, 24)", "(24, 24)"});
  refused({a, b, zeros(key + ".lora_A.other.weight", {3, 24})}, {"second adapter"});
  refused({zeros("base_model.model.blocks.0.att.nothing.lora_A.weight", {3, 24}),
           zeros("base_model.model.blocks.0.att.nothing.lora_B.weight", {24, 3})},
          {"change no weight", "att.nothing"});
  refused({zeros("base_model.model.blocks.7.att.key.lora_A.weight", {3, 24}),
           zeros("base_model.model.blocks.7.att.key.lora_B.weight", {24, 3})},
          {"change no weight", "blocks.7"});
}

}  // namespace
}  // namespace fathom::test::adapter_test
