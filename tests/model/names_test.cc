// SPDX-License-Identifier: Apache-2.0
// What a checkpoint is found to be from its tensors' names and shapes, what is refused and how, and
// that one model gives the same hidden states, bit for bit, from every layout it is stored in.
#include "model/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "model/run_model.h"

namespace fathom::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

Shape small(Version version, size_t n_layer = 2) {
  Shape s;
  s.version = version;
  s.n_layer = n_layer;
  return s;
}

// ---- layouts

// How one program stores a model: writes it and returns what to open.
struct Layout {
  const char* name;
  Version version;
  TensorLayout expected;
  std::function<std::filesystem::path(const TempFolder&, const SyntheticModel&)> write;
  size_t n_layer = 2;
  bool log_bonus = false;
};

template <class F>
auto as_arrays(F to_arrays) {
  return [to_arrays](const TempFolder& folder, const SyntheticModel& m) {
    write_arrays(folder.file("m.safetensors"), to_arrays(m));
    return folder.file("m.safetensors");
  };
}

template <class F>
auto with_names(F rename) {
  return as_arrays([rename](const SyntheticModel& m) {
    Arrays out;
    for (const Array& a : m.arrays) out.push_back(renamed(a, rename(a.name)));
    return out;
  });
}

std::filesystem::path in_hugging_face(const TempFolder& folder, const SyntheticModel& m) {
  write_hugging_face(folder.path(), m);
  return folder.path();
}
std::filesystem::path in_rwkv_cpp(const TempFolder& folder, const SyntheticModel& m) {
  write_rwkv_cpp(folder.file("m.bin"), m);
  return folder.file("m.bin");
}
auto in_gguf(size_t rescale_every) {
  return [rescale_every](const TempFolder& folder, const SyntheticModel& m) {
    write_gguf_model(folder.file("m.gguf"), m, gguf(m, rescale_every), rescale_every);
    return folder.file("m.gguf");
  };
}
// Files of old converters: five vectors instead of one fused.
std::filesystem::path in_old_gguf(const TempFolder& folder, const SyntheticModel& m) {
  Arrays arrays;
  for (const Array& a : gguf(m))
    if (!a.name.ends_with("lerp_fused.weight")) arrays.push_back(a);
  for (size_t i = 0; i < m.shape.n_layer; ++i)
    for (const char* f : {"w", "k", "v", "r", "g"})
      arrays.push_back(reshaped(renamed(m.get(i, concat("att.time_maa_", f)),
                                        concat("blk.", i, ".time_mix_lerp_", f, ".weight")),
                                {m.shape.d_model}));
  write_gguf_model(folder.file("m.gguf"), m, arrays);
  return folder.file("m.gguf");
}
// Every vector padded to three dimensions, as ggml may write them.
std::filesystem::path in_padded_gguf(const TempFolder& folder, const SyntheticModel& m) {
  Arrays arrays = gguf(m);
  for (Array& a : arrays)
    if (a.shape.size() == 1) a.shape = {1, 1, a.shape[0]};
  write_gguf_model(folder.file("m.gguf"), m, arrays);
  return folder.file("m.gguf");
}

std::string community(const std::string& name) {  // Rwkv7ForCausalLM
  std::string s = replaced(replaced(name, ".att.", ".attention."), ".ffn.", ".feed_forward.");
  s = replaced(replaced(s, "blocks.0.ln0.", "pre_ln."), "emb.weight", "embeddings.weight");
  return s == "head.weight" ? s : "model." + s;
}
std::string other_aliases(const std::string& name) {
  return "model." + replaced(replaced(name, ".att.", ".self_attn."), "blocks.", "layers.");
}
std::string with_time_mixer(const std::string& name) {
  return replaced(name, ".att.", ".attention.time_mixer.");
}

std::vector<Layout> layouts() {
  using L = TensorLayout;
  const auto v7_fused = as_arrays([](const SyntheticModel& m) { return fla_v7(m, true); });
  const auto v7_split = as_arrays([](const SyntheticModel& m) { return fla_v7(m); });
  return {
      {"HuggingFace4", Version::kV4, L::kHuggingFace, in_hugging_face},
      {"HuggingFace5_0", Version::kV5_0, L::kHuggingFace, in_hugging_face},
      {"HuggingFace5_1", Version::kV5_1, L::kHuggingFace, in_hugging_face},
      {"HuggingFace5_2", Version::kV5_2, L::kHuggingFace, in_hugging_face},
      {"HuggingFace6", Version::kV6, L::kHuggingFace, in_hugging_face},
      {"Fla6", Version::kV6, L::kFla, as_arrays(fla_v6)},
      {"Fla7", Version::kV7, L::kFla, v7_split},
      {"Fla7Old", Version::kV7, L::kFla, v7_fused},
      {"WebRwkv5_2", Version::kV5_2, L::kWebRwkv, as_arrays(web_rwkv)},
      {"WebRwkv6", Version::kV6, L::kWebRwkv, as_arrays(web_rwkv)},
      {"WebRwkv7", Version::kV7, L::kWebRwkv, as_arrays(web_rwkv)},
      {"RwkvCpp4", Version::kV4, L::kGgmf, in_rwkv_cpp},
      {"RwkvCpp5_0", Version::kV5_0, L::kGgmf, in_rwkv_cpp},
      {"RwkvCpp5_0Log", Version::kV5_0, L::kGgmf, in_rwkv_cpp, 2, true},
      {"RwkvCpp5_1Log", Version::kV5_1, L::kGgmf, in_rwkv_cpp, 2, true},
      {"RwkvCpp5_2", Version::kV5_2, L::kGgmf, in_rwkv_cpp},
      {"RwkvCpp6", Version::kV6, L::kGgmf, in_rwkv_cpp},
      {"RwkvCpp7", Version::kV7, L::kGgmf, in_rwkv_cpp},
      {"Gguf6", Version::kV6, L::kGguf, in_gguf(0)},
      {"Gguf6Rescaled", Version::kV6, L::kGguf, in_gguf(2), 5},
      {"Gguf6Old", Version::kV6, L::kGguf, in_old_gguf},
      {"Gguf6Padded", Version::kV6, L::kGguf, in_padded_gguf},
      {"Gguf7", Version::kV7, L::kGguf, in_gguf(0)},
      {"Gguf7Padded", Version::kV7, L::kGguf, in_padded_gguf},
      {"Community7", Version::kV7, L::kHuggingFace, with_names(community)},
      {"Aliases6", Version::kV6, L::kBlinkDl, with_names(other_aliases)},
      {"Aliases7", Version::kV7, L::kBlinkDl, with_names(other_aliases)},
      {"TimeMixer7", Version::kV7, L::kBlinkDl, with_names(with_time_mixer)},
  };
}

class EveryLayout : public testing::TestWithParam<Layout> {};
INSTANTIATE_TEST_SUITE_P(Layouts, EveryLayout, testing::ValuesIn(layouts()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(EveryLayout, GivesTheHiddenStatesOfBlinkDlsFile) {
  const Layout& layout = GetParam();
  Shape shape = small(layout.version, layout.n_layer);
  shape.log_bonus = layout.log_bonus;
  const SyntheticModel m = make_model(shape);
  const auto ids = random_ids(12, shape.n_vocab, 5);
  ModelOptions options;  // layouts differ in their default
  options.ln_x_eps = 3e-4f;
  Workspace work(1);
  const Model plain = open_blinkdl(m, cpu_backend(), options);
  ModelRun expected = run_model(plain, ids, 0, work);

  const TempFolder folder;
  const Model model = Model::open(layout.write(folder, m), cpu_backend(), options);
  EXPECT_EQ(model.config().version, layout.version);
  EXPECT_EQ(model.info().layout, layout.expected) << name_of(model.info().layout);
  EXPECT_EQ(model.config().head_size, plain.config().head_size);
  EXPECT_EQ(model.info().n_parameter, plain.info().n_parameter);
  EXPECT_THAT(model.info().ignored, ElementsAre());
  ModelRun run = run_model(model, ids, 0, work);
  expect_same_run(run, expected, layout.name);
}

// A rank above d_model, so that "the smaller side is the rank" would be wrong; and rank 1.
TEST(Names, LoraRanksOfAnySizeInEveryLayout) {
  for (const size_t rank : {1, 31}) {
    for (const Layout& layout : layouts()) {
      if (layout.version < Version::kV6) continue;
      Shape shape = small(layout.version, layout.n_layer);
      shape.rank = {.mix = rank, .decay = rank, .iclr = rank, .value = rank, .gate = rank};
      const SyntheticModel m = make_model(shape);
      const TempFolder folder;
      const Model model = Model::open(layout.write(folder, m), reference_backend());
      EXPECT_EQ(model.config().rank.decay, rank) << layout.name;
      EXPECT_EQ(model.info().layout, layout.expected) << layout.name;
    }
  }
}

TEST(Names, RescaleOfGgufIsUndoneAndSaid) {
  const SyntheticModel m = make_model(small(Version::kV6, 5));
  const TempFolder folder;
  write_gguf_model(folder.file("m.gguf"), m, gguf(m, 2), 2);
  const Model model = Model::open(folder.file("m.gguf"), reference_backend());
  EXPECT_THAT(model.info().notes, Contains(HasSubstr("rescale by 2 every 2 layers")));
  // A Hugging Face directory names a rescale too, but its stored weights are not divided.
  write_hugging_face(folder.path(), m);
  const Model hf = Model::open(folder.path(), reference_backend());
  EXPECT_THAT(hf.info().notes, testing::Not(Contains(HasSubstr("rescale"))));
}

// ---- group norm epsilon

TEST(Names, EpsilonOfTheGroupNormFollowsTheProgramThatWroteTheFile) {
  const auto open = [](const SyntheticModel& m, const auto& write) {
    const TempFolder folder;
    return Model::open(write(folder, m), reference_backend());
  };
  const SyntheticModel v5 = make_model(small(Version::kV5_2)), v6 = make_model(small(Version::kV6)),
                       v7 = make_model(small(Version::kV7));
  const auto fla7 = as_arrays([](const SyntheticModel& m) { return fla_v7(m); });
  const auto plain = with_names([](const std::string& name) { return name; });
  EXPECT_FLOAT_EQ(open(v6, plain).config().ln_x_eps, 64e-5f);
  EXPECT_FLOAT_EQ(open(v7, plain).config().ln_x_eps, 64e-5f);
  EXPECT_FLOAT_EQ(open(v5, plain).config().ln_x_eps, 64e-5f);
  EXPECT_FLOAT_EQ(open(v5, in_hugging_face).config().ln_x_eps, 64e-5f);
  EXPECT_FLOAT_EQ(open(v6, in_hugging_face).config().ln_x_eps, 64e-5f);
  EXPECT_FLOAT_EQ(open(v6, as_arrays(fla_v6)).config().ln_x_eps, 64e-5f);
  EXPECT_FLOAT_EQ(open(v7, fla7).config().ln_x_eps, 8e-5f);  // head size 8
  EXPECT_FLOAT_EQ(open(v5, in_rwkv_cpp).config().ln_x_eps, 1e-5f);
  EXPECT_FLOAT_EQ(open(v6, in_rwkv_cpp).config().ln_x_eps, 64e-5f);
  EXPECT_FLOAT_EQ(open(v7, in_rwkv_cpp).config().ln_x_eps, 64e-5f);
  EXPECT_THAT(open(v5, in_rwkv_cpp).info().ln_x_eps_reason, HasSubstr("rwkv.cpp"));
  EXPECT_THAT(open(v7, fla7).info().ln_x_eps_reason, HasSubstr("head_dim"));
  EXPECT_THAT(open(make_model(small(Version::kV4)), plain).info().ln_x_eps_reason,
              HasSubstr("no group norm"));
}

TEST(Names, ConfigJsonGivesEpsilonsButNotShapes) {
  const SyntheticModel m = make_model(small(Version::kV6));
  const TempFolder folder;
  write_hugging_face(folder.path(), m);
  folder.write("config.json", R"({"hidden_size": 999, "num_hidden_layers": 7, "head_size": 3,
    "num_attention_heads": 64, "intermediate_size": null, "layer_norm_epsilon": 1e-6,
    "head_size_divisor": 4, "architectures": ["SomethingElse"]})");
  const Model model = Model::open(folder.path(), reference_backend());
  EXPECT_EQ(model.config().d_model, 24u);
  EXPECT_EQ(model.config().n_layer, 2u);
  EXPECT_EQ(model.config().head_size, 8u);
  EXPECT_EQ(model.config().d_ffn, 61u);
  EXPECT_EQ(model.config().n_vocab, 37u);
  EXPECT_FLOAT_EQ(model.config().ln_eps, 1e-6f);
  EXPECT_FLOAT_EQ(model.config().ln_x_eps, 16e-5f);  // always 1e-5 * divisor^2
}

TEST(Names, FlatTensorsNeedAHeadSizeFromTheMetadata) {
  const SyntheticModel m = make_model(small(Version::kV7));
  const TempFolder folder;
  std::vector<TensorToWrite> tensors;
  const Arrays arrays = gguf(m);
  for (const Array& a : arrays) tensors.push_back(to_write(a));
  const auto open = [&](const GgufMetadata& more) {
    GgufMetadata meta = {{"general.architecture", std::string("rwkv7")}};
    meta.insert(meta.end(), more.begin(), more.end());
    write_gguf(folder.file("m.gguf"), meta, tensors);
    return Model::open(folder.file("m.gguf"), reference_backend()).config().head_size;
  };
  EXPECT_EQ(open({{"rwkv7.wkv.head_size", uint32_t{12}}}), 12u);
  for (const uint32_t wrong : {0u, 7u, 48u})
    EXPECT_THAT([&] { open({{"rwkv7.wkv.head_size", wrong}}); },
                ThrowsMessage<Error>(AllOf(HasSubstr("head size"), HasSubstr("m.gguf"))));
  EXPECT_THAT([&] { open({}); }, ThrowsMessage<Error>(HasSubstr("head size")));
}

// ---- what it is

// Names of a model with some arrays changed.
struct Opened {
  TempFolder folder;
  Checkpoint checkpoint;
  Names names;

  explicit Opened(const Arrays& arrays, const std::string& prefix = "")
      : checkpoint([&] {
          write_arrays(folder.file("m.safetensors"), arrays);
          return Checkpoint::open(folder.file("m.safetensors"));
        }()),
        names(checkpoint, prefix) {}
};

TEST(Names, VersionComesFromNamesAndShapes) {
  for (Version v : {Version::kV4, Version::kV5_0, Version::kV5_1, Version::kV5_2, Version::kV6,
                    Version::kV7}) {
    const Opened opened(make_model(small(v, 3)).arrays);
    EXPECT_EQ(opened.names.version(), v) << name_of(v);
    EXPECT_EQ(opened.names.layout(), TensorLayout::kBlinkDl);
    EXPECT_EQ(opened.names.n_layer(), 3u);
  }
}

TEST(Names, DecayShapesTellTheKindsOfV5) {
  struct Case {
    std::vector<size_t> shape;
    Version expected;
  };
  for (const Case& c : {Case{{3}, Version::kV5_1}, Case{{3, 1}, Version::kV5_1},
                        Case{{3, 1, 1}, Version::kV5_1}, Case{{3, 8}, Version::kV5_2},
                        Case{{3, 8, 1}, Version::kV5_2}, Case{{1, 24}, Version::kV5_2},
                        Case{{1, 24, 1}, Version::kV5_2}}) {
    SyntheticModel m = make_model(small(Version::kV5_2));
    for (Array& a : m.arrays) {
      if (!a.name.ends_with("time_decay") && !a.name.ends_with("time_faaaa")) continue;
      a.shape = c.shape;
      size_t n = 1;
      for (size_t d : c.shape) n *= d;
      a.values.resize(n);
    }
    EXPECT_EQ(Opened(m.arrays).names.version(), c.expected) << testing::PrintToString(c.shape);
  }
}

TEST(Names, ADecayForEachChannelWantsAGate) {
  SyntheticModel m = make_model(small(Version::kV5_2));
  for (const char* name : {"blocks.0.att.gate.weight", "blocks.1.att.gate.weight"}) m.remove(name);
  EXPECT_THAT([&] { open_blinkdl(m, reference_backend()); },
              ThrowsMessage<Error>(HasSubstr("att.gate.weight")));
}

TEST(Names, TheFirstSignThatFitsDecides) {
  // A stray tensor of an older version does not make a model older.
  SyntheticModel m = make_model(small(Version::kV7));
  const Array stray = {"blocks.0.att.time_maa_x", {1, 1, 24}, std::vector<float>(24)};
  m.arrays.push_back(stray);
  const Opened opened(m.arrays);
  EXPECT_EQ(opened.names.version(), Version::kV7);
  const Model model = open_blinkdl(m, reference_backend());
  EXPECT_THAT(model.info().ignored, ElementsAre("blocks.0.att.time_maa_x"));
}

TEST(Names, NewerAndMixedModelsAreRefusedByName) {
  struct Case {
    const char *tensor, *message;
  };
  for (const Case& c : {Case{"blocks.0.ffn.s_emb.weight", "RWKV-7a"},
                        Case{"blocks.1.qkv.w_q.weight", "RWKV-7b"},
                        Case{"blocks.0.ffn.enn.weight", "RWKV-8"},
                        Case{"blocks.1.att.q_proj.weight", "attention"},
                        Case{"model.layers.1.attn.q_proj.weight", "attention"},
                        Case{"model.layers.1.self_attn.q_proj.weight", "attention"},
                        Case{"model.layers.0.mlp.gate_proj.weight", "Qwen"},
                        Case{"blk.0.attn_q.weight", "attention"},
                        Case{"blk.0.attn_qkv.weight", "attention"},
                        Case{"blk.0.ffn_gate.weight", "Qwen"}}) {
    SyntheticModel m = make_model(small(Version::kV7));
    m.arrays.push_back({c.tensor, {2, 2}, std::vector<float>(4)});
    const TempFolder folder;
    write_arrays(folder.file("x.safetensors"), m.arrays);
    EXPECT_THAT([&] { Model::open(folder.file("x.safetensors"), reference_backend()); },
                ThrowsMessage<Error>(AllOf(HasSubstr(c.message), HasSubstr("x.safetensors"),
                                           HasSubstr("expected"))))
        << c.tensor;
  }
  // v7b holds v7a's tensors as well.
  SyntheticModel m = make_model(small(Version::kV7));
  for (const char* name : {"blocks.0.ffn.s_emb.weight", "blocks.0.qkv.w_q.weight"})
    m.arrays.push_back({name, {2, 2}, std::vector<float>(4)});
  EXPECT_THAT([&] { Opened opened(m.arrays); }, ThrowsMessage<Error>(HasSubstr("RWKV-7b")));
}

TEST(Names, WhatIsNoRwkvIsRefused) {
  const auto refusal = [](const Arrays& arrays) {
    try {
      Opened opened(arrays);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  const std::vector<float> four(4);
  EXPECT_THAT(refusal({{"bert.embeddings.weight", {2, 2}, four}}),
              AllOf(HasSubstr("no RWKV model"), HasSubstr("bert.embeddings.weight")));
  EXPECT_THAT(refusal({{"blocks.0.attn.weight", {2, 2}, four}}), HasSubstr("no RWKV model"));
  // A block number that no file of this size can have must not become an allocation.
  EXPECT_THAT(refusal({{"blocks.99999999999.att.time_first", {4}, four}}),
              HasSubstr("no RWKV model"));
  // Two spellings of one weight.
  EXPECT_THAT(refusal({{"blocks.0.att.time_first", {4}, four},
                       {"rwkv.blocks.0.attention.time_first", {4}, four}}),
              HasSubstr("two tensors mean"));
}

TEST(Names, EverySingleMissingTensorIsNamed) {
  for (Version v : {Version::kV4, Version::kV5_0, Version::kV5_1, Version::kV5_2, Version::kV6,
                    Version::kV7}) {
    const SyntheticModel whole = make_model(small(v));
    const TempFolder folder;
    for (const Array& a : whole.arrays) {
      if (a.name == "head.weight") continue;  // embeddings need none
      SyntheticModel m = whole;
      m.remove(a.name);
      write_arrays(folder.file("m.safetensors"), m.arrays);
      std::string name = a.name;
      if (name.find(".ln0.") != std::string::npos) name = name.substr(9);
      // Block 0's decay tells the kinds of v5 apart, so it is missed before the version is known.
      const bool tells = name == "blocks.0.att.time_decay" && v > Version::kV4 && v < Version::kV6;
      if (tells) name = "att.time_decay";
      EXPECT_THAT([&] { Model::open(folder.file("m.safetensors"), reference_backend()); },
                  ThrowsMessage<Error>(AllOf(HasSubstr(tells ? "expected it" : "missing tensor"),
                                             HasSubstr(name), HasSubstr("RWKV-"),
                                             HasSubstr("m.safetensors"))))
          << a.name;
    }
  }
}

TEST(Names, EverySingleWrongShapeIsNamed) {
  for (Version v : {Version::kV4, Version::kV5_0, Version::kV5_1, Version::kV5_2, Version::kV6,
                    Version::kV7}) {
    const SyntheticModel whole = make_model(small(v));
    const TempFolder folder;
    for (size_t i = 0; i < whole.arrays.size(); ++i) {
      SyntheticModel m = whole;
      Array& a = m.arrays[i];
      a.shape.back() += 1;  // one column, or element, too many
      size_t n = 1;
      for (size_t d : a.shape) n *= d;
      a.values.resize(n);
      write_arrays(folder.file("m.safetensors"), m.arrays);
      EXPECT_THROW(Model::open(folder.file("m.safetensors"), reference_backend()), Error)
          << name_of(v) << " " << a.name;
    }
  }
}

TEST(Names, AWrongShapeIsExplained) {
  SyntheticModel m = make_model(small(Version::kV6));
  for (Array& a : m.arrays) {
    if (a.name == "blocks.1.ffn.value.weight") a = transposed(a);
  }
  EXPECT_THAT([&] { open_blinkdl(m, reference_backend()); },
              ThrowsMessage<Error>(AllOf(HasSubstr("blocks.1.ffn.value.weight"),
                                         HasSubstr("expected (24, 61)"), HasSubstr("got (61, 24)"))));
  m = make_model(small(Version::kV6));
  for (Array& a : m.arrays) {
    if (a.name != "blocks.1.ln2.bias") continue;
    a.shape = {7};
    a.values.resize(7);
  }
  EXPECT_THAT([&] { open_blinkdl(m, reference_backend()); },
              ThrowsMessage<Error>(AllOf(HasSubstr("blocks.1.ln2.bias"), HasSubstr("expected 24"),
                                         HasSubstr("got 7"))));
}

// ---- the lookups themselves

TEST(Names, FindsUsedAndUnusedTensors) {
  SyntheticModel m = make_model(small(Version::kV6));
  m.arrays.push_back({"extra.bias", {2}, std::vector<float>(2)});
  m.arrays.push_back({"blocks.1.att.nothing", {2}, std::vector<float>(2)});
  const Model model = open_blinkdl(m, reference_backend());
  EXPECT_THAT(model.info().ignored, ElementsAre("extra.bias", "blocks.1.att.nothing"));

  Opened opened(m.arrays);
  EXPECT_EQ(opened.names.unused().size(), m.arrays.size());
  EXPECT_TRUE(opened.names.has("att.key.weight", 1));
  EXPECT_FALSE(opened.names.has("att.key.weight", 2));
  EXPECT_FALSE(opened.names.has("att.key.weight"));
  EXPECT_EQ(opened.names.find("att.w1", 0), std::nullopt);
  EXPECT_EQ(opened.names.unused().size(), m.arrays.size());  // only find() and get() use
  ASSERT_TRUE(opened.names.find("att.key.weight", 1));
  EXPECT_EQ(opened.names.unused().size(), m.arrays.size() - 1);
  const Tensor* stored = opened.names.stored("att.time_maa_w1", 0);
  ASSERT_TRUE(stored);
  EXPECT_THAT(stored->shape, ElementsAre(24, 15));
}

TEST(Names, MatricesAreOutTimesInAndReadableByRows) {
  const SyntheticModel m = make_model(small(Version::kV6));
  Opened opened(m.arrays);
  const Array& w1 = m.get(1, "att.time_maa_w1");  // (24, 15)
  const SourceWeight source = opened.names.get("att.time_maa_w1", 1);
  ASSERT_EQ(source.rows(), 15u);
  ASSERT_EQ(source.cols(), 24u);
  std::vector<float> rows(3 * 24);
  read_rows(source, 4, 7, rows.data());
  for (size_t r = 0; r < 3; ++r)
    for (size_t c = 0; c < 24; ++c) EXPECT_EQ(rows[r * 24 + c], w1.values[c * 15 + r + 4]);

  const Array& w2 = m.get(1, "att.time_maa_w2");  // (5, 3, 24), group v is the third
  const SourceWeight group = opened.names.get("att.time_maa_w2.v", 1);
  ASSERT_EQ(group.rows(), 24u);
  ASSERT_EQ(group.cols(), 3u);
  std::vector<float> all(72);
  read_rows(group, 0, 24, all.data());
  for (size_t r = 0; r < 24; ++r)
    for (size_t c = 0; c < 3; ++c) EXPECT_EQ(all[r * 3 + c], w2.values[(2 * 3 + c) * 24 + r]);
}

TEST(Names, RowsOfAWeightInPartsCrossTheirBorders) {
  const SyntheticModel m = make_model(small(Version::kV6));
  Opened blinkdl(m.arrays), fla(fla_v6(m));
  const SourceWeight a = blinkdl.names.get("att.time_maa_w1", 0);
  SourceWeight b = fla.names.get("att.time_maa_w1", 0);
  EXPECT_EQ(b.parts.size(), 5u);
  for (size_t begin = 0; begin < 15; ++begin)
    for (size_t end = begin; end <= 15; ++end) {
      std::vector<float> x((end - begin) * 24), y(x.size());
      read_rows(a, begin, end, x.data());
      read_rows(b, begin, end, y.data());
      EXPECT_EQ(x, y) << begin << " " << end;
    }
  b.scale = 4;
  std::vector<float> x(15 * 24), y(15 * 24);
  read_rows(a, 0, 15, x.data());
  read_rows(b, 0, 15, y.data());
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(4 * x[i], y[i]);
}

TEST(Names, APrefixSelectsOneModelOfSeveral) {
  const SyntheticModel m = make_model(small(Version::kV7)), other = make_model(small(Version::kV6));
  SyntheticModel both = m;
  for (Array& a : both.arrays) a.name = "reranker." + a.name;
  for (const Array& a : other.arrays) both.arrays.push_back(a);
  ModelOptions options;
  options.prefix = "reranker.";
  const Model model = open_blinkdl(both, reference_backend(), options);
  EXPECT_EQ(model.config().version, Version::kV7);
  EXPECT_THAT(model.info().ignored, ElementsAre());
  const auto ids = random_ids(7, 37, 1);
  Workspace work(1);
  const Model plain = open_blinkdl(m, reference_backend());
  ModelRun run = run_model(model, ids, 0, work), expected = run_model(plain, ids, 0, work);
  expect_same_run(run, expected, "prefix");
  options.prefix = "nothing.";
  EXPECT_THAT([&] { open_blinkdl(both, reference_backend(), options); },
              ThrowsMessage<Error>(HasSubstr("no RWKV model")));
}

TEST(Names, EverythingHasAName) {
  EXPECT_EQ(name_of(Version::kV5_1), "5.1");
  EXPECT_EQ(name_of(Version::kV7), "7");
  EXPECT_EQ(name_of(TensorLayout::kGgmf), "rwkv.cpp");
  EXPECT_EQ(name_of(TensorLayout::kFla), "fla");
}

}  // namespace
}  // namespace fathom::test
