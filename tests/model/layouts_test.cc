// SPDX-License-Identifier: Apache-2.0
// One model gives the same hidden states, bit for bit, from every layout that programs store it in;
// and what else depends on the layout: the group norm's epsilon, the rescale, the head size.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "model/run_model.h"

namespace fathom::test::layouts_test {
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
TEST(Layouts, LoraRanksOfAnySizeInEveryLayout) {
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

TEST(Layouts, RescaleOfGgufIsUndoneAndSaid) {
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

TEST(Layouts, EpsilonOfTheGroupNormFollowsTheProgramThatWroteTheFile) {
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

TEST(Layouts, ConfigJsonGivesEpsilonsButNotShapes) {
  const SyntheticModel m = make_model(small(Version::kV6));
  const TempFolder folder;
  write_hugging_face(folder.path(), m);
  folder.write("config.json", R"({"hidden_size": 24, "num_hidden_layers": 2, "head_size": 3,
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

TEST(Layouts, FlatTensorsNeedAHeadSizeFromTheMetadata) {
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
    EXPECT_THAT(
        [&] {
          open({{"rwkv7.wkv.head_size", wrong}});
        },
        ThrowsMessage<Error>(AllOf(HasSubstr("head size"), HasSubstr("m.gguf"))));
  EXPECT_THAT([&] { open({}); }, ThrowsMessage<Error>(HasSubstr("head size")));
}

}  // namespace
}  // namespace fathom::test::layouts_test
