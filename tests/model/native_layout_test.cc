// SPDX-License-Identifier: Apache-2.0
// transformers' own RWKV-7 (docs/layouts.md): every combination of its spellings gives the bits of
// the same weights in BlinkDL's layout; what its config.json says of tensors that are not there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/inspect.h"
#include "model/run_model.h"

namespace fathom::test::native_layout_test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::ThrowsMessage;

Shape v7(size_t n_layer = 2) {
  Shape s;
  s.version = Version::kV7;
  s.n_layer = n_layer;
  return s;
}

Array& array_of(SyntheticModel& m, const std::string& name) {
  for (Array& a : m.arrays)
    if (a.name == name) return a;
  throw Error("no " + name);
}

// What ln0 makes of every row of the table, as this backend computes it.
std::vector<float> normalised_table(const SyntheticModel& m, const Backend& backend) {
  const Model model = open_blinkdl(m, backend);
  std::vector<uint32_t> ids(m.shape.n_vocab);
  for (uint32_t i = 0; i < ids.size(); ++i) ids[i] = i;
  Workspace work(1);
  const auto x = work.matrix(Workspace::kResidual, ids.size(), m.shape.d_model);
  model.embed(ids, x, work);
  return {x.data(), x.data() + ids.size() * m.shape.d_model};
}

// ---- files

enum class File { kSafetensors, kShards, kTorch };

// A Hugging Face directory.
void write_native(const TempFolder& folder, const Arrays& arrays, File file, const Json& config) {
  folder.write("config.json", config.dump());
  if (file == File::kTorch) {
    folder.write("pytorch_model.bin", pth(arrays));
  } else if (file == File::kSafetensors) {
    write_arrays(folder.file("model.safetensors"), arrays);
  } else {
    Json map;
    Arrays shards[2];
    for (size_t i = 0; i < arrays.size(); ++i) {
      shards[i % 2].push_back(arrays[i]);
      map[arrays[i].name] = concat("model-0000", i % 2 + 1, "-of-00002.safetensors");
    }
    write_arrays(folder.file("model-00001-of-00002.safetensors"), shards[0]);
    write_arrays(folder.file("model-00002-of-00002.safetensors"), shards[1]);
    folder.write("model.safetensors.index.json", Json{{"weight_map", map}}.dump());
  }
}

Json config_for(const NativeSpelling& s) {
  Json j = {{"model_type", "rwkv7"},
            {"architectures", {"Rwkv7ForCausalLM"}},
            {"head_size", 8},
            {"num_attention_heads", nullptr},
            {"num_heads", nullptr},
            {"context_length", 4096},
            {"layer_norm_epsilon", 1e-5},
            {"group_norm_epsilon", 64e-5},
            {"rescale_every", 1},
            {"norm_bias", true},
            {"embedding_layer_norm_fused", s.fused}};
  if (s.tied) j["tie_word_embeddings"] = true;
  return j;
}

std::string name_of(const NativeSpelling& s, File file) {
  return concat("prefix '", s.prefix, "'", s.embeddings ? " embeddings" : " emb",
                s.linear_loras ? " linear" : " raw", s.fused ? " fused" : "", s.tied ? " tied" : "",
                " file ", static_cast<int>(file));
}

std::vector<NativeSpelling> spellings() {
  std::vector<NativeSpelling> all;
  for (const char* prefix : {"rwkv7.", "model.", ""})
    for (int bits = 0; bits < 16; ++bits)
      all.push_back({prefix, (bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0});
  return all;
}

// ---- the weights

TEST(NativeLayout, EverySpellingGivesTheBitsOfBlinkDlsFile) {
  for (const Backend* backend : {&reference_backend(), &cpu_backend()}) {
    const SyntheticModel plain = make_model(v7());
    const std::vector<float> table = normalised_table(plain, *backend);
    const auto ids = random_ids(9, plain.shape.n_vocab, 5);
    Workspace work(1);
    size_t n = 0;
    for (const NativeSpelling& s : spellings()) {
      const auto file = static_cast<File>(n++ % 3);
      const std::string what = name_of(s, file);
      SyntheticModel stored = plain, same = plain;  // as the file has it, and in BlinkDL's layout
      if (s.fused) array_of(stored, "emb.weight").values = table;
      if (s.tied) array_of(same, "head.weight").values = array_of(stored, "emb.weight").values;
      const Model expected = open_blinkdl(same, *backend);
      const TempFolder folder;
      write_native(folder, native_v7(stored, s), file, config_for(s));
      const Model model = Model::open(folder.path(), *backend);

      const bool is_blinkdl = s.prefix != "rwkv7." && !s.embeddings && !s.linear_loras && !s.fused;
      // A prefix that all tensors have may be cut off as any wrapper's is.
      const bool prefix_of_all = s.prefix == "rwkv7." && s.tied;
      if (!prefix_of_all) {
        EXPECT_EQ(model.info().layout, is_blinkdl ? TensorLayout::kBlinkDl : TensorLayout::kNative)
            << what;
      }
      EXPECT_EQ(model.config().has_ln0, !s.fused) << what;
      EXPECT_TRUE(model.config().has_head) << what;
      EXPECT_THAT(model.info().ignored, IsEmpty()) << what;
      const size_t less = (s.fused ? 2 * 24 : 0) + (s.tied ? 37 * 24 : 0);
      EXPECT_EQ(model.info().n_parameter + less, expected.info().n_parameter) << what;
      const auto notes_ln0 = Contains(HasSubstr("ln0 is fused into the embedding"));
      if (s.fused) {
        EXPECT_THAT(model.info().notes, notes_ln0) << what;
      } else {
        EXPECT_THAT(model.info().notes, Not(notes_ln0)) << what;
      }
      ModelRun got = run_model(model, ids, 0, work), want = run_model(expected, ids, 0, work);
      expect_same_run(got, want, what);
    }
  }
}

// Told by the suffix alone where the shape says nothing (rank = d_model), and with rank 1.
TEST(NativeLayout, LoraMatricesOfAnyRank) {
  for (const size_t rank : {1, 2, 24, 31}) {
    Shape shape = v7(3);
    shape.rank = {.mix = 0, .decay = rank, .iclr = rank, .value = rank, .gate = rank};
    const SyntheticModel m = make_model(shape);
    const auto ids = random_ids(7, shape.n_vocab, 6);
    Workspace work(1);
    const Model expected = open_blinkdl(m, reference_backend());
    ModelRun want = run_model(expected, ids, 0, work);
    for (bool linear : {false, true}) {
      const NativeSpelling s{.linear_loras = linear};
      const TempFolder folder;
      write_native(folder, native_v7(m, s), File::kSafetensors, config_for(s));
      const Model model = Model::open(folder.path(), reference_backend());
      EXPECT_EQ(model.config().rank.decay, rank);
      EXPECT_EQ(model.config().rank.value, rank);
      ModelRun got = run_model(model, ids, 0, work);
      expect_same_run(got, want, concat("rank ", rank, linear ? " linear" : " raw"));
    }
  }
}

TEST(NativeLayout, ALoraMatrixTheWrongWayRoundIsNamed) {
  const SyntheticModel m = make_model(v7());
  for (const char* name : {"w1", "w2", "a2", "g1", "v2"}) {
    for (bool linear : {false, true}) {
      Arrays arrays = native_v7(m, {.linear_loras = linear});
      const std::string full = concat("rwkv7.blocks.1.att.", name, linear ? ".weight" : "");
      for (Array& a : arrays)
        if (a.name == full) a = transposed(a);
      const TempFolder folder;
      write_native(folder, arrays, File::kSafetensors, config_for({}));
      EXPECT_THAT([&] { Model::open(folder.path(), reference_backend()); },
                  ThrowsMessage<Error>(AllOf(HasSubstr(concat("blocks.1.att.", name)),
                                             HasSubstr("expected ("), HasSubstr("got ("))))
          << full;
    }
  }
}

TEST(NativeLayout, BlockZeroMayHoldAValueLoraThatNothingReads) {
  SyntheticModel m = make_model(v7());
  for (const char* part : {"0", "1", "2"}) {
    Array a = m.get(1, concat("att.v", part));
    a.name[7] = '0';  // blocks.0
    m.arrays.push_back(std::move(a));
  }
  const TempFolder folder;
  write_native(folder, native_v7(m), File::kSafetensors, config_for({}));
  const Model model = Model::open(folder.path(), reference_backend());
  EXPECT_THAT(model.info().notes, Contains(HasSubstr("v0, v1, v2 of block 0")));
}

// ---- config.json

Model open_with(const Arrays& arrays, const Json& config) {
  const TempFolder folder;
  write_native(folder, arrays, File::kSafetensors, config);
  return Model::open(folder.path(), reference_backend());
}

TEST(NativeLayout, EpsilonsComeFromItsKeys) {
  const Arrays arrays = native_v7(make_model(v7()));
  const auto eps = [&](const Json& config) {
    const Config c = open_with(arrays, config).config();
    return std::pair(c.ln_eps, c.ln_x_eps);
  };
  const Json none = Json::object();
  EXPECT_EQ(eps(none), std::pair(1e-5f, 64e-5f));
  EXPECT_EQ(eps({{"layer_norm_epsilon", 1e-6}}), std::pair(1e-6f, 64e-5f));
  EXPECT_EQ(eps({{"norm_eps", 1e-6}}), std::pair(1e-6f, 8e-6f)) << "head size 8";
  EXPECT_EQ(eps({{"group_norm_epsilon", 3e-4}}), std::pair(1e-5f, 3e-4f));
  EXPECT_EQ(eps({{"norm_eps", 1e-6}, {"group_norm_epsilon", 3e-4}}), std::pair(1e-6f, 3e-4f));
  EXPECT_EQ(eps({{"layer_norm_epsilon", nullptr}, {"group_norm_epsilon", nullptr}}),
            std::pair(1e-5f, 64e-5f));
  EXPECT_THAT(open_with(arrays, {{"group_norm_epsilon", 3e-4}}).info().ln_x_eps_reason,
              HasSubstr("group_norm_epsilon"));
}

TEST(NativeLayout, AHeadSizeForFlatTensors) {
  Arrays arrays = native_v7(make_model(v7()));
  for (Array& a : arrays)
    if (a.name.ends_with("r_k")) a.shape = {a.values.size()};
  for (const char* key : {"head_size", "head_dim"})
    EXPECT_EQ(open_with(arrays, {{key, 12}, {"num_attention_heads", nullptr}}).config().head_size,
              12u)
        << key;
}

TEST(NativeLayout, AFusedEmbeddingAndAnLn0ExcludeEachOther) {
  const SyntheticModel m = make_model(v7());
  EXPECT_THAT(
      [&] {
        open_with(native_v7(m), {{"embedding_layer_norm_fused", true}});
      },
      ThrowsMessage<Error>(AllOf(HasSubstr("rwkv7.blocks.0.ln0.weight"),
                                 HasSubstr("embedding_layer_norm_fused true"))));
  const Arrays fused = native_v7(m, {.fused = true});
  for (const Json& config : {Json::object(), Json{{"embedding_layer_norm_fused", false}},
                             Json{{"embedding_layer_norm_fused", "yes"}}})
    EXPECT_THAT([&] { open_with(fused, config); },
                ThrowsMessage<Error>(AllOf(HasSubstr("missing tensor ln0.weight"),
                                           HasSubstr("embedding_layer_norm_fused"))))
        << config;
}

// ---- layer norms without a bias: native, fla and rwkv7-hf

TEST(NormBias, AbsentOnesAreZerosIfConfigJsonSaysSo) {
  SyntheticModel zero = make_model(v7());
  for (Array& a : zero.arrays)
    if (a.name.ends_with(".bias") && !a.name.ends_with("ln_x.bias"))
      std::fill(a.values.begin(), a.values.end(), 0.0f);
  const auto ids = random_ids(9, zero.shape.n_vocab, 7);
  ModelOptions options;
  options.ln_x_eps = 3e-4f;  // fla's differs
  Workspace work(1);
  for (const Backend* backend : {&reference_backend(), &cpu_backend()}) {
    const Model expected = open_blinkdl(zero, *backend, options);
    ModelRun want = run_model(expected, ids, 0, work);
    for (const Arrays& arrays :
         {native_v7(zero), native_v7(zero, {.prefix = "model.", .linear_loras = true}),
          fla_v7(zero)}) {
      const TempFolder folder;
      write_native(folder, without_norm_bias(arrays), File::kSafetensors, {{"norm_bias", false}});
      const Model model = Model::open(folder.path(), *backend, options);
      EXPECT_THAT(model.info().notes, Contains(HasSubstr("no bias")));
      EXPECT_EQ(model.info().n_parameter + 6 * 24, expected.info().n_parameter);
      ModelRun got = run_model(model, ids, 0, work);
      expect_same_run(got, want, arrays.front().name);
    }
  }
}

TEST(NormBias, AbsentOnesAreNamedOtherwise) {
  const SyntheticModel m = make_model(v7());
  for (const Json& config :
       {Json::object(), Json{{"norm_bias", true}}, Json{{"norm_bias", nullptr}}})
    for (const char* name :
         {"blocks.0.ln0.bias", "blocks.0.ln1.bias", "blocks.1.ln2.bias", "ln_out.bias"}) {
      SyntheticModel without = m;
      without.remove(name);
      const std::string tail = std::string(name).substr(std::string(name).rfind("ln"));
      EXPECT_THAT([&] { open_with(native_v7(without), config); },
                  ThrowsMessage<Error>(AllOf(HasSubstr("missing tensor"), HasSubstr(tail),
                                             HasSubstr("norm_bias false"))))
          << name;
    }
  // The group norm has its bias whatever norm_bias says, in every program.
  SyntheticModel without = m;
  without.remove("blocks.1.att.ln_x.bias");
  EXPECT_THAT(
      [&] {
        open_with(without_norm_bias(native_v7(without)), {{"norm_bias", false}});
      },
      ThrowsMessage<Error>(HasSubstr("missing tensor blocks.1.att.ln_x.bias")));
}

TEST(NormBias, ABiasThatConfigJsonDeniesIsRefused) {
  const SyntheticModel m = make_model(v7());
  for (const char* kept : {"rwkv7.blocks.0.ln0.bias", "rwkv7.blocks.1.ln1.bias",
                           "rwkv7.blocks.0.ln2.bias", "rwkv7.ln_out.bias"}) {
    Arrays arrays = without_norm_bias(native_v7(m));
    for (const Array& a : native_v7(m))
      if (a.name == kept) arrays.push_back(a);
    EXPECT_THAT(
        [&] {
          open_with(arrays, {{"norm_bias", false}});
        },
        ThrowsMessage<Error>(AllOf(HasSubstr(kept), HasSubstr("norm_bias false"))));
  }
}

// fla's norm_first false: a table that nothing normalises.
TEST(NativeLayout, FlaWithoutItsPreNorm) {
  const SyntheticModel plain = make_model(v7());
  SyntheticModel stored = plain;
  array_of(stored, "emb.weight").values = normalised_table(plain, reference_backend());
  for (const char* part : {"weight", "bias"}) stored.remove(concat("blocks.0.ln0.", part));
  const TempFolder folder;
  write_native(folder, fla_v7(stored), File::kSafetensors,
               {{"norm_first", false}, {"norm_eps", 1e-5}});
  const Model model = Model::open(folder.path(), reference_backend());
  EXPECT_EQ(model.info().layout, TensorLayout::kFla);
  EXPECT_FALSE(model.config().has_ln0);
  ModelOptions options;
  options.ln_x_eps = 8e-5f;
  const Model expected = open_blinkdl(plain, reference_backend(), options);
  const auto ids = random_ids(9, plain.shape.n_vocab, 4);
  Workspace work(1);
  ModelRun got = run_model(model, ids, 0, work), want = run_model(expected, ids, 0, work);
  expect_same_run(got, want, "fla without pre_norm");
  EXPECT_THAT(
      [&] {
        open_with(fla_v7(stored), {{"norm_first", true}});
      },
      ThrowsMessage<Error>(HasSubstr("missing tensor ln0.weight")));
  EXPECT_THAT(
      [&] {
        open_with(fla_v7(plain), {{"norm_first", false}});
      },
      ThrowsMessage<Error>(HasSubstr("norm_first false")));
}

TEST(NativeLayout, ATiedHeadOfOtherLayouts) {
  for (Version version : {Version::kV4, Version::kV6, Version::kV7}) {
    Shape shape;
    shape.version = version;
    SyntheticModel m = make_model(shape);
    array_of(m, "head.weight").values = m.get("emb.weight").values;
    const auto ids = random_ids(5, shape.n_vocab, 8);
    Workspace work(1);
    const Model plain = open_blinkdl(m, reference_backend());
    ModelRun want = run_model(plain, ids, 0, work);
    m.remove("head.weight");
    const Arrays arrays = hugging_face(m);
    Json config = {{"tie_word_embeddings", true}};
    const Model tied = open_with(arrays, config);
    EXPECT_THAT(tied.info().notes, Contains(HasSubstr("head is the embedding")));
    ModelRun got = run_model(tied, ids, 0, work);
    expect_same_run(got, want, concat("tied v", fathom::name_of(version)));
    EXPECT_FALSE(open_with(arrays, {{"tie_word_embeddings", false}}).config().has_head);
  }
}

}  // namespace
}  // namespace fathom::test::native_layout_test
