// SPDX-License-Identifier: Apache-2.0
// What exported models keep of versions and of single numbers; what cannot be exported.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "model/export_weights.h"
#include "model/exported.h"

namespace fathom::test::export_values_test {
namespace {

using testing::HasSubstr;

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

TEST(Export, AModelWithoutAChannelMix) {
  for (Version v : {Version::kV6, Version::kV7}) {
    const TempFolder folder;
    Shape s = shape_of(v, 64);
    s.d_ffn = 0;
    const fs::path file = write_blinkdl(folder, make_model(s));
    const auto ids = random_ids(9, 37, 1);
    ModelRun before = run_file(file, ids), hf = run_file(to_hugging_face(file).file, ids);
    expect_same_run(before, hf, "Hugging Face");
    const Exported gguf = to_gguf(file);
    EXPECT_EQ(read_all(gguf.file).at("blk.1.channel_mix_value.weight").values,
              std::vector<float>(192 * 32, 0));
    ModelRun from_gguf = run_file(gguf.file, ids);
    expect_same_run(before, from_gguf, "GGUF");
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
      write_arrays(web, web_rwkv(m), StoredType::kF16);
      const auto ids = random_ids(9, 37, 1);
      ModelRun want = run_file(blinkdl, ids);
      for (const fs::path& file : {blinkdl, web}) {
        ModelRun got = run_file(to_hugging_face(file).file, ids);
        expect_same_run(want, got, file.string());
        if (v >= Version::kV6) {
          EXPECT_THROW(to_gguf(file), Error);
        }
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
  const Exported e = to_hugging_face(file, StoredType::kF32, 9e-5f);
  EXPECT_EQ(e.config["head_size_divisor"], 3);
  EXPECT_EQ(Model::open(e.file, reference_backend()).config().ln_x_eps, 9e-5f);
  EXPECT_THROW(to_hugging_face(file, StoredType::kF32, 1e-6f), Error);
  const fs::path v7 = write_blinkdl(folder, make_model(shape_of(Version::kV7)));
  EXPECT_EQ(to_hugging_face(v7, StoredType::kF32, 8e-5f).layout, "fla RWKV-7");
  EXPECT_THROW(to_hugging_face(v7, StoredType::kF32, 7e-5f), Error);
}

// ---- Q8_0

// An independent quantiser: the numbers that a Q8_0 row stands for.
std::vector<float> through_q8_0(const std::vector<float>& x) {
  std::vector<float> y(x.size());
  for (size_t b = 0; b < x.size(); b += 32) {
    double largest = 0;
    for (size_t i = 0; i < 32; ++i) largest = std::max(largest, std::abs(double{x[b + i]}));
    const float d = static_cast<float>(largest) / 127.0f;
    const float stored = to_f32(to_f16(d)), inverse = d == 0 ? 0 : 1.0f / d;
    for (size_t i = 0; i < 32; ++i) {
      const float scaled = x[b + i] * inverse;
      const int q = static_cast<int>(scaled < 0 ? scaled - 0.5f : scaled + 0.5f);
      y[b + i] = stored * static_cast<float>(q);
    }
  }
  return y;
}

bool is_quantised_in_gguf(const Array& a, size_t n_dim_32) {
  const bool lora = a.name.ends_with("1") || a.name.ends_with("2");
  return a.shape.size() == 2 && !lora && a.name.find("time_faaaa") == a.name.npos &&
         a.name.find("r_k") == a.name.npos && a.shape[1] % n_dim_32 == 0;
}

TEST(Q8_0, IsTheModelOfTheDequantisedWeights) {
  for (Version v : {Version::kV6, Version::kV7}) {
    SCOPED_TRACE(name_of(v));
    Shape s = shape_of(v, 32);  // d_model 96; d_ffn 61 is no whole number of blocks
    SyntheticModel m = make_model(s);
    const TempFolder folder;
    const Exported e = to_gguf(write_blinkdl(folder, m), StoredType::kQ8_0);
    size_t n_changed = 0;
    for (Array& a : m.arrays)
      if (is_quantised_in_gguf(a, 32)) {
        a.values = through_q8_0(a.values);
        ++n_changed;
      }
    EXPECT_EQ(n_changed, v == Version::kV6 ? 2 + 3 * 7u : 2 + 3 * 5u);
    const auto ids = random_ids(19, 37, 1);
    ModelRun want = run_file(write_blinkdl(folder, m), ids), got = run_file(e.file, ids);
    expect_same_run(want, got, "Q8_0");
    const auto tensors = read_all(e.file);
    EXPECT_EQ(tensors.at("blk.1.time_mix_key.weight").dtype, StoredType::kQ8_0);
    EXPECT_EQ(tensors.at("token_embd.weight").dtype, StoredType::kQ8_0);
    EXPECT_EQ(tensors.at("output.weight").dtype, StoredType::kQ8_0);
    EXPECT_EQ(tensors.at("blk.1.channel_mix_value.weight").dtype, StoredType::kF16);
    EXPECT_EQ(tensors.at("blk.1.time_mix_w1.weight").dtype, StoredType::kF32);
  }
}

TEST(Q8_0, AgainGivesTheSameFile) {
  const TempFolder folder;
  const Exported once =
      to_gguf(write_blinkdl(folder, make_model(shape_of(Version::kV7, 32))), StoredType::kQ8_0);
  const Exported twice = to_gguf(once.file, StoredType::kQ8_0);
  EXPECT_EQ(read_whole(once.file), read_whole(twice.file));
}

// d = max / 127 in f32, kept as f16; halves are rounded away from zero.
TEST(Q8_0, RoundsHalfAwayFromZero) {
  std::vector<float> x(32, 0);
  x[0] = 127, x[1] = 2.5f, x[2] = -2.5f, x[3] = 0.49f, x[4] = -127;
  std::ostringstream out;
  write_as(out, "x", StoredType::kQ8_0, x);
  const std::string bytes = out.str();
  ASSERT_EQ(bytes.size(), 34u);
  EXPECT_EQ(bytes.substr(0, 7), std::string("\x00\x3c\x7f\x03\xfd\x00\x81", 7));
  for (float tiny : {0.0f, 1e-45f, 1e-38f}) {
    std::ostringstream zeros;
    std::vector<float> small(32, 0);
    small[5] = tiny;
    write_as(zeros, "x", StoredType::kQ8_0, small);
    EXPECT_EQ(zeros.str(), std::string(34, '\0')) << tiny;
  }
}

TEST(Q8_0, RefusesWhatHasNoScale) {
  for (float bad : {HUGE_VALF, std::nanf(""), 1e8f}) {
    std::vector<float> x(32, 1);
    x[7] = bad;
    std::ostringstream out;
    EXPECT_THROW(write_as(out, "x", StoredType::kQ8_0, x), Error) << bad;
  }
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
  const auto act = [&] { to_hugging_face(file, StoredType::kF16); };
  expect_error(act, {"rwkv.blocks.1.feed_forward.key.weight", "100000", "F16", "`dtype`"});
  expect_error([&] { to_gguf(file, StoredType::kF16); }, {"blk.1.channel_mix_key.weight", "F16"});
  EXPECT_NO_THROW(to_hugging_face(file, StoredType::kBF16));
}

TEST(Refused, WhatIsNoModel) {
  const TempFolder folder;
  write_arrays(folder.file("m.st"), {{"encoder.weight", {2}, {1, 2}}});
  expect_error([&] { to_gguf(folder.file("m.st")); }, {"no RWKV", "encoder.weight"});
}

}  // namespace
}  // namespace fathom::test::export_values_test
