// SPDX-License-Identifier: Apache-2.0
// config.json beside the weights: used if it is theirs, else a note; and the layer norms' epsilon.
#include "model/config_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/json.h"
#include "model/run_model.h"
#include "model/synthetic_layouts.h"

namespace fathom::test::config_json_test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::ThrowsMessage;

SyntheticModel small_model(Version version = Version::kV6) {
  return make_model({.version = version, .n_vocab = 37, .n_layer = 2, .d_model = 24, .d_ffn = 61});
}

// Sizes of small_model().
Json fitting() { return {{"hidden_size", 24}, {"num_hidden_layers", 2}, {"vocab_size", 37}}; }

Json with(Json config, const char* key, const Json& value) {
  config[key] = value;
  return config;
}

// The model of one weight file, in several formats, with this config.json beside it.
void for_each_file(const std::string& config, const std::function<void(const Model&)>& check) {
  const SyntheticModel m = small_model();
  for (const char* name : {"m.safetensors", "m.bin", "m.gguf", "hf"}) {
    SCOPED_TRACE(name);
    const TempFolder folder;
    const std::string_view kind = name;
    std::filesystem::path path = folder.file(name);
    if (kind == "m.safetensors") {
      write_arrays(path, m.arrays);
    } else if (kind == "m.bin") {
      write_rwkv_cpp(path, m);
    } else if (kind == "m.gguf") {
      write_gguf_model(path, m, gguf(m));
    } else {
      write_hugging_face(folder.path(), m);
      path = folder.path();
    }
    folder.write("config.json", config);
    check(Model::open(path, reference_backend()));
  }
}

TEST(ConfigJson, IsUsedWhereItsSizesAreTheTensors) {
  for (const Json& sizes : {fitting(), Json{{"hidden_size", 24}}, Json{{"vocab_size", 37}},
                            Json{{"num_hidden_layers", 2}}, with(fitting(), "vocab_size", nullptr),
                            with(fitting(), "intermediate_size", nullptr)}) {
    const TempFolder folder;
    write_arrays(folder.file("m.safetensors"), small_model().arrays);
    folder.write("config.json", dump_json(with(sizes, "layer_norm_epsilon", 1e-4)));
    const Model model = Model::open(folder.file("m.safetensors"), reference_backend());
    EXPECT_FLOAT_EQ(model.config().ln_eps, 1e-4f);
    EXPECT_THAT(model.info().notes, Each(Not(HasSubstr("config.json"))));
  }
}

TEST(ConfigJson, OfAnotherModelIsANoteAndChangesNothing) {
  for (const auto& [key, value] : {std::pair("hidden_size", 2048), std::pair("vocab_size", 32000),
                                   std::pair("num_hidden_layers", 24)}) {
    Json config = with(with(fitting(), key, value), "layer_norm_epsilon", 0.1);
    config["head_size_divisor"] = 2;
    config["group_norm_epsilon"] = 0.5;
    for_each_file(dump_json(config), [&, key = key](const Model& model) {
      EXPECT_FLOAT_EQ(model.config().ln_eps, 1e-5f);
      EXPECT_FLOAT_EQ(model.config().ln_x_eps, 64e-5f);
      EXPECT_THAT(model.info().notes,
                  Contains(AllOf(HasSubstr("config.json"), HasSubstr(key), HasSubstr("not used"))));
    });
  }
}

// Nothing says whose it is: it goes with the names that Hugging Face's programs write.
TEST(ConfigJson, WithoutASizeBelongsToHuggingFacesFilesAlone) {
  const SyntheticModel m = small_model();
  const std::string config = R"({"layer_norm_epsilon": 1e-4})";
  const TempFolder bare, folder;
  write_arrays(bare.file("rwkv.safetensors"), m.arrays);
  bare.write("config.json", config);
  const Model without = Model::open(bare.file("rwkv.safetensors"), reference_backend());
  EXPECT_FLOAT_EQ(without.config().ln_eps, 1e-5f);
  EXPECT_THAT(without.info().notes, Contains(HasSubstr("none of the model's sizes")));
  write_hugging_face(folder.path(), m);
  folder.write("config.json", config);
  for (const auto& path : {folder.path(), folder.file("model.safetensors")})
    EXPECT_FLOAT_EQ(Model::open(path, reference_backend()).config().ln_eps, 1e-4f);
}

TEST(ConfigJson, ThatCannotBeReadIsANote) {
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{"), std::string("Infinity"),
        std::string(100'000, '['),
        "{\"a\":" + std::string(5000, '[') + std::string(5000, ']') + "}"})
    for_each_file(text, [](const Model& model) {
      EXPECT_FLOAT_EQ(model.config().ln_eps, 1e-5f);
      EXPECT_THAT(model.info().notes,
                  Contains(AllOf(HasSubstr("config.json"), HasSubstr("not used"))));
    });
  // Infinity as Python writes it: the rest holds.
  for_each_file(R"({"hidden_size": 24, "time_step_limit": [0.0, Infinity], "norm_eps": NaN})",
                [](const Model& model) {
                  EXPECT_FLOAT_EQ(model.config().ln_eps, 1e-5f);
                  EXPECT_THAT(model.info().notes, Contains(HasSubstr("Infinity")));
                });
}

TEST(LayerNormEpsilon, OutOfRangeIsAnErrorThatSaysHowToForceIt) {
  for (const char* key : {"layer_norm_epsilon", "norm_eps"})
    for (double eps : {0.1, 2e-3, 1.0, 0.0, -1e-5, 1e300}) {
      const TempFolder folder;
      write_arrays(folder.file("m.safetensors"), small_model().arrays);
      folder.write("config.json", dump_json(with(fitting(), key, eps)));
      EXPECT_THAT([&] { Model::open(folder.file("m.safetensors"), reference_backend()); },
                  ThrowsMessage<Error>(AllOf(HasSubstr("config.json"), HasSubstr(key),
                                             HasSubstr(concat(eps)), HasSubstr("`ln_eps`"))));
      ModelOptions options;
      options.ln_eps = 0.1f;
      EXPECT_FLOAT_EQ(
          Model::open(folder.file("m.safetensors"), reference_backend(), options).config().ln_eps,
          0.1f);
    }
}

TEST(LayerNormEpsilon, OfAGgufToo) {
  const SyntheticModel m = small_model();
  const TempFolder folder;
  const std::vector<Array> arrays = gguf(m);  // which the tensors are views of
  std::vector<TensorToWrite> tensors;
  for (const Array& a : arrays) tensors.push_back(to_write(a));
  write_gguf(folder.file("m.gguf"),
             {{"general.architecture", std::string("rwkv6")},
              {"rwkv6.attention.layer_norm_epsilon", 0.1f},
              {"rwkv6.wkv.head_size", static_cast<uint32_t>(m.shape.head_size)}},
             tensors);
  EXPECT_THAT([&] { Model::open(folder.file("m.gguf"), reference_backend()); },
              ThrowsMessage<Error>(AllOf(HasSubstr("m.gguf"), HasSubstr("layer_norm_epsilon"),
                                         HasSubstr("`ln_eps`"))));
}

// fla's group norm takes head_dim times the layer norms' epsilon, whoever gave it.
TEST(LayerNormEpsilon, GivenByTheUserReachesFlasGroupNorm) {
  const SyntheticModel m = small_model(Version::kV7);
  const TempFolder folder;
  write_arrays(folder.file("m.safetensors"), fla_v7(m));
  ModelOptions options;
  options.ln_eps = 1e-4f;
  const Model model = Model::open(folder.file("m.safetensors"), reference_backend(), options);
  EXPECT_FLOAT_EQ(model.config().ln_eps, 1e-4f);
  EXPECT_FLOAT_EQ(model.config().ln_x_eps, static_cast<float>(m.shape.head_size) * 1e-4f);
}

}  // namespace
}  // namespace fathom::test::config_json_test
