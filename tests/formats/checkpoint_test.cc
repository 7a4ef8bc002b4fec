// SPDX-License-Identifier: Apache-2.0
#include "formats/checkpoint.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "formats/build_files.h"
#include "formats/temp_folder.h"

namespace fathom::checkpoint_test {
namespace {

using test::data_of;
using test::refusal;
using test::safetensors;
using test::TempFolder;
using test::u16;
using test::u32;
using test::values_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// One F32 tensor.
std::string one_tensor(std::string_view name, float value) {
  return safetensors(std::string("{\"").append(name) +
                         R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                         R"("__metadata__":{"format":"pt"}})",
                     data_of<float>({value}));
}
std::string one_tensor_pth(std::string_view name, float value) {
  namespace p = test::pickle;
  const std::string tensor = p::tensor(p::storage("FloatStorage", "0", 1), 0, {1}, {1});
  return test::torch_zip(p::dict({{std::string(name), tensor}, {"step", p::integer(3)}}),
                         {{"0", data_of<float>({value})}});
}
std::string one_tensor_gguf(std::string_view name, float value,
                            const std::vector<std::string>& entries = {}) {
  return test::gguf(entries, {test::gguf_record(name, {1}, 0, 0)}, data_of<float>({value}));
}
std::string one_tensor_ggmf(std::string_view name, float value) {
  return test::ggmf_header() + test::ggmf_tensor(name, 0, {1}, data_of<float>({value}));
}

std::string refused(const std::filesystem::path& path) {
  return refusal([&] { Checkpoint::open(path); });
}

TEST(Checkpoint, FindsTheFormatInTheContentNotInTheName) {
  const TempFolder folder;
  for (const auto& [contents, format] : std::vector<std::pair<std::string, FileFormat>>{
           {one_tensor("w", 2), FileFormat::kSafetensors},
           {one_tensor_pth("w", 2), FileFormat::kTorch},
           {one_tensor_gguf("w", 2), FileFormat::kGguf},
           {one_tensor_ggmf("w", 2), FileFormat::kGgmf}}) {
    const auto path = folder.write("weights.xyz", contents);
    const Checkpoint checkpoint = Checkpoint::open(path);
    EXPECT_EQ(checkpoint.format(), format);
    EXPECT_THAT(checkpoint.files(), ElementsAre(path));
    EXPECT_EQ(checkpoint.file_bytes(), contents.size());
    EXPECT_EQ(checkpoint.directory(), folder.path());
    ASSERT_NE(checkpoint.find("w"), nullptr);
    EXPECT_THAT(values_of(*checkpoint.find("w")), ElementsAre(2));
    EXPECT_EQ(checkpoint.find("v"), nullptr);
    EXPECT_EQ(checkpoint.ggmf() != nullptr, format == FileFormat::kGgmf);
    EXPECT_EQ(checkpoint.attributes().is_object(), format == FileFormat::kSafetensors);
    EXPECT_EQ(checkpoint.extras().is_object(), format == FileFormat::kTorch);
    EXPECT_TRUE(checkpoint.config().is_null());
    EXPECT_THAT(checkpoint.notes(), IsEmpty());
  }
}

TEST(Checkpoint, FormatsHaveNames) {
  EXPECT_EQ(name_of(FileFormat::kSafetensors), "safetensors");
  EXPECT_EQ(name_of(FileFormat::kTorch), "torch");
  EXPECT_EQ(name_of(FileFormat::kGguf), "gguf");
  EXPECT_EQ(name_of(FileFormat::kGgmf), "ggmf");
}

// Header lengths whose first bytes look like JSON or like a pickle.
TEST(Checkpoint, RecognisesSafetensorsByMoreThanItsFirstByte) {
  const TempFolder folder;
  for (size_t length : {size_t{0x7b}, size_t{0x0280}}) {
    std::string header = R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
    header.append(length - header.size(), ' ');
    const auto path = folder.write("w", safetensors(header, data_of<float>({1})));
    EXPECT_EQ(Checkpoint::open(path).format(), FileFormat::kSafetensors);
  }
}

TEST(Checkpoint, StaysValidWhenMoved) {
  const TempFolder folder;
  Checkpoint first = Checkpoint::open(folder.write("a", one_tensor("w", 2)));
  Checkpoint second = std::move(first);
  first = Checkpoint::open(folder.write("b", one_tensor("v", 3)));
  EXPECT_THAT(values_of(*second.find("w")), ElementsAre(2));
  EXPECT_THAT(values_of(*first.find("v")), ElementsAre(3));
}

TEST(Checkpoint, RefusesWhatIsNotAModel) {
  const TempFolder folder;
  const auto file = [&](std::string_view contents) { return folder.write("model.bin", contents); };
  const std::string path = folder.file("model.bin").string();
  EXPECT_THAT(refused(folder.file("absent")), HasSubstr("absent: no such file or folder"));
  EXPECT_THAT(refused(file("")), AllOf(HasSubstr(path), HasSubstr("the file is empty")));
  EXPECT_THAT(refused(file("<!DOCTYPE html>")),
              AllOf(HasSubstr(path), HasSubstr("it begins with '<!DOCTYPE html>'")));
  EXPECT_THAT(refused(file("{\"model_type\":\"rwkv6\"}")), HasSubstr("\"weight_map\""));
  EXPECT_THAT(refused(file("{")), AllOf(HasSubstr(path), HasSubstr("not valid JSON")));
  EXPECT_THAT(refused(file(safetensors("{}", ""))), HasSubstr("holds no tensors"));
  EXPECT_THAT(refused(file(test::ggmf_header())), HasSubstr("holds no tensors"));
  EXPECT_THAT(refused(file(test::gguf({}, {}, ""))), HasSubstr("holds no tensors"));
  EXPECT_THAT(refused("/dev/null"), HasSubstr("/dev/null"));
}

TEST(Checkpoint, SaysWhatIsWrongWithDamagedFiles) {
  const TempFolder folder;
  std::string file = one_tensor("w", 1);
  file[7] = '\x7f';  // the header's length
  EXPECT_THAT(refused(folder.write("m", file)), HasSubstr("header of 9151"));
  EXPECT_THAT(refused(folder.write("m", one_tensor_pth("w", 1).substr(0, 100))),
              HasSubstr("truncated ZIP"));
  EXPECT_THAT(refused(folder.write("m", one_tensor_gguf("w", 1).substr(0, 40))),
              HasSubstr("truncated"));
  EXPECT_THAT(refused(folder.write("m", one_tensor_ggmf("w", 1).substr(0, 40))),
              HasSubstr("truncated"));
}

TEST(Checkpoint, NamesGitLfsPointers) {
  const TempFolder folder;
  const char* pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n";
  for (const char* name : {"model.safetensors", "model.pth", "model.gguf", "model.bin"}) {
    EXPECT_THAT(refused(folder.write(name, pointer)),
                AllOf(HasSubstr(name), HasSubstr("git-lfs pointer"), HasSubstr("git lfs pull")));
    std::filesystem::remove(folder.file(name));
  }
  folder.write("model.safetensors", one_tensor("w", 1));
  folder.write("config.json", pointer);  // the weights tell what they are without it
  EXPECT_THAT(Checkpoint::open(folder.path()).notes(),
              ElementsAre(AllOf(HasSubstr("config.json"), HasSubstr("git-lfs"))));
}

TEST(Checkpoint, ReadsTheConfigBesideTheWeights) {
  const TempFolder folder;
  folder.write("config.json", R"({"model_type": "rwkv6", "hidden_size": 64})");
  const auto path = folder.write("model.pth", one_tensor_pth("w", 1));
  for (const auto& opened : {path, folder.path()})
    EXPECT_EQ(Checkpoint::open(opened).config().at("hidden_size"), 64);
}

TEST(Checkpoint, AConfigThatCannotBeReadIsANote) {
  for (const auto& [name, contents] :
       std::vector<std::pair<std::string, std::string>>{{"model.pth", one_tensor_pth("w", 1)},
                                                        {"model.gguf", one_tensor_gguf("w", 1)},
                                                        {"model.bin", one_tensor_ggmf("w", 1)},
                                                        {"model.safetensors", one_tensor("w", 1)}})
    for (const auto& [text, message] : std::vector<std::pair<std::string, std::string>>{
             {"{\"a\": ", "not valid JSON"},
             {"[1]", "expected a JSON object"},
             {"[]", "expected a JSON object"},
             {"no json", "not valid JSON"},
             {"", "empty"},
             {std::string(20'000, '['), "not valid JSON"},
             {std::string("{\"a\":") + std::string(80, '[') + std::string(80, ']') + "}",
              "nested deeper"}}) {
      const TempFolder folder;
      const auto path = folder.write(name, contents);
      folder.write("config.json", text);
      for (const auto& opened : {path, folder.path()}) {
        const Checkpoint checkpoint = Checkpoint::open(opened);
        EXPECT_TRUE(checkpoint.config().is_null());
        EXPECT_THAT(checkpoint.notes(),
                    ElementsAre(AllOf(HasSubstr("config.json"), HasSubstr(message),
                                      HasSubstr("not used"))));
      }
    }
}

TEST(Checkpoint, ReadsThePythonWordsThatAreNotJson) {
  const TempFolder folder;
  const auto path = folder.write("model.pth", one_tensor_pth("w", 1));
  folder.write("config.json", R"({"a": NaN, "b": [0.0, Infinity], "c": -Infinity, "d": "NaN \"NaN",
                                  "e": 3})");
  const Checkpoint checkpoint = Checkpoint::open(path);
  EXPECT_EQ(checkpoint.config(), Json::parse(R"({"a": null, "b": [0.0, null], "c": null,
                                                 "d": "NaN \"NaN", "e": 3})"));
  EXPECT_THAT(checkpoint.notes(), ElementsAre(AllOf(HasSubstr("config.json"), HasSubstr("NaN"))));
  folder.write("config.json", R"({"d": "NaN and Infinity", "e": 3})");
  EXPECT_EQ(Checkpoint::open(path).config()["d"], "NaN and Infinity");
  EXPECT_THAT(Checkpoint::open(path).notes(), IsEmpty());
}

TEST(CheckpointFolder, TakesHuggingFaceNamesInOrder) {
  const TempFolder folder;
  folder.write("z.gguf", one_tensor_gguf("w", 5));
  folder.write("pytorch_model.bin.index.json", R"({"weight_map":{"w":"shard.bin"}})");
  folder.write("shard.bin", one_tensor_pth("w", 4));
  EXPECT_THAT(values_of(*Checkpoint::open(folder.path()).find("w")), ElementsAre(4));
  folder.write("pytorch_model.bin", one_tensor_pth("w", 3));
  EXPECT_THAT(values_of(*Checkpoint::open(folder.path()).find("w")), ElementsAre(3));
  folder.write("model.safetensors.index.json", R"({"weight_map":{"w":"shard.safetensors"}})");
  folder.write("shard.safetensors", one_tensor("w", 2));
  EXPECT_THAT(values_of(*Checkpoint::open(folder.path()).find("w")), ElementsAre(2));
  folder.write("model.safetensors", one_tensor("w", 1));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_THAT(values_of(*checkpoint.find("w")), ElementsAre(1));
  EXPECT_EQ(checkpoint.directory(), folder.path());
  EXPECT_THAT(checkpoint.notes(),
              ElementsAre("read model.safetensors, not model.safetensors.index.json, "
                          "pytorch_model.bin, pytorch_model.bin.index.json"));
}

TEST(CheckpointFolder, TakesTheOnlyWeightFile) {
  for (const char* name : {"rwkv.safetensors", "rwkv.st", "rwkv.pth", "rwkv.bin", "rwkv.gguf"}) {
    const TempFolder folder;
    folder.write("README.md", "text");
    folder.write(name, one_tensor("w", 1));
    EXPECT_EQ(Checkpoint::open(folder.path()).files().at(0).filename(), name);
  }
}

TEST(CheckpointFolder, ChoosesAmongSeveralOnlyWhereItIsClear) {
  const TempFolder folder;
  EXPECT_THAT(refused(folder.path()),
              AllOf(HasSubstr("no weights in this folder"), HasSubstr("model.safetensors"),
                    HasSubstr("pytorch_model.bin.index.json"), HasSubstr("*.gguf")));
  folder.write("a.pth", one_tensor_pth("w", 1));
  folder.write("b.pth", one_tensor_pth("w", 2));
  EXPECT_THAT(refused(folder.path()), HasSubstr("several weight files (a.pth, b.pth)"));
  folder.write("c.safetensors", one_tensor("w", 3));
  const Checkpoint preferred = Checkpoint::open(folder.path());
  EXPECT_THAT(values_of(*preferred.find("w")), ElementsAre(3));
  EXPECT_THAT(preferred.notes(), ElementsAre("read c.safetensors, not a.pth, b.pth"));
  folder.write("model.pth", one_tensor_pth("w", 4));
  EXPECT_THAT(values_of(*Checkpoint::open(folder.path()).find("w")), ElementsAre(4));
  folder.write("model.gguf", one_tensor_gguf("w", 5));
  EXPECT_THAT(refused(folder.path()), HasSubstr("several weight files"));
}

// ---- shards

class Shards : public testing::Test {
 protected:
  void SetUp() override {
    folder_.write("one.safetensors", one_tensor("a", 1));
    folder_.write("two.safetensors", one_tensor("b", 2));
  }
  std::filesystem::path index(std::string_view map) {
    return folder_.write("model.safetensors.index.json",
                         concat("{\"metadata\":{\"total_size\":8},\"weight_map\":", map, "}"));
  }
  TempFolder folder_;
};

TEST_F(Shards, AreReadInTheOrderOfTheirNames) {
  const auto path = index(R"({"b":"two.safetensors","a":"one.safetensors"})");
  for (const auto& opened : {path, folder_.path()}) {
    const Checkpoint checkpoint = Checkpoint::open(opened);
    EXPECT_THAT(checkpoint.files(),
                ElementsAre(folder_.file("one.safetensors"), folder_.file("two.safetensors")));
    EXPECT_EQ(checkpoint.tensors()[0].name, "a");
    EXPECT_THAT(values_of(*checkpoint.find("a")), ElementsAre(1));
    EXPECT_THAT(values_of(*checkpoint.find("b")), ElementsAre(2));
    EXPECT_EQ(checkpoint.file_bytes(),
              std::filesystem::file_size(folder_.file("one.safetensors")) +
                  std::filesystem::file_size(folder_.file("two.safetensors")));
    EXPECT_THAT(checkpoint.notes(), IsEmpty());
  }
}

TEST_F(Shards, OnlyThoseOfTheIndexAreRead) {
  const Checkpoint checkpoint = Checkpoint::open(index(R"({"a":"one.safetensors"})"));
  EXPECT_EQ(checkpoint.find("b"), nullptr);
}

TEST_F(Shards, MustHoldWhatTheIndexPromises) {
  EXPECT_THAT(refused(index(R"({"a":"one.safetensors","c":"two.safetensors"})")),
              AllOf(HasSubstr("two.safetensors"), HasSubstr("tensor c")));
  EXPECT_THAT(refused(index(R"({"a":"two.safetensors","b":"one.safetensors"})")),
              AllOf(HasSubstr("two.safetensors"), HasSubstr("tensor a")));
  EXPECT_THAT(refused(index(R"({"a":"one.safetensors","b":"three.safetensors"})")),
              AllOf(HasSubstr("three.safetensors"), HasSubstr("missing")));
  folder_.write("two.safetensors", one_tensor("a", 2));
  EXPECT_THAT(refused(index(R"({"a":"one.safetensors","b":"two.safetensors"})")),
              AllOf(HasSubstr("two.safetensors"), HasSubstr("tensor b")));
}

TEST_F(Shards, ATensorInTwoIsTakenFromTheOneOfTheIndex) {
  const auto both = [](float a, float b) {
    return safetensors(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                       R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                       data_of<float>({a, b}));
  };
  folder_.write("one.safetensors", both(1, 10));
  folder_.write("two.safetensors", both(2, 20));
  for (const auto& [map, a, b] : std::vector<std::tuple<const char*, float, float>>{
           {R"({"a":"one.safetensors","b":"two.safetensors"})", 1.0f, 20.0f},
           {R"({"a":"two.safetensors","b":"one.safetensors"})", 2.0f, 10.0f}}) {
    const Checkpoint checkpoint = Checkpoint::open(index(map));
    EXPECT_EQ(checkpoint.tensors().size(), 2u);
    EXPECT_THAT(values_of(*checkpoint.find("a")), ElementsAre(a));
    EXPECT_THAT(values_of(*checkpoint.find("b")), ElementsAre(b));
    EXPECT_THAT(checkpoint.notes(), ElementsAre(HasSubstr("2 tensors stand in several shards")));
  }
  // Where the index says nothing, nobody knows which one is meant.
  folder_.write("three.safetensors", one_tensor("c", 3));
  folder_.write("one.safetensors",
                safetensors(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                            R"("c":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                            data_of<float>({1, 4})));
  folder_.write("two.safetensors",
                safetensors(R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                            R"("c":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                            data_of<float>({2, 5})));
  EXPECT_THAT(refused(index(R"({"a":"one.safetensors","b":"two.safetensors"})")),
              HasSubstr("two tensors are named 'c'"));
}

TEST_F(Shards, MayHoldMore) {
  folder_.write("two.safetensors",
                safetensors(R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                            R"("c":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                            "xy"));
  const Checkpoint checkpoint =
      Checkpoint::open(index(R"({"a":"one.safetensors","b":"two.safetensors"})"));
  EXPECT_NE(checkpoint.find("c"), nullptr);
  EXPECT_THAT(checkpoint.notes(), ElementsAre("1 tensors of the shards are not in the index"));
}

TEST_F(Shards, MustBeWeightsOfOneFormat) {
  folder_.write("two.safetensors", one_tensor_pth("b", 2));
  EXPECT_THAT(refused(index(R"({"a":"one.safetensors","b":"two.safetensors"})")),
              HasSubstr("is a torch file among files that are safetensors"));
  folder_.write("two.safetensors", "{\"weight_map\":{\"a\":\"b\"}}");
  EXPECT_THAT(refused(index(R"({"a":"one.safetensors","b":"two.safetensors"})")),
              HasSubstr("is JSON, expected weights"));
  folder_.write("two.safetensors", "version https://git-lfs.github.com/spec/v1\n");
  EXPECT_THAT(refused(index(R"({"a":"one.safetensors","b":"two.safetensors"})")),
              AllOf(HasSubstr("two.safetensors"), HasSubstr("git-lfs")));
}

TEST_F(Shards, MustLieInTheSameFolder) {
  for (const char* name :
       {"../one.safetensors", "/etc/passwd", "sub/one.safetensors", "..", ".", "a\\\\b", ""}) {
    SCOPED_TRACE(name);
    refused(index(std::string(R"({"a":")") + name + "\"}"));
  }
  EXPECT_THAT(refused(index(R"({"a":"../one.safetensors"})")),
              HasSubstr("not a file name in the same folder"));
}

TEST_F(Shards, NeedAWellFormedIndex) {
  EXPECT_THAT(refused(index("[]")), HasSubstr("weight_map"));
  EXPECT_THAT(refused(index("{}")), HasSubstr("weight_map has 0 tensors"));
  EXPECT_THAT(refused(index(R"({"a":1})")), HasSubstr("the file of a must be a string"));
  EXPECT_THAT(refused(index(R"({"":"one.safetensors"})")), HasSubstr("name is empty"));
  EXPECT_THAT(refused(folder_.write("index.json", "{\"weight_map\"")), HasSubstr("not valid JSON"));
  EXPECT_THAT(refused(folder_.write("index.json", "{\"weight_map\":{\"\xff\":\"x\"}}")),
              HasSubstr("not valid JSON"));
}

// ---- split GGUF

class SplitGguf : public testing::Test {
 protected:
  static std::vector<std::string> split(uint16_t number, uint16_t count, int32_t n_tensor = 2) {
    return {test::gguf_entry("split.no", 2, u16(number)),
            test::gguf_entry("split.count", 2, u16(count)),
            test::gguf_entry("split.tensors.count", 5, u32(static_cast<uint32_t>(n_tensor)))};
  }
  void SetUp() override {
    auto entries = split(0, 2);
    entries.push_back(test::gguf_entry("general.architecture", 8, test::gguf_text("rwkv7")));
    first_ = folder_.write("m-00001-of-00002.gguf", one_tensor_gguf("a", 1, entries));
    second_ = folder_.write("m-00002-of-00002.gguf", one_tensor_gguf("b", 2, split(1, 2)));
  }
  TempFolder folder_;
  std::filesystem::path first_, second_;
};

TEST_F(SplitGguf, IsOpenedByItsFirstPartOrItsFolder) {
  for (const auto& opened : {first_, folder_.path()}) {
    const Checkpoint checkpoint = Checkpoint::open(opened);
    EXPECT_THAT(checkpoint.files(), ElementsAre(first_, second_));
    EXPECT_THAT(values_of(*checkpoint.find("a")), ElementsAre(1));
    EXPECT_THAT(values_of(*checkpoint.find("b")), ElementsAre(2));
    EXPECT_EQ(std::get<std::string_view>(checkpoint.metadata().at("general.architecture")),
              "rwkv7");
    EXPECT_THAT(checkpoint.notes(), ElementsAre("read 2 parts of a split GGUF"));
  }
}

TEST_F(SplitGguf, IsRefusedWhenPartsAreMissingOrMixedUp) {
  EXPECT_THAT(refused(second_), AllOf(HasSubstr("is part 2 of 2"), HasSubstr("open the first")));
  folder_.write("m-00002-of-00002.gguf", one_tensor_gguf("b", 2, split(0, 2)));
  EXPECT_THAT(refused(first_), HasSubstr("expected part 2 of 2, this is part 1 of 2"));
  folder_.write("m-00002-of-00002.gguf", one_tensor_gguf("b", 2, split(1, 3)));
  EXPECT_THAT(refused(first_), HasSubstr("this is part 2 of 3"));
  folder_.write("m-00002-of-00002.gguf", one_tensor_gguf("a", 2, split(1, 2)));
  EXPECT_THAT(refused(first_), HasSubstr("two tensors are named 'a'"));
  folder_.write("m-00002-of-00002.gguf", one_tensor("b", 2));
  EXPECT_THAT(refused(first_), HasSubstr("expected a GGUF file"));
  std::filesystem::remove(second_);
  EXPECT_THAT(refused(first_), HasSubstr("m-00002-of-00002.gguf"));
  const auto renamed = folder_.write("x.gguf", one_tensor_gguf("a", 1, split(0, 2)));
  EXPECT_THAT(refused(renamed), HasSubstr("should end with -00001-of-00002.gguf"));
}

TEST_F(SplitGguf, IsRefusedWhenTheNumberOfTensorsDiffers) {
  folder_.write("m-00001-of-00002.gguf", one_tensor_gguf("a", 1, split(0, 2, 3)));
  EXPECT_THAT(refused(first_), HasSubstr("split.tensors.count"));
}

}  // namespace
}  // namespace fathom::checkpoint_test
