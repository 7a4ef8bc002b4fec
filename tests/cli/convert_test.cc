// SPDX-License-Identifier: Apache-2.0
// fathom convert: files that appear, what they say, and that they are the same model.
#include <sys/stat.h>

#include <set>

#include "base/json.h"
#include "cli/models.h"

namespace fathom::test::convert_test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::vector<float> hidden_of(const TempFolder& folder, const std::string& model) {
  const std::string out = folder.file("trace.safetensors");
  run_ok({"trace", model, "--ids", "34,105,110,7,200", "-o", out});
  return read_arrays(out).at("hidden").values;
}

std::set<std::string> files_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.insert(entry.path().filename().string());
  return names;
}

// The 256 bytes from id 1, as World has them, then `words`.
std::string vocabulary_text(const std::vector<std::string>& literals) {
  std::string text;
  size_t id = 1;
  for (int byte = 0; byte < 256; ++byte) {
    char line[32];
    std::snprintf(line, sizeof line, "%zu b'\\x%02x' 1\n", id++, static_cast<unsigned>(byte));
    text += line;
  }
  for (const std::string& literal : literals) text += concat(id++, " ", literal, "\n");
  return text;
}
const std::vector<std::string> kWords = {
    "'ab' 2",       "'\\n\\n' 2",      "\"it's\" 4", "'say \"it\\'s\"' 10",
    "'\xc3\xa9' 2", "b'\\xff\\xfe' 2", "'a\\\\b' 3"};

std::string word_model(const TempFolder& folder, Version version) {
  Shape shape = byte_shape(version);
  shape.n_vocab = 300;
  const std::string path = folder.file("model.st");
  write_arrays(path, make_model(shape).arrays);
  return path;
}

// A native RWKV-7 whose table holds ln0's output, with a vocabulary that leaves out ids.
std::string fused_model(const TempFolder& folder) {
  Shape shape = byte_shape(Version::kV7);
  shape.n_vocab = 400;
  write_arrays(folder.file("model.safetensors"),
               native_v7(make_model(shape), {.embeddings = true, .fused = true}));
  folder.write("config.json", R"({"model_type": "rwkv7", "embedding_layer_norm_fused": true})");
  folder.write("rwkv_vocab_v20230424.txt", vocabulary_text(kWords) + "399 'xyz' 3\n");
  return folder.path();
}

TEST(Convert, AModelWithFusedLn0) {
  const TempFolder folder, to;
  const std::string model = fused_model(folder);
  const Outcome info = run_ok({"info", model});
  EXPECT_THAT(info.out, HasSubstr("native transformers layout"));
  EXPECT_THAT(info.out, HasSubstr("ln0 is fused into the embedding"));
  EXPECT_EQ(Json::parse(run_ok({"info", "--json", model}).out)["ln0_fused"], true);
  const std::string out = to.file("new/");
  const Outcome run = run_ok({"convert", model, out});
  EXPECT_THAT(run.out, HasSubstr("no ln0 leaves rows as they are"));
  EXPECT_EQ(hidden_of(to, out), hidden_of(to, model));
  expect_refused(run_fathom({"convert", model, to.file("x.gguf")}), kDataError,
                 {"GGUF", "ln0 is fused", "identity"});
  EXPECT_FALSE(fs::exists(to.file("x.gguf")));
  // The vocabulary goes with it, gaps and all.
  EXPECT_EQ(run_ok({"tokenize", "--vocab", out + "rwkv_vocab_v20230424.txt", "xyz"}).out,
            run_ok({"tokenize", "--vocab", model + "/rwkv_vocab_v20230424.txt", "xyz"}).out);
}

// ---- what is written

TEST(Convert, ToAFolderOfHuggingFace) {
  const TempFolder folder;
  const std::string model = byte_model(folder), out = folder.file("new/finch/");
  const Outcome run = run_ok({"convert", model, out});
  EXPECT_EQ(run.err, "");
  EXPECT_THAT(run.out, HasSubstr("Hugging Face RWKV-6"));
  EXPECT_EQ(files_in(out), (std::set<std::string>{"config.json", "model.safetensors"}));
  const Json config = Json::parse(read_whole(out + "config.json"));
  EXPECT_EQ(config["architectures"][0], "Rwkv6ForCausalLM");
  EXPECT_EQ(config["torch_dtype"], "float32");
  EXPECT_EQ(hidden_of(folder, model), hidden_of(folder, out));
}

TEST(Convert, ToASafetensorsFileWithItsConfigBeside) {
  const TempFolder folder;
  fs::create_directory(folder.file("a"));
  const std::string model = byte_model(folder, Version::kV7), out = folder.file("a/m.safetensors");
  run_ok({"convert", model, out, "--dtype", "bf16"});
  EXPECT_EQ(files_in(folder.file("a")), (std::set<std::string>{"config.json", "m.safetensors"}));
  // The synthetic weights are bf16 numbers: nothing is lost.
  EXPECT_EQ(hidden_of(folder, model), hidden_of(folder, out));
  // Again: what an earlier conversion wrote is replaced.
  run_ok({"convert", model, out, "--dtype", "f16"});
  const Outcome info = run_ok({"info", "--json", out});
  EXPECT_EQ(OrderedJson::parse(info.out)["dtype"], "F16");
}

TEST(Convert, ToGgufWithThePoolingThatWasAskedFor) {
  const TempFolder folder;
  const std::string model = byte_model(folder), out = folder.file("m.gguf");
  const std::pair<std::vector<std::string>, uint64_t> cases[] = {
      {{}, 1}, {{"--pooling", "mean"}, 1}, {{"--pooling", "last"}, 3}, {{"--pooling", "none"}, 0}};
  for (const auto& [flags, number] : cases) {
    std::vector<std::string> arguments = {"convert", model, out};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    run_ok(arguments);
    const Checkpoint file = Checkpoint::open(out);
    EXPECT_EQ(std::get<uint64_t>(file.metadata().at("rwkv6.pooling_type")), number);
    EXPECT_EQ(std::get<std::string_view>(file.metadata().at("tokenizer.ggml.model")), "none");
    EXPECT_EQ(std::get<uint64_t>(file.metadata().at("rwkv6.vocab_size")), 256u);
    EXPECT_EQ(std::get<std::string_view>(file.metadata().at("general.name")), "model");
  }
  EXPECT_EQ(hidden_of(folder, model), hidden_of(folder, out));
}

TEST(Convert, KeepsTheStoredTypeUnlessToldOtherwise) {
  const TempFolder folder;
  fs::create_directory(folder.file("in"));
  write_hugging_face(folder.file("in"), make_model(byte_shape()), StoredType::kBF16);
  const auto dtype = [&](const std::string& out, const std::vector<std::string>& flags) {
    std::vector<std::string> arguments = {"convert", folder.file("in"), folder.file(out)};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    run_ok(arguments);
    return OrderedJson::parse(run_ok({"info", "--json", folder.file(out)}).out)["dtype"];
  };
  EXPECT_EQ(dtype("a.gguf", {}), "BF16");
  EXPECT_EQ(dtype("a/", {}), "BF16");
  EXPECT_EQ(dtype("b.gguf", {"--dtype", "f32"}), "F32");
  EXPECT_EQ(dtype("c.gguf", {"--dtype", "q8_0"}), "F16");  // rows of 24 and 61: no blocks of 32
}

// ---- the vocabulary

// Text that meets every kind of token.
constexpr const char* kText = "ab it's say \"it's\" a\\b \xc3\xa9 \n\n end";

std::string ids_of(const std::vector<std::string>& arguments) {
  std::vector<std::string> all = {"tokenize", "--json"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  all.emplace_back(kText);
  return run_ok(all).out;
}

TEST(Vocabulary, GoesIntoGgufAndOutAgain) {
  const TempFolder folder;
  const std::string model = word_model(folder, Version::kV7), gguf = folder.file("m.gguf");
  const std::string vocab = folder.write("words.txt", vocabulary_text(kWords));
  run_ok({"convert", model, gguf, "--vocab", vocab});
  const std::string want = ids_of({model, "--vocab", vocab});
  EXPECT_EQ(ids_of({gguf}), want);

  const Checkpoint file = Checkpoint::open(gguf);
  const auto& tokens_array = std::get<MetaArray>(file.metadata().at("tokenizer.ggml.tokens"));
  const auto tokens = meta_strings(tokens_array, "tokens");
  const auto types =
      meta_integers(std::get<MetaArray>(file.metadata().at("tokenizer.ggml.token_type")), "types");
  ASSERT_EQ(tokens.size(), 300u);
  ASSERT_EQ(types.size(), 300u);
  EXPECT_EQ(tokens[0], "<s>");
  EXPECT_EQ(types[0], 3);
  EXPECT_EQ(tokens[1], "\\x00");
  EXPECT_EQ(tokens[1 + '\n'], "\\n");
  EXPECT_EQ(tokens[1 + '\\'], "\\\\");
  EXPECT_EQ(tokens[1 + '\''], "'");  // Python: repr(b"'")[2:-1]
  EXPECT_EQ(tokens[1 + 0xff], "\\xff");
  EXPECT_EQ(tokens[257], "ab");
  EXPECT_EQ(tokens[258], "\\n\\n");
  EXPECT_EQ(tokens[259], "it's");
  EXPECT_EQ(tokens[260], "say \"it\\'s\"");
  EXPECT_EQ(tokens[261], "\\xc3\\xa9");
  EXPECT_EQ(tokens[263], "a\\\\b");
  EXPECT_EQ(types[263], 1);
  EXPECT_EQ(tokens[264], "[PAD264]");
  EXPECT_EQ(types[264], 5);
  EXPECT_EQ(std::get<uint64_t>(file.metadata().at("tokenizer.ggml.eot_token_id")), 258u);
  EXPECT_EQ(std::set<std::string_view>(tokens.begin(), tokens.end()).size(), 300u);

  const std::string out = folder.file("hf/");
  run_ok({"convert", gguf, out});
  EXPECT_EQ(files_in(out), (std::set<std::string>{"config.json", "model.safetensors",
                                                  "rwkv_vocab_v20230424.txt"}));
  EXPECT_EQ(ids_of({out}), want);
}

TEST(Vocabulary, IsCopiedBesideHuggingFacesWeights) {
  const TempFolder folder;
  const std::string model = word_model(folder, Version::kV6), text = vocabulary_text(kWords);
  const std::string vocab = folder.write("words.txt", text), out = folder.file("hf/");
  run_ok({"convert", model, out, "--vocab", vocab});
  EXPECT_EQ(read_whole(out + "rwkv_vocab_v20230424.txt"), text);
  run_ok({"convert", model, out, "--vocab", vocab});  // the same again is no conflict
  const std::string other = folder.write("other.txt", vocabulary_text({"'xyz' 3"}));
  expect_refused(run_fathom({"convert", model, out, "--vocab", other}), kDataError,
                 {"rwkv_vocab_v20230424.txt", "differs"});
}

TEST(Vocabulary, MissingIsSaid) {
  const TempFolder folder;
  const std::string model = word_model(folder, Version::kV6);
  EXPECT_THAT(run_ok({"convert", model, folder.file("m.gguf")}).out, HasSubstr("token ids only"));
  EXPECT_THAT(run_ok({"convert", model, folder.file("hf/")}).out, HasSubstr("no vocabulary"));
}

TEST(Vocabulary, TheRealWorldVocabularyThroughGguf) {
  const fs::path golden = shared_folder() / "golden/tokenizer";
  if (!fs::exists(golden)) GTEST_SKIP() << "no shared data";
  const TempFolder folder;
  Shape shape = byte_shape();
  shape.n_vocab = 65536;
  shape.d_model = 8;
  shape.n_layer = 1;
  const std::string model = folder.file("m.st"), gguf = folder.file("m.gguf");
  write_arrays(model, make_model(shape).arrays);
  run_ok({"convert", model, gguf, "--vocab", golden / "rwkv_vocab_v20230424.txt"});
  const std::string cases = read_whole(golden / "cases.jsonl");
  const Outcome run = run_ok({"tokenize", gguf, "--jsonl"}, {.input = cases});
  const auto want = lines_of(cases), got = lines_of(run.out);
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i)
    EXPECT_EQ(Json::parse(got[i])["ids"], Json::parse(want[i])["ids"]) << want[i].substr(0, 100);
}

// ---- refusals: one line, the right exit code, nothing left

void expect_refusal(const TempFolder& folder, const std::vector<std::string>& arguments,
                    int exit_code, const std::vector<std::string>& names) {
  const auto before = files_in(folder.path());
  std::vector<std::string> all = {"convert"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  expect_refused(run_fathom(all), exit_code, names);
  EXPECT_EQ(files_in(folder.path()), before);
}

TEST(Refusal, Usage) {
  const TempFolder folder;
  const std::string v6 = byte_model(folder), gguf = folder.file("o.gguf");
  expect_refusal(folder, {v6, folder.file("o.pth")}, kUsageError, {"o.pth", ".gguf"});
  expect_refusal(folder, {v6, gguf, "--dtype", "q4_0"}, kUsageError, {"--dtype", "q4_0", "q8_0"});
  expect_refusal(folder, {v6, folder.file("o/"), "--dtype", "q8_0"}, kUsageError,
                 {"q8_0", ".gguf"});
  expect_refusal(folder, {v6, gguf, "--pooling", "max"}, kUsageError, {"--pooling", "max"});
  expect_refusal(folder, {v6, folder.file("o/"), "--pooling", "last"}, kUsageError,
                 {"--pooling", ".gguf"});
  expect_refusal(folder, {v6, v6}, kUsageError, {"model.safetensors"});
  for (Version v : {Version::kV4, Version::kV5_0, Version::kV5_1, Version::kV5_2}) {
    const TempFolder old;
    expect_refusal(old, {byte_model(old, v), old.file("o.gguf")}, kUsageError,
                   {"RWKV-" + std::string(name_of(v)), ".safetensors"});
  }
}

TEST(Refusal, FilesThatBelongToAnotherModel) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  folder.write("config.json", R"({"model_type": "bert"})");
  expect_refusal(folder, {model, folder.file("o.safetensors")}, kDataError,
                 {"config.json", "another"});
  folder.write("config.json", "no json");
  expect_refusal(folder, {model, folder.file("o.safetensors")}, kDataError, {"config.json"});
}

TEST(Refusal, PlacesThatCannotBeWritten) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  expect_refusal(folder, {model, folder.file("missing/o.gguf")}, kDataError,
                 {"missing/o.gguf", "cannot write"});
  expect_refusal(folder, {model, folder.file("missing/o.safetensors")}, kDataError,
                 {"missing/o.safetensors", "cannot write"});
  folder.write("file", "");
  expect_refusal(folder, {model, folder.file("file/o/")}, kDataError, {"file/o", "folder"});
}

TEST(Refusal, NumbersThatDoNotFitLeaveNothing) {
  const TempFolder folder;
  SyntheticModel m = make_model(byte_shape());
  m.arrays[0].values[3] = 70000;
  const std::string model = folder.file("m.st");
  write_arrays(model, m.arrays);
  for (const char* out : {"o.gguf", "o.safetensors"})
    expect_refusal(folder, {model, folder.file(out), "--dtype", "f16"}, kDataError,
                   {"70000", "F16", "--dtype"});
}

TEST(Refusal, BadModels) {
  const TempFolder folder;
  expect_refusal(folder, {folder.file("missing.pth"), folder.file("o.gguf")}, kDataError,
                 {"missing.pth", "no such file"});
  folder.write("text.pth", "Hello, World!\n");
  expect_refusal(folder, {folder.file("text.pth"), folder.file("o.gguf")}, kDataError,
                 {"text.pth", "not a known format"});
  const std::string other = folder.file("other.st");
  write_arrays(other, {{"encoder.weight", {2}, {1, 2}}});
  const Outcome run = run_fathom({"convert", other, folder.file("o.gguf")});
  expect_refused(run, kDataError, {other, "no RWKV", "encoder.weight"});
  EXPECT_EQ(run.err.find(other), run.err.rfind(other)) << run.err;
}

}  // namespace
}  // namespace fathom::test::convert_test
