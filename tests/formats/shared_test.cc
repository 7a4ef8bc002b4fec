// SPDX-License-Identifier: Apache-2.0
// Opens every model of the shared data. What the numbers mean is tested in tests/model; here: that
// all files are read, with the tensors and shapes they have, and that files which hold the same
// weights agree.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/build_files.h"
#include "formats/temp_folder.h"

namespace fathom::shared_test {
namespace {

namespace fs = std::filesystem;

using test::values_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Golden : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(folder_)) GTEST_SKIP() << "no shared data at " << folder_;
  }
  Checkpoint open(std::string_view path) const { return Checkpoint::open(folder_ / path); }
  fs::path folder_ = test::shared_folder() / "golden";
};

void expect_finite(const Checkpoint& checkpoint) {
  for (const Tensor& t : checkpoint.tensors())
    for (float v : values_of(t)) ASSERT_TRUE(std::isfinite(v)) << t.name;
}

void expect_same_values(const Checkpoint& a, const Checkpoint& b) {
  ASSERT_EQ(a.tensors().size(), b.tensors().size());
  for (const Tensor& t : a.tensors()) {
    const Tensor* other = b.find(t.name);
    ASSERT_NE(other, nullptr) << t.name;
    EXPECT_EQ(t.shape, other->shape) << t.name;
    EXPECT_EQ(values_of(t), values_of(*other)) << t.name;
  }
}

TEST_F(Golden, EveryModelOpens) {
  struct Model {
    const char* path;
    FileFormat format;
    size_t n_tensor;
  };
  for (const auto& [path, format, n_tensor] :
       {Model{"embrwkv/model.pth", FileFormat::kTorch, 80},
        {"tiny_4v0/model.pth", FileFormat::kTorch, 78},
        {"tiny_7v0/model.pth", FileFormat::kTorch, 399},
        {"v4_hf", FileFormat::kTorch, 60},
        {"v4_pth/model.pth", FileFormat::kTorch, 60},
        {"v5_hf", FileFormat::kTorch, 72},
        {"v6_decay/model.pth", FileFormat::kTorch, 62},
        {"v6_gguf/model-f16.gguf", FileFormat::kGguf, 78},
        {"v6_gguf/model-f32.gguf", FileFormat::kGguf, 78},
        {"v6_gguf/model-q8_0.gguf", FileFormat::kGguf, 78},
        {"v6_hf", FileFormat::kSafetensors, 62},
        {"v6_hf/pytorch_model.bin", FileFormat::kTorch, 62},
        {"v6_hf_deep", FileFormat::kSafetensors, 370},
        {"v6_hf_fullvocab", FileFormat::kSafetensors, 62},
        {"v6_hf_sharded", FileFormat::kSafetensors, 62},
        {"v6_hf_sharded/pytorch_model.bin.index.json", FileFormat::kTorch, 62},
        {"v6_overflow/model.pth", FileFormat::kTorch, 202},
        {"v6_pth/model.pth", FileFormat::kTorch, 90},
        {"v7_decay/model.pth", FileFormat::kTorch, 72},
        {"v7_fla", FileFormat::kSafetensors, 102},
        {"v7_fla_n32", FileFormat::kSafetensors, 102},
        {"v7_gguf/model-f16.gguf", FileFormat::kGguf, 62},
        {"v7_gguf/model-f32.gguf", FileFormat::kGguf, 62},
        {"v7_gguf/model-q8_0.gguf", FileFormat::kGguf, 62},
        {"v7_pth/model.pth", FileFormat::kTorch, 105}}) {
    SCOPED_TRACE(path);
    const Checkpoint checkpoint = open(path);
    EXPECT_EQ(checkpoint.format(), format);
    EXPECT_EQ(checkpoint.tensors().size(), n_tensor);
    expect_finite(checkpoint);
  }
}

TEST_F(Golden, FolderWithOneModelBesideOtherFilesOpens) {
  const Checkpoint checkpoint = open("v7_pth");
  EXPECT_THAT(checkpoint.files(), ElementsAre(folder_ / "v7_pth/model.pth"));
  EXPECT_THAT(test::refusal([&] { open("v7_gguf"); }), HasSubstr("several weight files"));
}

TEST_F(Golden, SafetensorsAndPickleOfOneModelAgree) {
  expect_same_values(open("v6_hf/model.safetensors"), open("v6_hf/pytorch_model.bin"));
  const Checkpoint safetensors = open("v6_hf_sharded");
  const Checkpoint bin = open("v6_hf_sharded/pytorch_model.bin.index.json");
  EXPECT_EQ(safetensors.files().size(), 3u);
  EXPECT_EQ(bin.files().size(), 3u);
  expect_same_values(safetensors, bin);
}

TEST_F(Golden, ConfigIsRead) {
  EXPECT_EQ(open("v6_hf").config().at("model_type"), "rwkv6");
  EXPECT_EQ(open("v6_hf/pytorch_model.bin").config().at("model_type"), "rwkv6");
  EXPECT_EQ(open("v6_hf").attributes().at("format"), "pt");
}

TEST_F(Golden, StridedAndSharedStoragesAreViews) {
  const Checkpoint checkpoint = open("v6_pth/model.pth");
  const auto strided = std::count_if(checkpoint.tensors().begin(), checkpoint.tensors().end(),
                                     [](const Tensor& t) { return !t.strides.empty(); });
  EXPECT_GT(strided, 0);
  // Views that do not touch lie in one mapping, in storages named by fewer files than tensors.
  std::vector<const std::byte*> starts;
  for (const Tensor& t : checkpoint.tensors()) starts.push_back(t.bytes.data());
  std::sort(starts.begin(), starts.end());
  EXPECT_EQ(std::adjacent_find(starts.begin(), starts.end()), starts.end());
}

TEST_F(Golden, GgufPrecisionsOfOneModelAreClose) {
  for (const char* folder : {"v6_gguf/", "v7_gguf/"}) {
    const Checkpoint f32 = open(std::string(folder) + "model-f32.gguf");
    for (const char* other : {"model-f16.gguf", "model-q8_0.gguf"}) {
      const Checkpoint checkpoint = open(std::string(folder) + other);
      for (const Tensor& t : f32.tensors()) {
        SCOPED_TRACE(std::string(folder) + other + " " + t.name);
        const std::vector<float> expected = values_of(t), got = values_of(*checkpoint.find(t.name));
        double difference = 0, norm = 1e-30;
        for (size_t i = 0; i < got.size(); ++i) {
          difference += std::pow(got[i] - expected[i], 2);
          norm += std::pow(expected[i], 2);
        }
        EXPECT_LT(std::sqrt(difference / norm), 0.01);
      }
    }
  }
}

TEST_F(Golden, GgufMetadataIsRead) {
  const Checkpoint checkpoint = open("v7_gguf/model-q8_0.gguf");
  EXPECT_EQ(std::get<std::string_view>(checkpoint.metadata().at("general.architecture")), "rwkv7");
}

TEST_F(Golden, NamesOfEmbeddingRwkvStay) {
  const Checkpoint checkpoint = open("embrwkv/model.pth");
  EXPECT_NE(checkpoint.find("rwkv.emb.weight"), nullptr);
  EXPECT_NE(checkpoint.find("head.cls_head.fc1.weight"), nullptr);
  EXPECT_THAT(checkpoint.notes(), IsEmpty());
}

class SharedModels : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(folder_)) GTEST_SKIP() << "no shared data at " << folder_;
  }
  fs::path folder_ = test::shared_folder() / "data" / "models";
};

TEST_F(SharedModels, EveryTinyModelOfRwkvCppOpens) {
  size_t n_open = 0;
  for (const auto& entry : fs::directory_iterator(folder_ / "rwkv.cpp-tiny")) {
    SCOPED_TRACE(entry.path());
    const std::string name = entry.path().filename().string();
    if (name.starts_with("expected-logits")) {
      EXPECT_THAT(test::refusal([&] { Checkpoint::open(entry.path()); }),
                  HasSubstr("not a known format"));
      continue;
    }
    const Checkpoint checkpoint = Checkpoint::open(entry.path());
    ASSERT_NE(checkpoint.ggmf(), nullptr);
    EXPECT_EQ(checkpoint.ggmf()->n_vocab, 256u);
    EXPECT_THAT(checkpoint.find("emb.weight")->shape, ElementsAre(256, checkpoint.ggmf()->n_embed));
    expect_finite(checkpoint);
    ++n_open;
  }
  EXPECT_EQ(n_open, 17u);
}

TEST_F(SharedModels, QuantisedTinyModelsAreCloseToTheirOriginals) {
  const auto open = [&](const char* name) {
    return Checkpoint::open(folder_ / "rwkv.cpp-tiny" / name);
  };
  const Checkpoint f32 = open("tiny-rwkv-6v0-1m-FP32.bin");
  for (const auto& [name, bound] : {std::pair{"tiny-rwkv-6v0-1m-FP16.bin", 1e-3},
                                    {"tiny-rwkv-6v0-1m-Q5_0.bin", 0.07},
                                    {"tiny-rwkv-6v0-1m-Q5_1.bin", 0.07}}) {
    const Checkpoint other = open(name);
    for (const Tensor& t : f32.tensors()) {
      SCOPED_TRACE(std::string(name) + " " + t.name);
      const std::vector<float> expected = values_of(t), got = values_of(*other.find(t.name));
      double difference = 0, norm = 1e-30;
      for (size_t i = 0; i < got.size(); ++i) {
        difference += std::pow(got[i] - expected[i], 2);
        norm += std::pow(expected[i], 2);
      }
      EXPECT_LT(std::sqrt(difference / norm), bound);
    }
  }
}

TEST_F(SharedModels, RealPthOfAModernPyTorchOpens) {
  const Checkpoint checkpoint = Checkpoint::open(folder_ / "RWKV-LM-v8-toys");
  EXPECT_EQ(checkpoint.format(), FileFormat::kTorch);
  EXPECT_EQ(checkpoint.tensors().size(), 99u);
  EXPECT_NE(checkpoint.find("rwkv1.x_r"), nullptr);
  expect_finite(checkpoint);
}

}  // namespace
}  // namespace fathom::shared_test
