// SPDX-License-Identifier: Apache-2.0
// Exported models, read back: the same model whatever it was stored as, in names and shapes that
// synthetic_layouts.h, written apart from the exporter, gives the layouts.
#include "model/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "model/run_model.h"

namespace fathom::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr Version kVersions[] = {Version::kV4,   Version::kV5_0, Version::kV5_1,
                                 Version::kV5_2, Version::kV6,   Version::kV7};

Shape shape_of(Version version, size_t head_size = 8) {
  return {.version = version,
          .n_layer = 3,
          .d_model = 3 * head_size,
          .d_ffn = 61,
          .head_size = head_size,
          .seed = 7 + head_size};
}

// ---- files

// What was written, and the folder that it lies in.
struct Exported {
  std::unique_ptr<TempFolder> folder = std::make_unique<TempFolder>();
  fs::path file;
  std::string layout;
  std::vector<std::string> notes;
  OrderedJson config;
};

Exported to_hugging_face(const fs::path& model, DType dtype = DType::kF32,
                         std::optional<float> ln_x_eps = std::nullopt) {
  const Checkpoint checkpoint = Checkpoint::open(model);
  ExportSource source(checkpoint, ln_x_eps);
  HuggingFaceExport e = export_hugging_face(source, dtype);
  Exported out{.file = {}, .layout = e.layout, .notes = e.notes, .config = e.config};
  out.file = out.folder->file("model.safetensors");
  write_safetensors(out.file, e.tensors, {{"format", "pt"}});
  out.folder->write("config.json", e.config.dump());
  return out;
}

Exported to_gguf(const fs::path& model, DType dtype = DType::kF32) {
  const Checkpoint checkpoint = Checkpoint::open(model);
  ExportSource source(checkpoint);
  const GgufExport e = export_gguf(source, dtype, "test", 1);
  Exported out{.file = {}, .layout = "GGUF", .notes = e.notes, .config = {}};
  out.file = out.folder->file("model.gguf");
  write_gguf(out.file, e.metadata, e.tensors);
  return out;
}

struct Stored {
  DType dtype = DType::kF32;
  std::vector<size_t> shape;
  std::vector<float> values;
};
std::map<std::string, Stored> read_all(const fs::path& file) {
  const Checkpoint checkpoint = Checkpoint::open(file);
  std::map<std::string, Stored> all;
  for (const Tensor& t : checkpoint.tensors()) {
    Stored& s = all[t.name] = {t.dtype, t.shape, std::vector<float>(t.n_element())};
    read_f32(t, 0, t.n_element(), s.values);
  }
  return all;
}

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
     [](const fs::path& f, const SyntheticModel& m) { write_hugging_face(f, m, DType::kBF16); },
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
       write_arrays(f / "model.safetensors", web_rwkv(m), DType::kF16);
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

ModelRun run_file(const fs::path& file, const std::vector<uint32_t>& ids) {
  Workspace work(1);
  const Model model = Model::open(file, reference_backend());
  return run_model(model, ids, 0, work);
}

// ---- every layout and version in, every layout out

struct Case {
  const Input* input;
  Version version;
  size_t head_size;
};
std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.input->layout << " v" << name_of(c.version) << " N" << c.head_size;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Input& input : kInputs)
    for (Version v : input.versions)
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
INSTANTIATE_TEST_SUITE_P(Inputs, RoundTrip, testing::ValuesIn(cases()), case_name);

TEST_P(RoundTrip, HuggingFaceGivesTheSameBits) {
  ModelRun before = run_file(file_, ids_);
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
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

TEST_P(RoundTrip, GgufGivesTheSameBits) {
  if (GetParam().version < Version::kV6) GTEST_SKIP() << "llama.cpp has no such version";
  ModelRun before = run_file(file_, ids_);
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const Exported e = to_gguf(file_, dtype);
    ModelRun after = run_file(e.file, ids_);
    const bool folded = GetParam().input->layout.starts_with("FlaV7") && GetParam().head_size != 64;
    if (!folded) {
      expect_same_run(before, after, "GGUF");
      continue;
    }
    // fla's epsilon for this head size is made up for by scaled weights, which dtype rounds.
    ASSERT_EQ(e.notes.size(), 1u);
    EXPECT_THAT(e.notes[0], HasSubstr("times att.value"));
    EXPECT_LE(relative_error(after.hidden, before.hidden), dtype == DType::kF32   ? 5e-6
                                                           : dtype == DType::kF16 ? 5e-3
                                                                                  : 5e-2);
  }
}

TEST_P(RoundTrip, ThereAndBackGivesTheSameFile) {
  const Exported once = to_hugging_face(file_);
  const Exported twice = to_hugging_face(once.file);
  EXPECT_EQ(once.config, twice.config);
  EXPECT_EQ(read_whole(once.file), read_whole(twice.file));
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

fs::path write_blinkdl(const TempFolder& folder, const SyntheticModel& m) {
  write_arrays(folder.file("m.st"), m.arrays);
  return folder.file("m.st");
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
  auto hf = read_all(to_hugging_face(write_blinkdl(folder, v6), DType::kBF16).file);
  EXPECT_EQ(hf["rwkv.blocks.1.attention.key.weight"].dtype, DType::kBF16);
  EXPECT_EQ(hf["rwkv.blocks.1.attention.time_maa_w2"].dtype, DType::kBF16);
  EXPECT_EQ(hf["rwkv.embeddings.weight"].dtype, DType::kBF16);
  EXPECT_EQ(hf["rwkv.blocks.1.attention.time_decay"].dtype, DType::kF32);
  EXPECT_EQ(hf["rwkv.blocks.1.ln1.weight"].dtype, DType::kF32);
  auto gguf = read_all(to_gguf(write_blinkdl(folder, v6), DType::kF16).file);
  EXPECT_EQ(gguf["blk.1.time_mix_key.weight"].dtype, DType::kF16);
  EXPECT_EQ(gguf["output.weight"].dtype, DType::kF16);
  for (const char* name : {"time_mix_w1", "time_mix_w2", "time_mix_decay_w1", "time_mix_first",
                           "time_mix_lerp_fused", "time_mix_decay", "time_mix_ln"})
    EXPECT_EQ(gguf[concat("blk.1.", name, ".weight")].dtype, DType::kF32) << name;
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

// ---- what versions and models have of their own

TEST(Export, OneDecayAHeadBecomesEqualOnesAChannel) {
  for (bool log_bonus : {false, true}) {
    const TempFolder folder;
    Shape s = shape_of(Version::kV5_1);
    s.log_bonus = log_bonus;
    const fs::path file = write_blinkdl(folder, make_model(s));
    const Exported e = to_hugging_face(file);
    const auto tensors = read_all(e.file);
    EXPECT_EQ(tensors.at("rwkv.blocks.0.attention.time_decay").shape, (std::vector<size_t>{3, 8}));
    EXPECT_EQ(tensors.at("rwkv.blocks.0.attention.time_faaaa").shape, (std::vector<size_t>{3, 8}));
    const auto ids = random_ids(9, 37, 1);
    ModelRun before = run_file(file, ids), after = run_file(e.file, ids);
    expect_same_run(before, after, log_bonus ? "time_first" : "time_faaaa");
  }
}

TEST(Export, AttentionWiderThanTheModel) {
  for (Version v : kVersions) {
    const TempFolder folder;
    Shape s = shape_of(v);
    s.d_att = 40;
    const fs::path file = write_blinkdl(folder, make_model(s));
    const auto ids = random_ids(9, 37, 1);
    ModelRun before = run_file(file, ids), after = run_file(to_hugging_face(file).file, ids);
    expect_same_run(before, after, std::string(name_of(v)));
    if (v < Version::kV6) continue;
    EXPECT_THROW(to_gguf(file), Error);
  }
}

TEST(Export, OneBlock) {
  for (Version v : kVersions) {
    const TempFolder folder;
    Shape s = shape_of(v, 64);
    s.n_layer = 1;
    const fs::path file = write_blinkdl(folder, make_model(s));
    const auto ids = random_ids(9, 37, 1);
    ModelRun before = run_file(file, ids), hf = run_file(to_hugging_face(file).file, ids);
    expect_same_run(before, hf, "Hugging Face");
    if (v < Version::kV6) continue;
    ModelRun gguf = run_file(to_gguf(file).file, ids);
    expect_same_run(before, gguf, "GGUF");
  }
}

TEST(Export, AModelWithoutAHeadStaysOneExceptInGguf) {
  const TempFolder folder;
  SyntheticModel m = make_model(shape_of(Version::kV6));
  m.remove("head.weight");
  const fs::path file = write_blinkdl(folder, m);
  EXPECT_EQ(read_all(to_hugging_face(file).file).count("head.weight"), 0u);
  const Exported gguf = to_gguf(file);
  const auto tensors = read_all(gguf.file);
  EXPECT_EQ(tensors.at("output.weight").values, std::vector<float>(37 * 24, 0));
  EXPECT_THAT(gguf.notes, testing::Contains(HasSubstr("head")));
  const auto ids = random_ids(9, 37, 1);
  EXPECT_TRUE(same_bits(run_file(file, ids).hidden, run_file(gguf.file, ids).hidden));
}

TEST(Export, InitialStatesAreCarriedOver) {
  for (Version v : {Version::kV5_2, Version::kV6, Version::kV7})
    for (size_t head_size : {size_t{8}, size_t{64}}) {
      SCOPED_TRACE(concat("v", name_of(v), " N", head_size));
      SyntheticModel m = make_model(shape_of(v, head_size));
      uint64_t seed = 11;
      for (size_t i = 0; i < m.shape.n_layer; ++i) {
        Array state{concat("blocks.", i, ".att.time_state"), {3, head_size, head_size}, {}};
        Random random(seed++);
        for (size_t k = 0; k < 3 * head_size * head_size; ++k)
          state.values.push_back(static_cast<float>(random.below(64)) / 64 - 0.5f);
        m.arrays.push_back(std::move(state));
      }
      const TempFolder folder;
      const fs::path blinkdl = write_blinkdl(folder, m);
      const fs::path web = folder.file("web.st");
      write_arrays(web, web_rwkv(m), DType::kF16);
      const auto ids = random_ids(9, 37, 1);
      ModelRun want = run_file(blinkdl, ids);
      for (const fs::path& file : {blinkdl, web}) {
        ModelRun got = run_file(to_hugging_face(file).file, ids);
        expect_same_run(want, got, file.string());
        if (v >= Version::kV6) EXPECT_THROW(to_gguf(file), Error);
      }
    }
}

// rwkv.cpp stores the decay itself; at the ends of f32 its logarithm is not finite.
TEST(Export, DecaysOfZeroAndOneSurvive) {
  for (Version v : {Version::kV4, Version::kV5_2}) {
    SyntheticModel m = make_model(shape_of(v));
    for (Array& a : m.arrays)
      if (a.name.ends_with("time_decay")) {
        a.values[0] = 88;    // decays at once
        a.values[1] = -120;  // never
      }
    const TempFolder folder;
    write_rwkv_cpp(folder.file("m.bin"), m);
    const Exported e = to_hugging_face(folder.file("m.bin"));
    for (const auto& [name, tensor] : read_all(e.file))
      for (float x : tensor.values) ASSERT_TRUE(std::isfinite(x)) << name;
    const auto ids = random_ids(9, 37, 1);
    EXPECT_LE(
        relative_error(run_file(e.file, ids).hidden, run_file(folder.file("m.bin"), ids).hidden),
        2e-6);
  }
}

TEST(Export, TheUsersEpsilonIsWrittenDown) {
  const TempFolder folder;
  const fs::path file = write_blinkdl(folder, make_model(shape_of(Version::kV6)));
  const Exported e = to_hugging_face(file, DType::kF32, 9e-5f);
  EXPECT_EQ(e.config["head_size_divisor"], 3);
  EXPECT_EQ(Model::open(e.file, reference_backend()).config().ln_x_eps, 9e-5f);
  EXPECT_THROW(to_hugging_face(file, DType::kF32, 1e-6f), Error);
  const fs::path v7 = write_blinkdl(folder, make_model(shape_of(Version::kV7)));
  EXPECT_EQ(to_hugging_face(v7, DType::kF32, 8e-5f).layout, "fla RWKV-7");
  EXPECT_THROW(to_hugging_face(v7, DType::kF32, 7e-5f), Error);
}

// ---- refusals

void expect_error(const std::function<void()>& act, const std::vector<std::string>& parts) {
  try {
    act();
    ADD_FAILURE() << "not refused";
  } catch (const Error& e) {
    for (const std::string& part : parts) EXPECT_THAT(e.what(), HasSubstr(part));
  }
}

TEST(Refused, VersionsThatLlamaCppDoesNotHave) {
  const TempFolder folder;
  for (Version v : {Version::kV4, Version::kV5_0, Version::kV5_1, Version::kV5_2}) {
    const fs::path file = write_blinkdl(folder, make_model(shape_of(v)));
    EXPECT_THROW(to_gguf(file), UsageError);
    expect_error([&] { to_gguf(file); }, {"RWKV-" + std::string(name_of(v)), ".safetensors"});
  }
}

TEST(Refused, NumbersThatTheDtypeCannotHold) {
  SyntheticModel m = make_model(shape_of(Version::kV6));
  for (Array& a : m.arrays)
    if (a.name == "blocks.1.ffn.key.weight") a.values[5] = 1e5f;
  const TempFolder folder;
  const fs::path file = write_blinkdl(folder, m);
  const auto act = [&] { to_hugging_face(file, DType::kF16); };
  expect_error(act, {"rwkv.blocks.1.feed_forward.key.weight", "100000", "F16", "--dtype"});
  expect_error([&] { to_gguf(file, DType::kF16); }, {"blk.1.channel_mix_key.weight", "F16"});
  EXPECT_NO_THROW(to_hugging_face(file, DType::kBF16));
}

TEST(Refused, WhatIsNoModel) {
  const TempFolder folder;
  write_arrays(folder.file("m.st"), {{"encoder.weight", {2}, {1, 2}}});
  expect_error([&] { to_gguf(folder.file("m.st")); }, {"no RWKV", "encoder.weight"});
}

}  // namespace
}  // namespace fathom::test
