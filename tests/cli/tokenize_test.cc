// SPDX-License-Identifier: Apache-2.0
// fathom tokenize, and where the vocabulary comes from.
#include "base/json.h"
#include "cli/models.h"

namespace fathom::test::tokenize_test {
namespace {

using testing::HasSubstr;

// A World vocabulary: the 256 bytes as ids 1 to 256, then `more`.
std::string world_vocabulary(const std::vector<std::string>& more) {
  std::string text;
  size_t id = 0;
  for (int byte = 0; byte < 256; ++byte) {
    char literal[16];
    std::snprintf(literal, sizeof(literal), "b'\\x%02x'", byte);
    text += concat(++id, " ", literal, " 1\n");
  }
  for (const std::string& token : more) text += concat(++id, " '", token, "' ", token.size(), "\n");
  return text;
}

// A model that needs a vocabulary of up to 300 ids.
std::string wordy_model(const TempFolder& folder) {
  Shape shape = byte_shape();
  shape.n_vocab = 300;
  const std::string path = folder.file("m.safetensors");
  write_arrays(path, make_model(shape).arrays);
  return path;
}

TEST(Tokenize, PrintsIdsWithTheirPieces) {
  const TempFolder folder;
  const Outcome run = run_ok({"tokenize", byte_model(folder), "Hi\xff\n"});
  EXPECT_EQ(run.out, "    72  H\n   105  i\n   255  \\xff\n    10  \\n\n");
  EXPECT_EQ(run.err, "4 tokens\n");
}

TEST(Tokenize, TakesTheLongestTokens) {
  const TempFolder folder;
  const std::string vocab = folder.write("v.txt", world_vocabulary({"Hel", "Hello"}));
  EXPECT_EQ(run_ok({"tokenize", "--vocab", vocab, "--json", "Hello Helo"}).out,
            "[258,33,257,112]\n");
}

TEST(Tokenize, ReadsTheTextFromStandardInput) {
  const TempFolder folder;
  const std::string vocab = folder.write("v.txt", world_vocabulary({"Hello"}));
  EXPECT_EQ(run_ok({"tokenize", "--vocab", vocab, "--json"}, {.input = "Hello\n"}).out,
            "[257,11]\n");
}

TEST(Tokenize, DecodesWhatItEncoded) {
  const TempFolder folder;
  const std::string vocab = folder.write("v.txt", world_vocabulary({"Hello"}));
  EXPECT_EQ(run_ok({"tokenize", "--vocab", vocab, "--decode", "257,34"}).out, "Hello!\n");
  EXPECT_EQ(run_ok({"tokenize", "--vocab", vocab, "--decode"}, {.input = "[257, 34]\n"}).out,
            "Hello!");
  expect_refused(run_fathom({"tokenize", "--vocab", vocab, "--decode", "257,x"}), kUsageError,
                 {"--decode", "x"});
  expect_refused(run_fathom({"tokenize", "--vocab", vocab, "--decode", "300"}), kDataError,
                 {"300"});
}

TEST(Tokenize, TakesAndGivesJsonLines) {
  const TempFolder folder;
  const Outcome run = run_ok({"tokenize", byte_model(folder), "--jsonl"},
                             {.input = "{\"name\": \"a\", \"hex\": \"00fF41\"}\n"
                                       "{\"name\": \"b\", \"hex\": \"\"}\n"});
  EXPECT_EQ(run.out, "{\"name\":\"a\",\"ids\":[0,255,65]}\n{\"name\":\"b\",\"ids\":[]}\n");
}

TEST(Tokenize, AWrongJsonLineIsNamed) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  const std::pair<const char*, const char*> cases[] = {
      {"{\"name\": \"a\"}\n", "hex"},
      {"{\"name\": \"a\", \"hex\": \"0\"}\n", "even"},
      {"{\"name\": \"a\", \"hex\": \"0g\"}\n", "hexadecimal"},
      {"no\n", "not valid JSON"}};
  for (const auto& [line, name] : cases)
    expect_refused(run_fathom({"tokenize", model, "--jsonl"}, {.input = line}), kDataError,
                   {"line 1", name});
}

TEST(Vocabulary, IsLookedForInOrder) {
  const TempFolder folder, elsewhere;
  const std::string model = wordy_model(folder);
  const std::string given = elsewhere.write("given.txt", world_vocabulary({"aaa"}));
  const std::string environment = elsewhere.write("env.txt", world_vocabulary({"a", "aa"}));
  const RunOptions with_variable{.environment = {"FATHOM_VOCAB=" + environment}};

  expect_refused(run_fathom({"tokenize", model, "x"}), kDataError, {"--vocab", "FATHOM_VOCAB"});
  // "a" is there twice: the file of $FATHOM_VOCAB is what is refused.
  expect_refused(run_fathom({"tokenize", model, "x"}, with_variable), kDataError, {"env.txt"});
  folder.write("rwkv_vocab.txt", world_vocabulary({"aa"}));
  EXPECT_EQ(run_ok({"tokenize", model, "aaaa", "--json"}, with_variable).out, "[257,257]\n");
  EXPECT_EQ(run_ok({"tokenize", model, "aaaa", "--json", "--vocab", given}, with_variable).out,
            "[257,98]\n");
}

TEST(Vocabulary, MustFitTheModel) {
  const TempFolder folder;
  const std::string vocab = folder.write("v.txt", world_vocabulary({"Hello"}));
  expect_refused(run_fathom({"info", byte_model(folder), "--vocab", vocab}), kDataError,
                 {"v.txt", "257", "256"});
}

TEST(Tokenize, AgreesWithTheReferenceTokenizer) {
  const auto golden = shared_folder() / "golden/tokenizer";
  if (!std::filesystem::exists(golden)) GTEST_SKIP() << "no shared data";
  const std::string cases = read_whole(golden / "cases.jsonl");
  const Outcome run =
      run_ok({"tokenize", "--vocab", golden / "rwkv_vocab_v20230424.txt", "--jsonl"}, {cases});
  const auto want = lines_of(cases), got = lines_of(run.out);
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    const Json w = Json::parse(want[i]), g = Json::parse(got[i]);
    EXPECT_EQ(g["name"], w["name"]);
    EXPECT_EQ(g["ids"], w["ids"]) << w["name"];
  }
}

}  // namespace
}  // namespace fathom::test::tokenize_test
