// SPDX-License-Identifier: Apache-2.0
// Tensors that nothing of a model takes: an error, harmless by name, or left out as asked.
#include "model/unused.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/build_files.h"
#include "model/run_model.h"

namespace fathom::test::unused_test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::ThrowsMessage;

SyntheticModel model_of(Version version) {
  return make_model({.version = version, .n_layer = 2, .d_model = 24, .d_ffn = 61});
}
SyntheticModel with(SyntheticModel m, const std::vector<std::string>& names) {
  for (const std::string& name : names)
    m.arrays.push_back({name, {24, 24}, std::vector<float>(24 * 24, 0.5f)});
  return m;
}

TEST(Unused, ATensorThatNothingTakesIsAnError) {
  for (Version version : {Version::kV4, Version::kV5_2, Version::kV6, Version::kV7})
    EXPECT_THAT([&] { open_blinkdl(with(model_of(version), {"extra.x"}), reference_backend()); },
                ThrowsMessage<Error>(AllOf(HasSubstr("1 tensor is not part of RWKV-"),
                                           HasSubstr("extra.x"), HasSubstr("`ignore_tensors`"))));
  EXPECT_THAT(
      [&] {
        open_blinkdl(with(model_of(Version::kV6), {"x1", "x2", "x3", "x4"}), reference_backend());
      },
      ThrowsMessage<Error>(
          AllOf(HasSubstr("4 tensors"), HasSubstr("x1, x2, x3, ..."), Not(HasSubstr("x4")))));
}

TEST(Unused, TheErrorSaysWhatTheTensorsBelongTo) {
  struct Case {
    std::vector<std::string> names;
    const char* words;
  };
  for (const Case& c : {
           Case{{"moba.0.q.weight", "moba.0.k.weight"}, "RWKV-X"},
           Case{{"blocks.0.att.key.lora_A", "blocks.0.att.key.lora_B"}, "LoRA adapter"},
           Case{{"blocks.0.att.key.lora_A.default.weight"}, "LoRA adapter"},
           Case{{"blocks.0.att.key.lora_magnitude_vector"}, "DoRA"},
           Case{{"emb.lora_embedding_A"}, "LoRA adapter of the embedding"},
           Case{{"blocks.0.att.key.bone"}, "Bone"},
           Case{{"blocks.0.att.key.disha"}, "DiSHA"},
           Case{{"blocks.0.att.key.bias"}, "bias of a linear layer"},
           Case{{"blocks.1.ffn.value.bias"}, "bias of a linear layer"},
           Case{{"head.bias"}, "bias of a linear layer"},
           Case{{"blocks.1.tiny_ln.weight", "blocks.1.tiny_q.weight"}, "tiny attention"},
           Case{{"pos_emb.weight"}, "learned positions"},
           Case{{"blocks.0.pos_emb_x"}, "learned positions"},
           Case{{"head.modules_to_save.default.weight"}, "PEFT"},
       })
    EXPECT_THAT([&] { open_blinkdl(with(model_of(Version::kV7), c.names), reference_backend()); },
                ThrowsMessage<Error>(AllOf(HasSubstr(c.names.front()), HasSubstr(c.words))))
        << c.names.front();
}

TEST(Unused, OtherSpellingsAreReadToo) {
  // In Hugging Face's names, under a wrapper's, and in a GGUF.
  SyntheticModel m = model_of(Version::kV6);
  const TempFolder folder;
  Arrays arrays = hugging_face(m);
  arrays.push_back({"rwkv.blocks.0.attention.key.bias", {24}, std::vector<float>(24)});
  write_arrays(folder.file("m.safetensors"), arrays);
  EXPECT_THAT([&] { Model::open(folder.file("m.safetensors"), reference_backend()); },
              ThrowsMessage<Error>(HasSubstr("bias of a linear layer")));
  arrays = gguf(m);
  arrays.push_back({"blk.0.time_mix_key.bias", {24}, std::vector<float>(24)});
  write_gguf_model(folder.file("m.gguf"), m, arrays);
  EXPECT_THAT([&] { Model::open(folder.file("m.gguf"), reference_backend()); },
              ThrowsMessage<Error>(HasSubstr("blk.0.time_mix_key.bias")));
}

TEST(Unused, HarmlessOnesAreNoError) {
  const std::vector<std::string> names = {
      "blocks.0.att.v0",          "blocks.0.att.v1",         "blocks.0.att.v2",
      "vit.blocks.0.attn.weight", "proj.gate.weight",        "head.sts_head.fc1.weight",
      "optimizer.0.exp_avg",      "emb.weight.exp_avg_sq",   "blocks.0.att.rotary_emb.inv_freq",
      "embeddings.position_ids",  "vit2.num_batches_tracked"};
  const Model model = open_blinkdl(with(model_of(Version::kV7), names), reference_backend());
  EXPECT_EQ(model.info().ignored, names);
  EXPECT_EQ(model.info().refusal, "");
  // The dummies of block 0 are RWKV-7's; in another version or block they are something else.
  EXPECT_THROW(open_blinkdl(with(model_of(Version::kV6), {"blocks.0.att.v0"}), reference_backend()),
               Error);
}

TEST(Unused, IgnoredTensorsAreAsIfTheyWereNotThere) {
  const SyntheticModel m = model_of(Version::kV7);
  ModelOptions options;
  options.ignore_tensors = {"moba.*", "blocks.?.att.key.bi[ao]s", "nothing*"};
  const SyntheticModel more =
      with(m, {"moba.0.q.weight", "moba.1.q.weight", "blocks.1.att.key.bias"});
  const Model model = open_blinkdl(more, reference_backend(), options);
  const ModelInfo& info = model.info();
  EXPECT_THAT(info.ignored_by_user,
              ElementsAre("moba.0.q.weight", "moba.1.q.weight", "blocks.1.att.key.bias"));
  EXPECT_THAT(info.ignore_patterns, ElementsAre("moba.*", "blocks.?.att.key.bi[ao]s"));
  EXPECT_THAT(info.notes, Contains(AllOf(HasSubstr("3 tensors"), HasSubstr("moba.0.q.weight"))));
  EXPECT_THAT(info.messages, Contains(HasSubstr("'nothing*': matches no tensor")));
  EXPECT_THAT(info.ignored, IsEmpty());
  const auto ids = random_ids(7, 37, 1);
  Workspace work(1);
  const Model plain = open_blinkdl(m, reference_backend());
  ModelRun run = run_model(model, ids, 0, work), expected = run_model(plain, ids, 0, work);
  expect_same_run(run, expected, "ignored");
  // A pattern that takes a weight away is answered by what is missing.
  options.ignore_tensors = {"*.ln2.bias"};
  EXPECT_THAT([&] { open_blinkdl(m, reference_backend(), options); },
              ThrowsMessage<Error>(HasSubstr("ln2.bias")));
}

// A model with a tensor of a type that is not read, as safetensors.
std::string with_unknown_type(const std::string& file, const std::string& name,
                              const std::string& type) {
  const uint64_t n_header = [&] {
    uint64_t n = 0;
    std::memcpy(&n, file.data(), sizeof n);
    return n;
  }();
  Json header = Json::parse(file.substr(8, n_header));
  std::string data = file.substr(8 + n_header);
  header[name] = {
      {"dtype", type}, {"shape", {3, 4}}, {"data_offsets", {data.size(), data.size() + 24}}};
  return safetensors(header.dump(), data + std::string(24, '\x01'));
}

TEST(Unused, TypesThatAreNotReadCountAsAnyOther) {
  const SyntheticModel m = model_of(Version::kV6);
  const TempFolder folder;
  write_arrays(folder.file("plain.st"), m.arrays);
  const std::string plain = read_whole(folder.file("plain.st"));
  for (const char* type : {"U16", "U32", "U64", "C64", "F4", "F8_E8M0", "F6_E2M3"}) {
    const auto path = folder.write("m.st", with_unknown_type(plain, "extra.table", type));
    EXPECT_THAT(
        [&] { Model::open(path, reference_backend()); },
        ThrowsMessage<Error>(AllOf(HasSubstr("extra.table"), HasSubstr("1 tensor is not"))));
    ModelOptions options;
    options.ignore_tensors = {"extra.*"};
    EXPECT_THAT(Model::open(path, reference_backend(), options).info().ignored_by_user,
                ElementsAre("extra.table"));
    const auto harmless = folder.write("h.st", with_unknown_type(plain, "vit.table", type));
    EXPECT_THAT(Model::open(harmless, reference_backend()).info().ignored,
                ElementsAre("vit.table"));
    // As a weight it is refused, by name and type.
    const auto weight = folder.write("w.st", with_unknown_type(plain, "blocks.0.ln1.bias", type));
    EXPECT_THAT([&] { Model::open(weight, reference_backend()); },
                ThrowsMessage<Error>(AllOf(HasSubstr("blocks.0.ln1.bias"), HasSubstr(type))));
  }
}

TEST(Unused, PatternsAreThoseOfAShell) {
  const std::vector<std::string> patterns = {"moba.*", "x?z"};
  EXPECT_TRUE(matches_any("moba.0.a.b", patterns));
  EXPECT_TRUE(matches_any("xyz", patterns));
  EXPECT_FALSE(matches_any("a.moba.0", patterns));
  EXPECT_FALSE(matches_any("xz", patterns));
  EXPECT_FALSE(matches_any("anything", {}));
}

}  // namespace
}  // namespace fathom::test::unused_test
