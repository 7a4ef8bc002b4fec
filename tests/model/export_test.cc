// SPDX-License-Identifier: Apache-2.0
// Exported models, read back: the same model whatever it was stored as, in names and shapes that
// synthetic_layouts.h, written apart from the exporter, gives the layouts.
#include "model/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/exported.h"

namespace fathom::test::export_test {
namespace {

using testing::HasSubstr;

// A synthetic model in a file, as one of the programs stores it.
struct Input {
  std::string layout;
  void (*write)(const fs::path& folder, const SyntheticModel& m);
  std::vector<Version> versions;
  const char* file = "model.safetensors";
};

const Input kInputs[] = {
    {"BlinkDL",
     [](const fs::path& f, const SyntheticModel& m) {
       write_arrays(f / "model.safetensors", m.arrays);
     },
     {std::begin(kVersions), std::end(kVersions)}},
    {"HuggingFace",
     [](const fs::path& f, const SyntheticModel& m) {
       write_hugging_face(f, m, StoredType::kBF16);
     },
     {Version::kV4, Version::kV5_2, Version::kV6}},
    {"FlaV6",
     [](const fs::path& f, const SyntheticModel& m) {
       write_arrays(f / "model.safetensors", fla_v6(m));
     },
     {Version::kV6}},
    {"FlaV7",
     [](const fs::path& f, const SyntheticModel& m) {
       write_arrays(f / "model.safetensors", fla_v7(m));
     },
     {Version::kV7}},
    {"FlaV7Fused",
     [](const fs::path& f, const SyntheticModel& m) {
       write_arrays(f / "model.safetensors", fla_v7(m, true));
     },
     {Version::kV7}},
    {"WebRwkv",
     [](const fs::path& f, const SyntheticModel& m) {
       write_arrays(f / "model.safetensors", web_rwkv(m), StoredType::kF16);
     },
     {Version::kV5_2, Version::kV6, Version::kV7}},
    {"RwkvCpp",
     [](const fs::path& f, const SyntheticModel& m) { write_rwkv_cpp(f / "model.bin", m); },
     {std::begin(kVersions), std::end(kVersions)},
     "model.bin"},
    {"Gguf",
     [](const fs::path& f, const SyntheticModel& m) {
       write_gguf_model(f / "model.gguf", m, gguf(m));
     },
     {Version::kV6, Version::kV7},
     "model.gguf"},
    {"GgufRescaled",
     [](const fs::path& f, const SyntheticModel& m) {
       write_gguf_model(f / "model.gguf", m, gguf(m, 1), 1);
     },
     {Version::kV6},
     "model.gguf"},
};

// ---- every layout and version in, every layout out

struct Case {
  const Input* input;
  Version version;
  size_t head_size;
};
std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.input->layout << " v" << name_of(c.version) << " N" << c.head_size;
}

std::vector<Case> cases(Version oldest) {
  std::vector<Case> all;
  for (const Input& input : kInputs)
    for (Version v : input.versions)
      if (v >= oldest)
        for (size_t head_size : {8, 64}) all.push_back({&input, v, static_cast<size_t>(head_size)});
  return all;
}
std::string case_name(const testing::TestParamInfo<Case>& info) {
  std::string name = concat(info.param.input->layout, "_v", name_of(info.param.version), "_N",
                            info.param.head_size);
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

class RoundTrip : public testing::TestWithParam<Case> {
 protected:
  RoundTrip() : m_(make_model(shape_of(GetParam().version, GetParam().head_size))) {
    GetParam().input->write(folder_.path(), m_);
    file_ = folder_.file(GetParam().input->file);
    ids_ = random_ids(19, m_.shape.n_vocab, 3);
  }

  TempFolder folder_;
  SyntheticModel m_;
  fs::path file_;
  std::vector<uint32_t> ids_;
};
INSTANTIATE_TEST_SUITE_P(Inputs, RoundTrip, testing::ValuesIn(cases(Version::kV4)), case_name);

class GgufRoundTrip : public RoundTrip {};  // llama.cpp has RWKV-6 and 7
INSTANTIATE_TEST_SUITE_P(Inputs, GgufRoundTrip, testing::ValuesIn(cases(Version::kV6)), case_name);

TEST_P(RoundTrip, HuggingFaceGivesTheSameBits) {
  ModelRun before = run_file(file_, ids_);
  for (StoredType dtype : {StoredType::kF32, StoredType::kF16, StoredType::kBF16}) {
    const Exported e = to_hugging_face(file_, dtype);
    ModelRun after = run_file(e.file, ids_);
    const bool through_logarithm =
        GetParam().input->layout == "RwkvCpp" && GetParam().version < Version::kV6;
    if (!through_logarithm) {
      expect_same_run(before, after, e.layout);
    } else {
      // rwkv.cpp keeps the decay, the layout its logarithm's logarithm: f32 rounds it.
      EXPECT_LE(relative_error(after.hidden, before.hidden), 2e-6) << e.layout;
      EXPECT_LE(relative_error(after.logits, before.logits), 2e-6) << e.layout;
    }
  }
}

TEST_P(GgufRoundTrip, GivesTheSameBits) {
  ModelRun before = run_file(file_, ids_);
  for (StoredType dtype : {StoredType::kF32, StoredType::kF16, StoredType::kBF16}) {
    const Exported e = to_gguf(file_, dtype);
    ModelRun after = run_file(e.file, ids_);
    const bool folded = GetParam().input->layout.starts_with("FlaV7") && GetParam().head_size != 64;
    if (!folded) {
      expect_same_run(before, after, "GGUF");
      continue;
    }
    // fla's epsilon for this head size is made up for by scaled weights, which dtype rounds.
    // With its note, and llama.cpp's trouble with the head size, and nothing else.
    EXPECT_EQ(e.notes.size(), GetParam().head_size % 64 == 0 ? 1u : 2u);
    EXPECT_THAT(e.notes, testing::Contains(HasSubstr("times att.value")));
    EXPECT_LE(relative_error(after.hidden, before.hidden), dtype == StoredType::kF32   ? 5e-6
                                                           : dtype == StoredType::kF16 ? 5e-3
                                                                                       : 5e-2);
  }
}

TEST_P(RoundTrip, ThereAndBackGivesTheSameFile) {
  const Exported once = to_hugging_face(file_);
  const Exported twice = to_hugging_face(once.file);
  EXPECT_EQ(once.config, twice.config);
  EXPECT_EQ(read_whole(once.file), read_whole(twice.file));
}

// Names and shapes, whatever the numbers are.
void expect_names_of(const fs::path& file, const Arrays& want) {
  const auto got = read_all(file);
  EXPECT_EQ(got.size(), want.size());
  for (const Array& a : want) {
    ASSERT_TRUE(got.contains(a.name)) << a.name;
    EXPECT_EQ(got.at(a.name).shape, a.shape) << a.name;
  }
}

// ---- a model without ln0, and one whose layer norms have no bias

// A native directory; fused: the table is taken for ln0's output as it is.
fs::path write_native_folder(const TempFolder& folder, const Arrays& arrays, const Json& config) {
  folder.write("config.json", config.dump());
  write_arrays(folder.file("model.safetensors"), arrays);
  return folder.path();
}

TEST(FusedLn0, IsWrittenWhereALayoutHasNoLn0) {
  for (size_t head_size : {64, 8}) {  // fla ties its epsilon to the head size
    const SyntheticModel m = make_model(shape_of(Version::kV7, head_size));
    const auto ids = random_ids(19, m.shape.n_vocab, 3);
    const TempFolder folder;
    const fs::path native = write_native_folder(folder, native_v7(m, {.fused = true}),
                                                {{"embedding_layer_norm_fused", true}});
    ModelRun before = run_file(native, ids);
    for (StoredType dtype : {StoredType::kF32, StoredType::kBF16}) {
      const Exported e = to_hugging_face(native, dtype);
      ASSERT_EQ(e.notes.size(), 1u);
      EXPECT_THAT(e.notes[0], HasSubstr("ln0 is fused into the embedding"));
      if (head_size == 64) {
        EXPECT_EQ(e.layout, "fla RWKV-7");
        EXPECT_EQ(e.config["norm_first"], false);
        EXPECT_FALSE(read_all(e.file).contains("model.layers.0.pre_norm.weight"));
      } else {
        EXPECT_EQ(e.layout, "native transformers RWKV-7");
        EXPECT_EQ(e.config["embedding_layer_norm_fused"], true);
        EXPECT_EQ(e.config["group_norm_epsilon"].dump(), "0.00064");
        EXPECT_EQ(e.config["model_type"], "rwkv7");
        expect_names_of(e.file, native_v7(m, {.fused = true}));
      }
      ModelRun after = run_file(e.file, ids);
      expect_same_run(before, after, e.layout);
      const char* table = head_size == 64 ? "model.embeddings.weight" : "rwkv7.emb.weight";
      EXPECT_EQ(read_all(e.file).at(table).dtype, StoredType::kF32) << "as it was stored";
      // And once more.
      ModelRun again = run_file(to_hugging_face(e.file.parent_path()).file, ids);
      expect_same_run(before, again, e.layout);
    }
    EXPECT_THAT([&] { to_gguf(native); },
                testing::ThrowsMessage<Error>(
                    testing::AllOf(HasSubstr("GGUF: ln0 is fused"), HasSubstr("no weights make it "
                                                                              "the identity"))));
  }
}

TEST(NormBias, ZerosAreWrittenForIt) {
  SyntheticModel zero = make_model(shape_of(Version::kV7, 64));
  for (Array& a : zero.arrays)
    if (a.name.ends_with(".bias") && !a.name.ends_with("ln_x.bias"))
      std::fill(a.values.begin(), a.values.end(), 0.0f);
  const auto ids = random_ids(19, zero.shape.n_vocab, 3);
  const TempFolder folder, plain;
  const fs::path native =
      write_native_folder(folder, without_norm_bias(native_v7(zero)), {{"norm_bias", false}});
  const fs::path blinkdl = write_blinkdl(plain, zero);
  ModelRun want = run_file(blinkdl, ids);
  for (const Exported& e : {to_hugging_face(native), to_gguf(native)}) {
    ModelRun got = run_file(e.file, ids);
    expect_same_run(got, want, e.layout);
  }
  EXPECT_EQ(read_whole(to_hugging_face(native).file), read_whole(to_hugging_face(blinkdl).file));
}

// ---- the layouts themselves

void expect_tensors(const fs::path& file, const Arrays& want) {
  const auto got = read_all(file);
  EXPECT_EQ(got.size(), want.size());
  for (const Array& a : want) {
    const auto at = got.find(a.name);
    if (at == got.end()) {
      ADD_FAILURE() << "no " << a.name;
      continue;
    }
    EXPECT_EQ(at->second.shape, a.shape) << a.name;
    EXPECT_TRUE(same_bits(at->second.values, a.values)) << a.name;
  }
}

TEST(Layout, HuggingFaceNamesAndShapes) {
  for (Version v : {Version::kV4, Version::kV5_0, Version::kV5_2, Version::kV6}) {
    SCOPED_TRACE(name_of(v));
    const TempFolder folder;
    const SyntheticModel m = make_model(shape_of(v));
    expect_tensors(to_hugging_face(write_blinkdl(folder, m)).file, hugging_face(m));
  }
}

TEST(Layout, FlaNamesAndShapes) {
  const TempFolder folder;
  const SyntheticModel m = make_model(shape_of(Version::kV7, 64));
  const Exported e = to_hugging_face(write_blinkdl(folder, m));
  EXPECT_EQ(e.layout, "fla RWKV-7");
  EXPECT_EQ(e.notes, std::vector<std::string>());
  expect_tensors(e.file, fla_v7(m));
}

TEST(Layout, GgufNamesAndShapes) {
  for (Version v : {Version::kV6, Version::kV7}) {
    SCOPED_TRACE(name_of(v));
    const TempFolder folder;
    const SyntheticModel m = make_model(shape_of(v));
    Arrays want = gguf(m);
    if (v == Version::kV7)  // block 0 has what llama.cpp asks for and never uses
      for (const char* part : {"0", "1", "2"})
        for (const Array& a : gguf(m))
          if (a.name == concat("blk.0.time_mix_a", part, ".weight"))
            want.push_back(renamed(a, concat("blk.0.time_mix_v", part, ".weight")));
    expect_tensors(to_gguf(write_blinkdl(folder, m)).file, want);
  }
}

// What fla cannot say is written in BlinkDL's names: every number as it was.
TEST(Layout, V7OfOtherHeadSizesKeepsBlinkDlsNames) {
  const TempFolder folder;
  const SyntheticModel m = make_model(shape_of(Version::kV7, 8));
  const Exported e = to_hugging_face(write_blinkdl(folder, m));
  EXPECT_THAT(e.layout, HasSubstr("BlinkDL"));
  ASSERT_EQ(e.notes.size(), 1u);
  EXPECT_THAT(e.notes[0], HasSubstr("epsilon"));
  EXPECT_EQ(e.config["head_size"], 8);
  EXPECT_EQ(e.config["hidden_size_ffn"], 61);
  expect_tensors(e.file, m.arrays);
}

TEST(Layout, MatricesHaveTheDtypeAndVectorsAreF32) {
  const TempFolder folder;
  const SyntheticModel v6 = make_model(shape_of(Version::kV6));
  auto hf = read_all(to_hugging_face(write_blinkdl(folder, v6), StoredType::kBF16).file);
  EXPECT_EQ(hf["rwkv.blocks.1.attention.key.weight"].dtype, StoredType::kBF16);
  EXPECT_EQ(hf["rwkv.blocks.1.attention.time_maa_w2"].dtype, StoredType::kBF16);
  EXPECT_EQ(hf["rwkv.embeddings.weight"].dtype, StoredType::kBF16);
  EXPECT_EQ(hf["rwkv.blocks.1.attention.time_decay"].dtype, StoredType::kF32);
  EXPECT_EQ(hf["rwkv.blocks.1.ln1.weight"].dtype, StoredType::kF32);
  auto gguf = read_all(to_gguf(write_blinkdl(folder, v6), StoredType::kF16).file);
  EXPECT_EQ(gguf["blk.1.time_mix_key.weight"].dtype, StoredType::kF16);
  EXPECT_EQ(gguf["output.weight"].dtype, StoredType::kF16);
  for (const char* name : {"time_mix_w1", "time_mix_w2", "time_mix_decay_w1", "time_mix_first",
                           "time_mix_lerp_fused", "time_mix_decay", "time_mix_ln"})
    EXPECT_EQ(gguf[concat("blk.1.", name, ".weight")].dtype, StoredType::kF32) << name;
}

TEST(Layout, ConfigSaysWhatTheClassesAskFor) {
  const TempFolder folder;
  const auto config = [&](Version v, size_t head_size) {
    return to_hugging_face(write_blinkdl(folder, make_model(shape_of(v, head_size)))).config;
  };
  const OrderedJson v4 = config(Version::kV4, 8);
  EXPECT_EQ(v4["architectures"], OrderedJson::array({"RwkvForCausalLM"}));
  EXPECT_EQ(v4["model_type"], "rwkv");
  EXPECT_EQ(v4["intermediate_size"], 61);
  EXPECT_EQ(v4["attention_hidden_size"], 24);
  EXPECT_EQ(v4["rescale_every"], 6);
  EXPECT_EQ(v4["layer_norm_epsilon"].dump(), "1e-05");
  const OrderedJson v5 = config(Version::kV5_2, 8);
  EXPECT_EQ(v5["architectures"], OrderedJson::array({"Rwkv5ForCausalLM"}));
  EXPECT_EQ(v5["head_size_divisor"].dump(), "8");
  const OrderedJson v6 = config(Version::kV6, 8);
  EXPECT_EQ(v6["architectures"], OrderedJson::array({"Rwkv6ForCausalLM"}));
  EXPECT_EQ(v6["model_type"], "rwkv6");
  EXPECT_EQ(v6["vocab_size"], 37);
  EXPECT_EQ(v6["hidden_size"], 24);
  EXPECT_EQ(v6["num_hidden_layers"], 3);
  EXPECT_EQ(v6["head_size"], 8);
  EXPECT_EQ(v6["num_attention_heads"], 3);
  EXPECT_EQ(v6["torch_dtype"], "float32");
  const OrderedJson v7 = config(Version::kV7, 64);
  EXPECT_EQ(v7["architectures"], OrderedJson::array({"RWKV7ForCausalLM"}));
  EXPECT_EQ(v7["head_dim"], 64);
  EXPECT_EQ(v7["num_heads"], 3);
  EXPECT_EQ(v7["decay_low_rank_dim"], 5);
  EXPECT_EQ(v7["a_low_rank_dim"], 4);
  EXPECT_EQ(v7["v_low_rank_dim"], 3);
  EXPECT_EQ(v7["gate_low_rank_dim"], 6);
  EXPECT_EQ(v7["norm_eps"].dump(), "1e-05");
  EXPECT_EQ(v7["value_dim"], OrderedJson::array({192, 192, 192}));
  EXPECT_TRUE(v7["attn"].is_null());
}

TEST(Layout, UsualWidthOfV6IsLeftToTheClass) {
  const TempFolder folder;
  Shape s = shape_of(Version::kV6, 8);
  s.d_model = 32;
  s.d_ffn = 96;  // floor(3.5 * 32 / 32) * 32
  const Exported e = to_hugging_face(write_blinkdl(folder, make_model(s)));
  EXPECT_TRUE(e.config["intermediate_size"].is_null());
  EXPECT_EQ(e.notes, std::vector<std::string>());
}

TEST(Layout, GgufMetadata) {
  const TempFolder folder;
  for (Version v : {Version::kV6, Version::kV7}) {
    const std::string arch = v == Version::kV6 ? "rwkv6." : "rwkv7.";
    const Exported e = to_gguf(write_blinkdl(folder, make_model(shape_of(v))));
    const Checkpoint file = Checkpoint::open(e.file);
    const auto number = [&](const std::string& key) {
      const auto at = file.metadata().find(key);
      return at == file.metadata().end() ? UINT64_MAX : std::get<uint64_t>(at->second);
    };
    EXPECT_EQ(number(arch + "embedding_length"), 24u);
    EXPECT_EQ(number(arch + "block_count"), 3u);
    EXPECT_EQ(number(arch + "feed_forward_length"), 61u);
    EXPECT_EQ(number(arch + "wkv.head_size"), 8u);
    EXPECT_EQ(number(arch + "attention.head_count"), 0u);
    EXPECT_EQ(number(arch + "pooling_type"), 1u);
    EXPECT_GT(number(arch + "context_length"), 100000u);
    EXPECT_EQ(number("general.file_type"), 0u);
    if (v == Version::kV6) {
      EXPECT_EQ(number("rwkv6.rescale_every_n_layers"), 0u);
      EXPECT_EQ(number("rwkv6.time_mix_extra_dim"), 3u);
      EXPECT_EQ(number("rwkv6.time_decay_extra_dim"), 5u);
    } else {
      EXPECT_EQ(number("rwkv7.attention.decay_lora_rank"), 5u);
      EXPECT_EQ(number("rwkv7.attention.iclr_lora_rank"), 4u);
      EXPECT_EQ(number("rwkv7.attention.value_residual_mix_lora_rank"), 3u);
      EXPECT_EQ(number("rwkv7.attention.gate_lora_rank"), 6u);
    }
  }
}

}  // namespace
}  // namespace fathom::test::export_test
