// SPDX-License-Identifier: Apache-2.0
// Integers and 8-bit floats as weights: read as what they mean, or refused by name.
#include "model/quantised.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/exported.h"
#include "model/stored_numbers.h"

namespace fathom::test::quantised_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

Shape shape_for(Version version) {
  return {.version = version, .n_layer = 2, .d_model = 24, .d_ffn = 61, .seed = 5};
}

// Products that reach the limits of a type are computed as for the floats that the numbers mean.
void expect_same_model(const StoredModel& stored, const std::string& what,
                       const std::string& dtype) {
  const TempFolder folder;
  write_raw(folder.file("q.safetensors"), stored.tensors);
  write_arrays(folder.file("f.safetensors"), stored.meaning);
  const auto ids = random_ids(9, 37, 3);
  Workspace work(1);
  for (const Backend* backend : {&reference_backend(), &cpu_backend()}) {
    const Model model = Model::open(folder.file("q.safetensors"), *backend);
    EXPECT_EQ(model.info().stored_dtype, dtype) << what;
    EXPECT_THAT(model.info().ignored, testing::IsEmpty()) << what;
    const Model plain = Model::open(folder.file("f.safetensors"), *backend);
    ModelRun run = run_model(model, ids, 0, work), expected = run_model(plain, ids, 0, work);
    expect_same_run(run, expected, concat(what, " ", backend->name()));
    EXPECT_TRUE(std::isfinite(run.final.front())) << what;
  }
}

TEST(Quantised, Int8AndFloat8WeightsAreTheirNumbersTimesTheirScales) {
  uint64_t seed = 1;
  for (Version version : {Version::kV4, Version::kV6, Version::kV7})
    for (const Scheme& scheme : kSchemes) {
      const SyntheticModel m = make_model(shape_for(version));
      expect_same_model(store_random(m.arrays, scheme, ++seed),
                        concat("v", name_of(version), " ", scheme.name), scheme.name);
    }
}

TEST(Quantised, AreFoundUnderTheNamesOfEveryLayout) {
  const SyntheticModel v6 = make_model(shape_for(Version::kV6));
  const SyntheticModel v7 = make_model(shape_for(Version::kV7));
  for (const Scheme& scheme : kSchemes) {
    expect_same_model(store_random(hugging_face(v6), scheme, 11), "Hugging Face", scheme.name);
    expect_same_model(store_random(fla_v6(v6), scheme, 12), "fla 6", scheme.name);
    expect_same_model(store_random(fla_v7(v7), scheme, 13), "fla 7", scheme.name);
  }
}

TEST(Quantised, RowsAreReadAlikeInAnyPieces) {
  const SyntheticModel m = make_model(shape_for(Version::kV6));
  for (const Arrays& arrays : {m.arrays, fla_v6(m)})
    for (const Scheme& scheme : kSchemes) {
      const StoredModel stored = store_random(arrays, scheme, 21);
      const TempFolder folder;
      write_raw(folder.file("q.safetensors"), stored.tensors);
      write_arrays(folder.file("f.safetensors"), stored.meaning);
      const Checkpoint a = Checkpoint::open(folder.file("q.safetensors")),
                       b = Checkpoint::open(folder.file("f.safetensors"));
      Names q(a), f(b);
      for (const char* name : {"att.key.weight", "att.time_maa_w1", "att.time_maa_w2.r"}) {
        const SourceWeight x = q.get(name, 1), y = f.get(name, 1);
        ASSERT_EQ(x.rows(), y.rows());
        for (size_t begin = 0; begin <= x.rows(); ++begin)
          for (size_t end = begin; end <= x.rows(); ++end) {
            std::vector<float> got((end - begin) * x.cols()), want(got.size());
            read_rows(x, begin, end, got.data());
            read_rows(y, begin, end, want.data());
            ASSERT_EQ(got, want) << name << " " << scheme.name << " " << begin << " " << end;
          }
      }
    }
}

TEST(Quantised, EveryFloat8NumberIsRead) {
  for (const bool e5m2 : {false, true}) {
    std::vector<uint8_t> all(256);
    for (size_t i = 0; i < 256; ++i) all[i] = static_cast<uint8_t>(i);
    const Tensor t{.name = "w",
                   .dtype = e5m2 ? StoredType::kF8E5M2 : StoredType::kF8E4M3,
                   .shape = {256},
                   .strides = {},
                   .bytes = std::as_bytes(std::span(all))};
    std::vector<float> values(256);
    read_f32(t, 0, 256, values);
    for (size_t i = 0; i < 256; ++i) {
      const double want = float8_value(all[i], e5m2);
      if (std::isnan(want))
        EXPECT_TRUE(std::isnan(values[i])) << i;
      else
        EXPECT_EQ(values[i], want) << i;
    }
  }
}

TEST(Quantised, Float8WithoutScalesIsPlainFloats) {
  const SyntheticModel m = make_model(shape_for(Version::kV6));
  StoredModel stored = store_random(m.arrays, kSchemes[3], 31);
  Arrays meaning;
  std::vector<RawTensor> kept;
  for (RawTensor& t : stored.tensors) {
    if (t.name.ends_with("_scale")) continue;
    if (t.dtype == StoredType::kF8E4M3)  // small numbers, so that nothing overflows
      for (char& c : t.bytes) c = static_cast<char>(c & 0xa7);
    kept.push_back(t);
  }
  for (Array& a : stored.meaning) {
    const auto& t = *std::ranges::find(kept, a.name, &RawTensor::name);
    for (size_t i = 0; t.dtype == StoredType::kF8E4M3 && i < a.values.size(); ++i)
      a.values[i] = static_cast<float>(float8_value(static_cast<uint8_t>(t.bytes[i]), false));
  }
  stored.tensors = kept;
  expect_same_model(stored, "plain float8", "F8_E4M3");
}

TEST(Quantised, ExportsHoldWhatTheNumbersMean) {
  const SyntheticModel m = make_model(shape_for(Version::kV6));
  const StoredModel stored = store_random(m.arrays, kSchemes[0], 41);
  const TempFolder folder;
  write_raw(folder.file("q.safetensors"), stored.tensors);
  write_arrays(folder.file("f.safetensors"), stored.meaning);
  const Exported a = to_hugging_face(folder.file("q.safetensors")),
                 b = to_hugging_face(folder.file("f.safetensors"));
  EXPECT_EQ(read_whole(a.file), read_whole(b.file));
  EXPECT_EQ(read_whole(to_gguf(folder.file("q.safetensors")).file),
            read_whole(to_gguf(folder.file("f.safetensors")).file));
}

TEST(Quantised, TheCacheOfPackedWeightsHoldsWhatTheNumbersMean) {
  const SyntheticModel m = make_model(shape_for(Version::kV7));
  const StoredModel stored = store_random(m.arrays, kSchemes[1], 42);
  const TempFolder folder;
  write_raw(folder.file("q.safetensors"), stored.tensors);
  write_arrays(folder.file("f.safetensors"), stored.meaning);
  ModelOptions options;
  options.cache.folder = folder.file("cache");
  const auto ids = random_ids(9, 37, 3);
  Workspace work(1);
  const Model plain = Model::open(folder.file("f.safetensors"), cpu_backend());
  ModelRun expected = run_model(plain, ids, 0, work);
  for (int i = 0; i < 2; ++i) {  // written, then mapped
    const Model model = Model::open(folder.file("q.safetensors"), cpu_backend(), options);
    ModelRun run = run_model(model, ids, 0, work);
    expect_same_run(run, expected, concat("opening ", i));
  }
}

// ---- what is refused

class RefusedWeights : public testing::Test {
 protected:
  RefusedWeights() {
    for (const Array& a : make_model(shape_for(Version::kV7)).arrays) tensors_.push_back(raw(a));
  }
  RawTensor& at(const std::string& name) {
    return *std::ranges::find(tensors_, name, &RawTensor::name);
  }
  void drop(const std::string& name) {
    std::erase_if(tensors_, [&](const RawTensor& t) { return t.name == name; });
  }
  // As this type, all bytes `byte`.
  void store(const std::string& name, StoredType dtype, char byte = 1) {
    RawTensor& t = at(name);
    size_t n = 1;
    for (size_t d : t.shape) n *= d;
    t.dtype = dtype;
    t.bytes.assign(n * dtype_info(dtype).block_bytes, byte);
  }
  void add(const std::string& name, StoredType dtype, std::vector<size_t> shape, char byte = 0) {
    size_t n = 1;
    for (size_t d : shape) n *= d;
    tensors_.push_back(
        {name, dtype, std::move(shape), std::string(n * dtype_info(dtype).block_bytes, byte)});
  }
  void expect(const std::vector<std::string>& words, const Json& config = nullptr) {
    const TempFolder folder;
    write_raw(folder.file("model.safetensors"), tensors_);
    if (!config.is_null()) folder.write("config.json", config.dump());
    for (const std::string& word : words)
      EXPECT_THAT([&] { Model::open(folder.path(), reference_backend()); },
                  ThrowsMessage<Error>(AllOf(HasSubstr(word), HasSubstr(folder.path().string()))));
  }

  std::vector<RawTensor> tensors_;
  const std::string key_ = "blocks.1.att.key", weight_ = key_ + ".weight";
};

TEST_F(RefusedWeights, IntegersAreNoWeights) {
  for (StoredType dtype :
       {StoredType::kBool, StoredType::kU8, StoredType::kI16, StoredType::kI32, StoredType::kI64}) {
    for (const std::string& name : {weight_, std::string("blocks.0.ln1.weight"),
                                    std::string("emb.weight"), std::string("blocks.1.att.w1")}) {
      const auto before = tensors_;
      store(name, dtype);
      expect({name, std::string(name_of(dtype)), "no weight"});
      tensors_ = before;
    }
  }
}

TEST_F(RefusedWeights, Int8WithoutScales) {
  store(weight_, StoredType::kI8);
  expect({weight_, "I8", "without scales"});
  expect({"llm_int8 x"}, {{"quantization_config", {{"quant_method", "llm_int8 x"}}}});
}

TEST_F(RefusedWeights, Float8WhoseScalesConfigPromises) {
  store(weight_, StoredType::kF8E4M3);
  expect({weight_, "F8_E4M3", "without scales", "fp8"},
         {{"quantization_config", {{"quant_method", "fp8"}}}});
}

TEST_F(RefusedWeights, FourBitTypes) {
  for (const char* kind : {"nf4", "fp4"}) {
    const auto before = tensors_;
    RawTensor& t = at(weight_);
    t = {weight_, StoredType::kU8, {24 * 24 / 2, 1}, std::string(24 * 24 / 2, '\x12')};
    add(concat(weight_, ".quant_state.bitsandbytes__", kind), StoredType::kU8, {5});
    add(weight_ + ".absmax", StoredType::kF32, {9});
    expect({weight_, concat("bitsandbytes ", kind), "U8"});
    tensors_ = before;
  }
}

TEST_F(RefusedWeights, WeightsThatArePackedUnderOtherNames) {
  struct Case {
    std::vector<std::string> endings;
    const char *method, *word;
  };
  for (const Case& c :
       {Case{{".qweight", ".qzeros", ".scales", ".g_idx"}, "gptq", "gptq"},
        Case{{".qweight", ".qzeros", ".scales", ".g_idx"}, "", "GPTQ"},
        Case{{".qweight", ".qzeros", ".scales"}, "awq", "awq"},
        Case{{".weight_packed", ".weight_scale", ".weight_shape"}, "", "pack-quantized"},
        Case{{".weight._data", ".weight._scale"}, "", "quanto"}}) {
    const auto before = tensors_;
    drop("blocks.0.att.key.weight");
    for (const std::string& ending : c.endings)
      add("blocks.0.att.key" + ending, StoredType::kI32, {24, 3});
    const Json config = {{"quantization_config", {{"quant_method", c.method}}}};
    expect({"blocks.0.att.key", c.word}, *c.method ? config : Json(nullptr));
    tensors_ = before;
  }
}

TEST_F(RefusedWeights, ScalesOfAnotherForm) {
  store(weight_, StoredType::kI8);
  const auto int8 = tensors_;
  add(key_ + ".weight_scale", StoredType::kF32, {24, 3});  // groups of 8
  expect({weight_, "groups or blocks", "(24, 3)"});
  tensors_ = int8;
  add(key_ + ".weight_scale", StoredType::kF32, {12, 1});
  expect({weight_, "(12, 1)", "(24, 24)"});
  tensors_ = int8;
  add(key_ + ".weight_scale", StoredType::kU8, {24, 1});
  expect({weight_, "weight_scale is U8"});
  tensors_ = int8;
  add(key_ + ".weight_scale", StoredType::kF32, {24, 1});
  add(key_ + ".weight_zero_point", StoredType::kI8, {24, 1});
  expect({weight_, "weight_zero_point"});
  tensors_ = int8;
  add(key_ + ".weight_scale", StoredType::kF32, {24, 1});
  add(key_ + ".SCB", StoredType::kF32, {24});
  expect({weight_, "two scales"});
  tensors_ = int8;
  add(key_ + ".SCB", StoredType::kF32, {24});
  add(key_ + ".weight_format", StoredType::kU8, {}, 2);
  expect({weight_, "weight_format"});
}

TEST_F(RefusedWeights, ScalesOfBlocksOfFloat8) {
  store(weight_, StoredType::kF8E4M3);
  add(key_ + ".weight_scale_inv", StoredType::kF32, {3, 3});
  expect({weight_, "weight_scale_inv", "groups or blocks", "fp8"},
         {{"quantization_config", {{"quant_method", "fp8"}, {"weight_block_size", {8, 8}}}}});
}

TEST_F(RefusedWeights, ScalesBesideFloats) {
  add(key_ + ".weight_scale", StoredType::kF32, {24, 1});
  expect({key_ + ".weight_scale", "1 tensor", "scales of a quantised weight"});
}

TEST_F(RefusedWeights, MatricesThatAreStoredTheOtherWayRound) {
  store("blocks.1.att.w1", StoredType::kI8);  // (in, out), with a scale for each input
  add("blocks.1.att.w1.weight_scale", StoredType::kF32, {24, 1});
  expect({"blocks.1.att.w1", "cannot be transposed"});
}

}  // namespace
}  // namespace fathom::test::quantised_test
