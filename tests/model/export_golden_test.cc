// SPDX-License-Identifier: Apache-2.0
// Every model of the shared data, trained and made up, exported and read back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/exported.h"

namespace fathom::test::export_golden_test {
namespace {

struct SharedModel {
  const char* path;
  // rwkv.cpp keeps decays of v4 and v5, the layouts their logarithms: not bit for bit.
  bool through_logarithm = false;
};

const SharedModel kModels[] = {
    {"golden/v4_hf"},
    {"golden/v4_pth/model.pth"},
    {"golden/v5_hf"},
    {"golden/v6_hf/model.safetensors"},
    {"golden/v6_hf/pytorch_model.bin"},
    {"golden/v6_hf_deep"},
    {"golden/v6_hf_sharded"},
    {"golden/v6_hf_fullvocab"},
    {"golden/v6_pth/model.pth"},
    {"golden/v6_overflow/model.pth"},
    {"golden/v6_decay/model.pth"},
    {"golden/v6_gguf/model-f32.gguf"},
    {"golden/v6_gguf/model-f16.gguf"},
    {"golden/v6_gguf/model-q8_0.gguf"},
    {"golden/v7_gguf/model-f32.gguf"},
    {"golden/v7_gguf/model-q8_0.gguf"},
    {"golden/v7_fla"},
    {"golden/v7_fla_n32"},
    {"golden/v7_pth/model.pth"},
    {"golden/v7_decay/model.pth"},
    {"golden/embrwkv/model.pth"},
    {"golden/tiny_4v0/model.pth"},
    {"golden/tiny_7v0/model.pth"},
    {"data/models/rwkv.cpp-tiny/tiny-rwkv-4v0-660K-FP32.bin", true},
    {"data/models/rwkv.cpp-tiny/tiny-rwkv-5v1-730K-FP32.bin", true},
    {"data/models/rwkv.cpp-tiny/tiny-rwkv-5v2-730K-Q5_1.bin", true},
    {"data/models/rwkv.cpp-tiny/tiny-rwkv-6v0-1m-FP16.bin"},
    {"data/models/rwkv.cpp-tiny/tiny-rwkv-6v0-3m-Q5_1.bin"},
    {"data/models/rwkv.cpp-tiny/tiny-rwkv-7v0-834K-Q5_0.bin"},
};

class SharedModels : public testing::TestWithParam<SharedModel> {};
std::string model_name(const testing::TestParamInfo<SharedModel>& info) {
  std::string name = info.param.path;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, SharedModels, testing::ValuesIn(kModels), model_name);

TEST_P(SharedModels, AreTheSameAfterExport) {
  const fs::path path = shared_folder() / GetParam().path;
  if (!fs::exists(path)) GTEST_SKIP() << "no shared data: " << path;
  const Model model = Model::open(path, reference_backend());
  const Config& c = model.config();
  const auto ids = random_ids(13, c.n_vocab, 5);
  ModelRun before = run_file(path, ids);

  const Exported hf = to_hugging_face(path);
  ModelRun after = run_file(hf.file, ids);
  if (GetParam().through_logarithm) {
    EXPECT_LE(relative_error(after.hidden, before.hidden), 1e-5);
  } else {
    expect_same_run(before, after, hf.layout);
  }

  if (c.version < Version::kV6) return;
  const Exported gguf = to_gguf(path);
  ModelRun from_gguf = run_file(gguf.file, ids);
  if (!c.has_head) from_gguf.logits.clear();  // zeros, because llama.cpp asks for a head
  if (c.ln_x_eps == 64e-5f) {
    expect_same_run(before, from_gguf, "GGUF");
  } else {
    EXPECT_LE(relative_error(from_gguf.hidden, before.hidden), 1e-5);
  }
}

}  // namespace
}  // namespace fathom::test::export_golden_test
