// SPDX-License-Identifier: Apache-2.0
// fathom info.
#include "base/json.h"
#include "cli/models.h"

namespace fathom::test::info_test {
namespace {

using testing::HasSubstr;

OrderedJson info_json(const std::vector<std::string>& arguments) {
  std::vector<std::string> all = {"info", "--json"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const Outcome run = run_ok(all);
  EXPECT_EQ(run.err, "");
  return OrderedJson::parse(run.out);
}

TEST(Info, SaysWhatTheTensorsSay) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  const OrderedJson j = info_json({model});
  EXPECT_EQ(j["version"], "6");
  EXPECT_EQ(j["layout"], "BlinkDL");
  EXPECT_EQ(j["format"], "safetensors");
  EXPECT_EQ(j["n_layer"], 3);
  EXPECT_EQ(j["d_model"], 24);
  EXPECT_EQ(j["n_head"], 3);
  EXPECT_EQ(j["head_size"], 8);
  EXPECT_EQ(j["d_ffn"], 61);
  EXPECT_EQ(j["n_vocab"], 256);
  EXPECT_EQ(j["lora_rank"]["mix"], 3);
  EXPECT_EQ(j["lora_rank"]["decay"], 5);
  EXPECT_EQ(j["dtype"], "F32");
  size_t n_parameter = 0;
  for (const Array& a : make_model(byte_shape()).arrays) n_parameter += a.values.size();
  EXPECT_EQ(j["n_parameter"], n_parameter);
  EXPECT_EQ(j["files"], OrderedJson::array({model}));
  EXPECT_EQ(j["file_bytes"], std::filesystem::file_size(model));
  EXPECT_EQ(j["tokenizer"]["kind"], "byte");
  EXPECT_GT(j["packed_weight_bytes"]["f32"], 4 * 3 * (5 * 24 * 24 + 2 * 24 * 61));
  EXPECT_EQ(j["state_bytes"], 4 * 3 * (2 * 24 + 24 * 8));
  EXPECT_EQ(j["ignored_tensors"], OrderedJson::array());
}

TEST(Info, ReadsEveryVersion) {
  const std::pair<Version, const char*> versions[] = {
      {Version::kV4, "4"},     {Version::kV5_0, "5.0"}, {Version::kV5_1, "5.1"},
      {Version::kV5_2, "5.2"}, {Version::kV6, "6"},     {Version::kV7, "7"}};
  for (const auto& [version, name] : versions) {
    const TempFolder folder;
    const OrderedJson j = info_json({byte_model(folder, version)});
    EXPECT_EQ(j["version"], name);
    EXPECT_EQ(j["ln_x_eps"].is_null(), version == Version::kV4);  // it has no group norm
  }
}

TEST(Info, CountsTheTablesOfDeepEmbed) {
  const TempFolder folder;
  Shape shape = byte_shape(Version::kV7);
  const auto info = [&](const DeepEmbed& deep_embed) {
    shape.deep_embed = deep_embed;
    const std::string path = folder.file("m.st");
    write_arrays(path, make_model(shape).arrays, StoredType::kBF16);
    return path;
  };
  const size_t plain = info_json({info({})})["packed_weight_bytes"]["f32"];
  const std::string path = info({4, 5, true});
  const OrderedJson j = info_json({path});
  EXPECT_EQ(j["version"], "7a");
  EXPECT_EQ(j["deep_embed"], (OrderedJson{{"n_in", 4}, {"n_out", 5}, {"s_emb_x", true}}));
  EXPECT_EQ(j["table_bytes"], 3u * 256 * 20 * 2);
  // Beside the tables: s1 (24, 4), s2 (5, 61), s0 (61) and s_emb_x (20, 24) in three blocks.
  EXPECT_EQ(j["packed_weight_bytes"]["f32"], plain + 3u * 4 * (24 * 4 + 5 * 61 + 61 + 20 * 24));
  EXPECT_EQ(j["ignored_tensors"], OrderedJson::array());
  const std::string text = run_ok({"info", path}).out;
  EXPECT_THAT(text, HasSubstr("RWKV-7a"));
  EXPECT_THAT(text, HasSubstr("of tables that stay in the file"));
}

TEST(Info, FindsTheLayoutAndTheReasonForTheEpsilon) {
  const TempFolder folder;
  write_hugging_face(folder.path(), make_model(byte_shape()), StoredType::kBF16);
  const OrderedJson j = info_json({folder.path()});
  EXPECT_EQ(j["layout"], "Hugging Face");
  EXPECT_EQ(j["dtype"], "BF16");
  EXPECT_THAT(j["ln_x_eps_reason"].get<std::string>(), HasSubstr("head_size_divisor"));
  EXPECT_FLOAT_EQ(info_json({folder.path(), "--ln-x-eps", "0.5"})["ln_x_eps"].get<float>(), 0.5f);
}

TEST(Info, NamesTensorsThatNothingUses) {
  const TempFolder folder;
  SyntheticModel m = make_model(byte_shape());
  m.arrays.push_back({"blocks.0.att.surprise", {2}, {1, 2}});
  const std::string path = folder.file("m.st");
  write_arrays(path, m.arrays);
  EXPECT_EQ(info_json({path})["ignored_tensors"], OrderedJson::array({"blocks.0.att.surprise"}));
}

TEST(Info, SaysInWordsThatAVocabularyIsMissing) {
  const TempFolder folder;
  const std::string path = folder.file("m.st");
  Shape shape = byte_shape();
  shape.n_vocab = 300;
  write_arrays(path, make_model(shape).arrays);
  const Outcome run = run_ok({"info", path});
  EXPECT_THAT(run.out, HasSubstr("RWKV-6"));
  EXPECT_THAT(run.out, HasSubstr("--vocab FILE"));
}

TEST(Info, TellsWhatTheRealTinyModelIs) {
  if (tiny_v6().empty()) GTEST_SKIP() << "no shared data";
  const OrderedJson j = info_json({tiny_v6()});
  EXPECT_EQ(j["format"], "ggmf");
  EXPECT_EQ(j["n_layer"], 12);
  EXPECT_EQ(j["d_model"], 64);
  EXPECT_EQ(j["head_size"], 8);
  EXPECT_EQ(j["d_ffn"], 224);
}

}  // namespace
}  // namespace fathom::test::info_test
