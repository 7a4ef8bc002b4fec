// SPDX-License-Identifier: Apache-2.0
// Which weights a model has, from the command line: quantised ones, adapters, tensors left out; and
// that every output says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "cli/models.h"
#include "model/stored_numbers.h"

namespace fathom::test::weights_test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class Weights : public testing::Test {
 protected:
  std::string model(const std::vector<std::string>& extra = {}) const {
    Arrays arrays = make_model(byte_shape()).arrays;
    for (const std::string& name : extra) arrays.push_back({name, {2}, {1, 2}});
    write_arrays(path(), arrays);
    return path();
  }
  std::string path() const { return folder_.file("model.safetensors"); }
  std::string texts() const { return folder_.write("texts.txt", "a cat\nthe dog\n"); }

  // An adapter of one matrix, in a folder of its own.
  std::string adapter(const std::string& config = R"({"peft_type":"LORA","r":2,"lora_alpha":6})") {
    fs::create_directories(folder_.file("adapter"));
    Arrays pair = {{"base_model.model.blocks.1.ffn.key.lora_A.weight", {2, 24}, {}},
                   {"base_model.model.blocks.1.ffn.key.lora_B.weight", {61, 2}, {}}};
    for (Array& a : pair)
      for (size_t i = 0; i < a.shape[0] * a.shape[1]; ++i)
        a.values.push_back(0.25f * static_cast<float>(static_cast<int>(i % 7) - 3));
    write_arrays(folder_.file("adapter") / "adapter_model.safetensors", pair);
    folder_.write("adapter/adapter_config.json", config);
    return folder_.file("adapter");
  }
  // The same model with the adapter in its weights.
  std::string merged_by_hand() const {
    SyntheticModel m = make_model(byte_shape());
    for (Array& a : m.arrays)
      if (a.name == "blocks.1.ffn.key.weight")
        for (size_t r = 0; r < 61; ++r)
          for (size_t c = 0; c < 24; ++c) {
            double sum = 0;
            for (size_t k = 0; k < 2; ++k)
              sum += 0.25 * (static_cast<int>((r * 2 + k) % 7) - 3) * 0.25 *
                     (static_cast<int>((k * 24 + c) % 7) - 3);
            a.values[r * 24 + c] = static_cast<float>(a.values[r * 24 + c] + 3 * sum);
          }
    const std::string other = folder_.file("merged.st");
    write_arrays(other, m.arrays);
    return other;
  }
  std::string embed(const std::vector<std::string>& arguments, const std::string& output) const {
    std::vector<std::string> all = {"embed"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    for (const std::string& a :
         {std::string("-i"), texts(), std::string("-o"), folder_.file(output).string(),
          std::string("--layers"), std::string("all")})
      all.push_back(a);
    run_ok(all);
    return read_whole(folder_.file(output));
  }
  Json sidecar(const std::string& output) const {
    return Json::parse(read_whole(folder_.file(output + ".json")));
  }

  TempFolder folder_;
};

TEST_F(Weights, UnknownTensorsStopEveryCommandThatComputes) {
  const std::string m = model({"moba.0.q", "moba.0.k", "moba.1.q", "moba.1.k"});
  const std::string in = texts(), out = folder_.file("e.npy");
  const std::vector<std::string> words = {m, "4 tensors", "moba.0.q, moba.0.k, moba.1.q", "RWKV-X",
                                          "--ignore-tensors"};
  expect_refused(run_fathom({"embed", m, "-i", in, "-o", out}), kDataError, words);
  expect_refused(run_fathom({"trace", m, "--ids", "1", "-o", folder_.file("t.safetensors")}),
                 kDataError, words);
  expect_refused(run_fathom({"convert", m, folder_.file("c/").string() + "/"}), kDataError, words);
  expect_refused(run_fathom({"bench", m, "--tokens", "2"}), kDataError, words);
  EXPECT_FALSE(fs::exists(out));
  // info shows the file and says why it is refused.
  const Json j = Json::parse(run_ok({"info", m, "--json"}).out);
  EXPECT_THAT(j["refused"].get<std::string>(), HasSubstr("4 tensors"));
  EXPECT_EQ(j["ignored_tensors"].size(), 4u);
  EXPECT_THAT(run_ok({"info", m}).out, HasSubstr("refused"));
}

TEST_F(Weights, IgnoredTensorsAreRecorded) {
  const std::string plain = embed({model()}, "plain.npy");
  const std::string m = model({"moba.0.q", "moba.1.q", "blocks.0.att.key.bias"});
  const std::vector<std::string> ignore = {m, "--ignore-tensors", "moba.*", "--ignore-tensors",
                                           "*.key.bias"};
  EXPECT_EQ(embed(ignore, "e.npy"), plain);
  const Json made = sidecar("e.npy")["model"]["ignored_tensors"];
  EXPECT_EQ(made["patterns"], Json::array({"moba.*", "*.key.bias"}));
  EXPECT_EQ(made["names"], Json::array({"moba.0.q", "moba.1.q", "blocks.0.att.key.bias"}));
  EXPECT_FALSE(sidecar("plain.npy")["model"].contains("ignored_tensors"));
  // And in what convert writes.
  const std::string folder = folder_.file("out").string() + "/";
  run_ok({"convert", m, folder, "--ignore-tensors", "moba.*", "--ignore-tensors", "*.key.bias"});
  EXPECT_EQ(Json::parse(read_whole(folder +
                                   "config.json"))["converted_with"]["ignored_tensors"]["n_tensor"],
            3);
}

TEST_F(Weights, AdaptersAreMergedAndRecorded) {
  const std::string m = model(), a = adapter();
  const std::string merged = embed({m, "--adapter", a}, "merged.npy");
  EXPECT_EQ(merged, embed({merged_by_hand()}, "by_hand.npy"));
  EXPECT_NE(merged, embed({m}, "base.npy"));
  const Json made = sidecar("merged.npy")["model"]["adapters"];
  ASSERT_EQ(made.size(), 1u);
  EXPECT_EQ(made[0]["path"], a + "/adapter_model.safetensors");
  EXPECT_EQ(made[0]["rank"], 2);
  EXPECT_EQ(made[0]["alpha"], 6);
  EXPECT_EQ(made[0]["factor"], 3);
  EXPECT_EQ(made[0]["n_weight"], 1);
  EXPECT_THAT(run_ok({"info", m, "--adapter", a}).out, HasSubstr("merged the LoRA adapter"));
  // A converted model holds the sum.
  const std::string folder = folder_.file("out").string() + "/";
  run_ok({"convert", m, folder, "--adapter", a});
  EXPECT_EQ(
      read_arrays(folder + "model.safetensors")["rwkv.blocks.1.feed_forward.key.weight"].values,
      read_arrays(merged_by_hand())["blocks.1.ffn.key.weight"].values);
  EXPECT_TRUE(
      Json::parse(read_whole(folder + "config.json"))["converted_with"].contains("adapters"));
}

TEST_F(Weights, AdaptersThatAreNotPlainAreRefused) {
  const std::string m = model();
  const std::string dora = adapter(R"({"peft_type":"LORA","r":2,"lora_alpha":6,"use_dora":true})");
  expect_refused(run_fathom({"info", m, "--adapter", dora}), kDataError,
                 {"adapter_config.json", "use_dora"});
  fs::remove(folder_.file("adapter/adapter_config.json"));
  expect_refused(run_fathom({"info", m, "--adapter", dora}), kDataError, {"--adapter-alpha"});
  EXPECT_EQ(embed({m, "--adapter", dora, "--adapter-alpha", "6"}, "alpha.npy"),
            embed({merged_by_hand()}, "by_hand.npy"));
  expect_refused(run_fathom({"info", m, "--adapter", folder_.file("nothing")}), kDataError,
                 {"nothing"});
  expect_refused(run_fathom({"info", dora}), kDataError, {"adapter without its model"});
}

TEST_F(Weights, AnAdapterBesideTheModelIsANoteInEveryOutput) {
  const std::string m = model();
  folder_.write("adapter_config.json", R"({"peft_type":"LORA","r":2,"lora_alpha":6})");
  embed({m}, "e.npy");
  EXPECT_THAT(sidecar("e.npy")["model"]["adapter_not_merged"].get<std::string>(),
              HasSubstr("adapter_config.json"));
  EXPECT_THAT(run_ok({"info", m}).out, HasSubstr("is not merged"));
  EXPECT_THAT(run_ok({"embed", m, "-i", texts(), "-o", folder_.file("f.npy")}).err,
              HasSubstr("is not merged"));
}

TEST_F(Weights, QuantisedModelsAreReadAsWhatTheyMean) {
  const StoredModel stored = store_random(make_model(byte_shape()).arrays, kSchemes[0], 5);
  write_raw(path(), stored.tensors);
  write_arrays(folder_.file("floats.st"), stored.meaning);
  EXPECT_EQ(embed({path()}, "q.npy"), embed({folder_.file("floats.st")}, "f.npy"));
  EXPECT_EQ(Json::parse(run_ok({"info", path(), "--json"}).out)["dtype"], "I8 (bitsandbytes int8)");
  EXPECT_EQ(sidecar("q.npy")["model"]["stored_dtype"], "I8 (bitsandbytes int8)");
}

TEST_F(Weights, IntegersWithoutScalesAreRefused) {
  StoredModel stored = store_random(make_model(byte_shape()).arrays, kSchemes[0], 5);
  std::erase_if(stored.tensors, [](const RawTensor& t) { return t.name.ends_with(".SCB"); });
  write_raw(path(), stored.tensors);
  expect_refused(run_fathom({"embed", path(), "-i", texts(), "-o", folder_.file("e.npy")}),
                 kDataError, {path(), "I8", "without scales"});
}

}  // namespace
}  // namespace fathom::test::weights_test
