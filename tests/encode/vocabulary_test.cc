// SPDX-License-Identifier: Apache-2.0
// Which tokenizer goes with a model: the order of the places where one is looked for.
#include "encode/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <optional>

#include "base/json.h"
#include "model/run_model.h"

namespace fathom::test::vocabulary_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

// $FATHOM_VOCAB for one test; as it was afterwards.
class Environment {
 public:
  explicit Environment(const char* value) {
    if (const char* before = std::getenv("FATHOM_VOCAB")) before_ = before;
    set(value);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() { set(before_ ? before_->c_str() : nullptr); }

 private:
  static void set(const char* value) {
    value ? ::setenv("FATHOM_VOCAB", value, 1) : ::unsetenv("FATHOM_VOCAB");
  }
  std::optional<std::string> before_;
};

// The 256 bytes are ids 1 to 256; 257 is `extra`.
std::string world_file(const std::string& extra) {
  std::string text;
  char line[32];
  for (int byte = 0; byte < 256; ++byte) {
    std::snprintf(line, sizeof(line), "%d b'\\x%02x' 1\n", byte + 1, byte);
    text += line;
  }
  return text + concat("257 '", extra, "' ", extra.size(), "\n");
}

struct Files {
  TempFolder folder;
  std::filesystem::path model;

  Files() : model(folder.file("m.safetensors")) {
    const Array a{"emb.weight", {2, 2}, {1, 2, 3, 4}};
    write_arrays(model, {a});
  }
  Checkpoint open() const { return Checkpoint::open(model); }
  Vocabulary find(size_t n_vocab = 300,
                  const std::optional<std::filesystem::path>& given = std::nullopt) const {
    return find_vocabulary(open(), n_vocab, given);
  }
};

std::vector<Token> ids(const Vocabulary& v, std::string_view text) {
  return require_tokenizer(v).encode(text);
}

TEST(Vocabulary, TheGivenFileComesFirst) {
  Files files;
  const Environment environment(files.folder.write("env.txt", world_file("ee")).c_str());
  files.folder.write("rwkv_vocab.txt", world_file("bb"));
  const auto given = files.folder.write("other", world_file("gg"));
  const Vocabulary v = files.find(300, given);
  EXPECT_THAT(ids(v, "gg"), ElementsAre(257));
  EXPECT_THAT(ids(v, "bb"), ElementsAre(99, 99));
  EXPECT_EQ(v.source, given.string());
  // Even for a model that would take bytes.
  EXPECT_EQ(files.find(258, given).tokenizer->name(), "world");
}

TEST(Vocabulary, BesideTheWeightsComesBeforeTheEnvironment) {
  Files files;
  const Environment environment(files.folder.write("env", world_file("ee")).c_str());
  EXPECT_THAT(ids(files.find(), "ee"), ElementsAre(257));
  files.folder.write("rwkv_vocab_v20230424.txt", world_file("bb"));
  const Vocabulary v = files.find();
  EXPECT_THAT(ids(v, "bb"), ElementsAre(257));
  EXPECT_THAT(v.source, HasSubstr("rwkv_vocab_v20230424.txt"));
  // The first by name, whatever order the folder lists them in; other text files are not looked at.
  files.folder.write("a_vocab.txt", world_file("aa"));
  files.folder.write("notes.txt", "not a vocabulary");
  files.folder.write("vocab.json", "{}");
  EXPECT_THAT(ids(files.find(), "aa"), ElementsAre(257));
}

TEST(Vocabulary, TokenizerJsonComesBeforeVocabularyFiles) {
  Files files;
  const Environment environment(nullptr);
  files.folder.write("vocab.txt", world_file("bb"));
  files.folder.write("tokenizer.json", "{}");
  EXPECT_THAT([&] { files.find(); }, ThrowsMessage<Error>(HasSubstr("tokenizer.json")));
}

TEST(Vocabulary, A256EntryModelReadsBytes) {
  Files files;
  const Environment environment(nullptr);
  files.folder.write("vocab.txt", world_file("bb"));  // does not fit, and is not asked
  const Vocabulary v = files.find(256);
  EXPECT_EQ(v.tokenizer->name(), "byte");
  EXPECT_THAT(ids(v, "\"in"), ElementsAre(34, 105, 110));
  EXPECT_THAT(v.source, HasSubstr("bytes"));
}

TEST(Vocabulary, NoneIsAClearErrorOnlyWhenNeeded) {
  Files files;
  for (const char* value : {static_cast<const char*>(nullptr), ""}) {
    const Environment environment(value);
    const Vocabulary v = files.find();
    EXPECT_EQ(v.tokenizer, nullptr);
    EXPECT_THAT([&] { require_tokenizer(v); },
                ThrowsMessage<Error>(AllOf(HasSubstr("`vocabulary` FILE"), HasSubstr("--ids"),
                                           HasSubstr("FATHOM_VOCAB"),
                                           HasSubstr(files.folder.path().string()))));
  }
}

TEST(Vocabulary, FilesThatCannotBeUsedAreNamed) {
  Files files;
  const Environment environment(nullptr);
  EXPECT_THAT([&] { files.find(300, files.folder.file("absent.txt")); },
              ThrowsMessage<Error>(HasSubstr("absent.txt")));
  const auto broken = files.folder.write("broken.txt", "1 'a' 7\n");
  EXPECT_THAT([&] { files.find(300, broken); }, ThrowsMessage<Error>(HasSubstr("broken.txt")));
  const auto large = files.folder.write("large", world_file("gg"));
  EXPECT_THAT([&] { files.find(257, large); },
              ThrowsMessage<Error>(AllOf(HasSubstr("ids up to 257"), HasSubstr("257"))));
  EXPECT_NO_THROW(files.find(258, large));
  const Environment wrong("/nowhere/vocab.txt");
  EXPECT_THAT([&] { files.find(); }, ThrowsMessage<Error>(HasSubstr("/nowhere/vocab.txt")));
}

// ---- GGUF

std::filesystem::path write_gguf_vocabulary(const TempFolder& folder, const std::string& model,
                                            size_t n_entry) {
  std::vector<std::string> tokens = {"<s>"};
  std::vector<int32_t> types = {3};
  char entry[8];
  for (int byte = 0; byte < 256; ++byte) {
    std::snprintf(entry, sizeof(entry), "\\x%02x", byte);
    tokens.push_back(entry);
    types.push_back(1);
  }
  tokens.push_back("gg");
  types.push_back(1);
  while (tokens.size() < n_entry) {
    tokens.push_back(concat("[PAD", tokens.size(), "]"));
    types.push_back(5);
  }
  const Array a{"token_embd.weight", {2, 2}, {1, 2, 3, 4}};
  const std::vector<TensorToWrite> tensors = {to_write(a)};
  write_gguf(folder.file("m.gguf"),
             {{"general.architecture", std::string("rwkv6")},
              {"tokenizer.ggml.model", model},
              {"tokenizer.ggml.tokens", tokens},
              {"tokenizer.ggml.token_type", types}},
             tensors);
  return folder.file("m.gguf");
}

TEST(Vocabulary, GgufBringsItsOwn) {
  TempFolder folder;
  const Environment environment(folder.write("env.txt", world_file("ee")).c_str());
  folder.write("vocab.txt", world_file("bb"));
  const auto path = write_gguf_vocabulary(folder, "rwkv", 270);
  const Vocabulary v = find_vocabulary(Checkpoint::open(path), 270, std::nullopt);
  EXPECT_THAT(ids(v, "gg"), ElementsAre(257));
  EXPECT_THAT(ids(v, "<s>[PAD260]").size(), testing::Eq(11u));  // special entries match no text
  EXPECT_THAT(v.source, HasSubstr("GGUF metadata"));
  // --vocab is stronger.
  const auto given = folder.write("given", world_file("vv"));
  EXPECT_THAT(ids(find_vocabulary(Checkpoint::open(path), 270, given), "vv"), ElementsAre(257));
  EXPECT_THAT([&] { find_vocabulary(Checkpoint::open(path), 257, std::nullopt); },
              ThrowsMessage<Error>(HasSubstr("n_vocab is 257")));
}

TEST(Vocabulary, GgufWithoutAnRwkvVocabularyLooksElsewhere) {
  TempFolder folder;
  const Environment environment(nullptr);
  const auto path = write_gguf_vocabulary(folder, "none", 258);
  EXPECT_EQ(find_vocabulary(Checkpoint::open(path), 300, std::nullopt).tokenizer, nullptr);
  folder.write("vocab.txt", world_file("bb"));
  EXPECT_THAT(ids(find_vocabulary(Checkpoint::open(path), 300, std::nullopt), "bb"),
              ElementsAre(257));
}

TEST(Vocabulary, NoGoldenModelIsStoppedByTheSearch) {
  const auto root = shared_folder() / "golden";
  if (!std::filesystem::exists(root)) GTEST_SKIP() << "no golden models in " << shared_folder();
  const Environment environment(nullptr);
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    if (!std::filesystem::exists(entry.path() / "manifest.json")) continue;
    const Json manifest = Json::parse(read_whole(entry.path() / "manifest.json"));
    for (const std::string file : manifest.at("model_files")) {
      const Checkpoint checkpoint = Checkpoint::open(entry.path() / file);
      EXPECT_NO_THROW(find_vocabulary(checkpoint, manifest.at("vocab"), std::nullopt))
          << entry.path() / file;
    }
  }
}

}  // namespace
}  // namespace fathom::test::vocabulary_test
