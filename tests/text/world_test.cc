// SPDX-License-Identifier: Apache-2.0
// World, byte-level and GGUF tokenizers, and the vocabulary files they come from.
#include "base/json.h"
#include "base/mapped_file.h"
#include "base/random.h"
#include "text/fixtures.h"
#include "text/text_file.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace fathom::world_test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using Tokens = std::vector<Token>;

// How Python writes a bytes object.
std::string bytes_literal(std::string_view bytes) {
  std::string out = "b'";
  for (char c : bytes) {
    char hex[8];
    std::snprintf(hex, sizeof hex, "\\x%02x", static_cast<unsigned char>(c));
    const bool plain = c >= ' ' && c <= '~' && c != '\'' && c != '\\';
    out += plain ? std::string(1, c) : std::string(hex);
  }
  return out + "'";
}

std::string numbered_file(const std::vector<std::string>& tokens, std::string_view newline = "\n") {
  std::string out;
  for (size_t id = 1; id < tokens.size(); ++id)
    out += concat(id, " ", bytes_literal(tokens[id]), " ", tokens[id].size(), newline);
  return out;
}

std::string line_file(const std::vector<std::string>& tokens) {
  std::string out = "b'<s>'\n";
  for (size_t id = 1; id < tokens.size(); ++id) out += bytes_literal(tokens[id]) + "\n";
  return out;
}

TEST(PythonLiteral, TextAndBytes) {
  EXPECT_EQ(parse_python_literal("'a b'"), "a b");
  EXPECT_EQ(parse_python_literal("\"it's\""), "it's");
  EXPECT_EQ(parse_python_literal("'say \"x\"'"), "say \"x\"");
  EXPECT_EQ(parse_python_literal(R"('\n\t\r\\\'\"')"), "\n\t\r\\'\"");
  EXPECT_EQ(parse_python_literal(R"('\x41\x80')"), "A\xC2\x80") << "a code point in text";
  EXPECT_EQ(parse_python_literal(R"(b'\x41\x80')"), "A\x80") << "a byte in bytes";
  EXPECT_EQ(parse_python_literal(R"('\u00a0\U0001f30d')"), "\xC2\xA0\xF0\x9F\x8C\x8D");
  EXPECT_EQ(parse_python_literal("'\xE4\xBD\xA0'"), "\xE4\xBD\xA0");
  EXPECT_EQ(parse_python_literal(R"(b"'")"), "'");
  EXPECT_EQ(parse_python_literal("''"), "");
}

TEST(PythonLiteral, RefusesWhatPythonWouldOrReprNeverWrites) {
  for (const char* bad : {"",
                          "a",
                          "'",
                          "b",
                          "b'",
                          "'a",
                          "a'",
                          "'a\"",
                          "'a'b'",
                          "''x'",
                          "\"a\"b\"",
                          R"('\')",
                          R"('\x4')",
                          R"('\xg0')",
                          R"('\x+1')",
                          R"('\u12')",
                          R"('\ud800')",
                          R"('\U00110000')",
                          R"('\q')",
                          R"('\0')",
                          R"(b'\u0041')",
                          "b'\xC3\xA9'",
                          "'\xFF'",
                          "'\xED\xA0\x80'",
                          "u'a'",
                          "r'a'"})
    EXPECT_THAT(error_of([&] { parse_python_literal(bad); }), StartsWith("bad literal")) << bad;
}

TEST(WorldVocabulary, ReadsBothForms) {
  std::vector<std::string> tokens = byte_tokens();
  tokens.insert(tokens.end(), {"ab", " a b ", "\xE4\xBD\xA0", "\n\n", "it's"});
  EXPECT_EQ(parse_world_vocabulary(numbered_file(tokens), "v"), tokens);
  EXPECT_EQ(parse_world_vocabulary(numbered_file(tokens, "\r\n"), "v"), tokens);
  EXPECT_EQ(parse_world_vocabulary("\xEF\xBB\xBF" + numbered_file(tokens) + "\n\n", "v"), tokens);
  EXPECT_EQ(parse_world_vocabulary(line_file(tokens), "v"), tokens);
  EXPECT_THAT(parse_world_vocabulary("0 'a' 1\n1 ' ' 1", "v"), ElementsAre("a", " "));
}

// 65529, then 65535: what is left out has no text, and no text reaches the reserved ids.
TEST(WorldVocabulary, IdsMayBeLeftOut) {
  std::string file = numbered_file(byte_tokens());
  file += "300 'ab' 2\n65529 '    ' 4\n65535 '<|end|>' 7\n";
  const std::vector<std::string> tokens = parse_world_vocabulary(file, "v");
  EXPECT_EQ(tokens[300], "ab");
  EXPECT_EQ(tokens[257], "");
  EXPECT_EQ(tokens[299], "");
  const auto world = parse_tokenizer(file, "v");
  EXPECT_EQ(world->n_vocab(), 65530u);
  EXPECT_THAT(world->encode("ab    "), ElementsAre(300, 65529));
  EXPECT_THAT(world->encode("<|end|>"), ElementsAre(61, 125, 102, 111, 101, 125, 63));
  EXPECT_EQ(world->piece(299), "");
  // Beyond 65536 ids nothing is reserved: it is another vocabulary.
  const auto larger = parse_tokenizer(file + "65536 'cd' 2\n", "v");
  EXPECT_THAT(larger->encode("<|end|>cd"), ElementsAre(65535, 65536));
}

TEST(WorldVocabulary, NamesFileAndLineOfWhatIsWrong) {
  const auto error = [](const std::string& text) {
    return error_of([&] { parse_world_vocabulary(text, "vocab.txt"); });
  };
  EXPECT_EQ(error("1 'a' 1\n2 'b' 2\n"),
            "vocab.txt:2: the length is given as 2, but the token has 1 bytes");
  EXPECT_EQ(error("1 'a' 1\n1 'b' 1\n"), "vocab.txt:2: expected an id above 1, got 1");
  EXPECT_EQ(error("3 'a' 1\n9 'b' 1\n4 'c' 1\n"), "vocab.txt:3: expected an id above 9, got 4");
  EXPECT_EQ(error("1048576 'a' 1\n"), "vocab.txt:1: expected an id below 1048576, got 1048576");
  EXPECT_EQ(error("1 'a' 1\n2 '' 0\n"), "vocab.txt:2: the token is empty");
  EXPECT_THAT(error("1 'a' 1\n\n2 'b' 1\n"), StartsWith("vocab.txt:2: expected ID LITERAL LENGTH"));
  EXPECT_THAT(error("1 'a'\n"), StartsWith("vocab.txt:1: "));
  EXPECT_EQ(error("1 'a' x\n"), "vocab.txt:1: expected a length, got x");
  EXPECT_EQ(error("1 'a' -1\n"), "vocab.txt:1: expected a length, got -1");
  EXPECT_EQ(error("1x 'a' 1\n"), "vocab.txt:1: expected an id, got 1x");
  EXPECT_THAT(error("99999999999999999999 'a' 1\n"), HasSubstr("expected an id"));
  EXPECT_THAT(error("1 'a\\' 1\n"), StartsWith("vocab.txt:1: bad literal 'a\\'"));
  EXPECT_THAT(error("b'<s>'\nb'a'\nx\n"), StartsWith("vocab.txt:3: bad literal x"));
  EXPECT_EQ(error("b'<s>'\nb''\n"), "vocab.txt:2: the token is empty");
  EXPECT_EQ(error(""), "vocab.txt: the vocabulary is empty");
  EXPECT_EQ(error("\n\n"), "vocab.txt: the vocabulary is empty");
}

TEST(ParseTokenizer, TellsTheFormByContent) {
  std::vector<std::string> tokens = byte_tokens();
  tokens.push_back("<s>");
  const auto numbered = parse_tokenizer(numbered_file(tokens), "v");
  EXPECT_EQ(numbered->name(), "world");
  EXPECT_EQ(numbered->n_vocab(), 258u);
  EXPECT_THAT(numbered->encode("<s>a"), ElementsAre(257, 98));

  tokens.back() = "ab";
  const auto lines = parse_tokenizer(line_file(tokens), "v");
  EXPECT_THAT(lines->encode("<s>ab"), ElementsAre(61, 116, 63, 257))
      << "line 0 is end of text and never matched";
  EXPECT_EQ(lines->piece(0), "");
}

TEST(ParseTokenizer, RefusesOtherFilesByName) {
  const auto error = [](std::string_view text) {
    return error_of([&] { parse_tokenizer(text, "vocab.txt"); });
  };
  EXPECT_EQ(error(""), "vocab.txt: the file is empty");
  EXPECT_EQ(error("\xEF\xBB\xBF \n"), "vocab.txt: the file is empty");
  EXPECT_THAT(error("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
              HasSubstr("git-lfs pointer"));
  EXPECT_THAT(error("hello world"), HasSubstr("neither an RWKV World vocabulary nor"));
  EXPECT_THAT(error("PK\x03\x04"), HasSubstr("neither"));
  std::vector<std::string> tokens = byte_tokens();
  tokens.erase(tokens.begin() + 1 + 'z');
  EXPECT_THAT(error(numbered_file(tokens)),
              AllOf(StartsWith("vocab.txt: no token for the single byte 122")));
  tokens = byte_tokens();
  tokens.insert(tokens.end(), {"ab", "abc", "ab"});
  EXPECT_EQ(error(numbered_file(tokens)), "vocab.txt: entries 257 and 259 are the same");
}

TEST(OpenTokenizer, ReadsFilesAlsoCompressed) {
  const ScratchFolder folder;
  folder.write("vocab.txt.xz", xz(numbered_file(byte_tokens())));
  EXPECT_THAT(open_tokenizer(folder / "vocab.txt")->encode("a"), ElementsAre(98));
  EXPECT_THAT(error_of([&] { open_tokenizer(folder / "none.txt"); }), HasSubstr("none.txt"));
}

TEST(World, TakesTheLongestTokenAtEachPlace) {
  std::vector<std::string> tokens = byte_tokens();
  tokens.insert(tokens.end(), {"ab", "abcd", "bcd", "cde"});
  const auto world = world_tokenizer(tokens);
  EXPECT_THAT(world->encode("abcde"), ElementsAre(258, 102));
  EXPECT_THAT(world->encode("abcx"), ElementsAre(257, 100, 121));
  EXPECT_THAT(world->encode(""), ElementsAre());
  Tokens out = {7};
  world->encode("ab", out);
  EXPECT_THAT(out, ElementsAre(7, 257)) << "appends";
  EXPECT_EQ(world->decode(Tokens{258, 102, 0}), "abcde");
  EXPECT_EQ(world->n_vocab(), 261u);
  EXPECT_THAT(error_of([&] { world->piece(261); }), HasSubstr("token id 261"));
}

TEST(World, IgnoresIdsWithoutText) {
  std::vector<std::string> tokens = byte_tokens();
  tokens.insert(tokens.end(), {"", "ab", "", ""});
  const auto world = world_tokenizer(tokens);
  EXPECT_EQ(world->n_vocab(), 259u) << "ids at the end without text are not produced";
  EXPECT_THAT(world->encode("ab"), ElementsAre(258));
  EXPECT_EQ(world->piece(257), "");
}

TEST(World, EncodesAnyBytesAndBack) {
  std::vector<std::string> tokens = byte_tokens();
  Random random(3);
  for (int i = 0; i < 300; ++i) {
    std::string token;
    for (uint64_t n = 2 + random.below(6); n > 0; --n)
      token += static_cast<char>(random.below(i % 2 ? 256 : 3));
    if (std::find(tokens.begin(), tokens.end(), token) == tokens.end()) tokens.push_back(token);
  }
  const auto world = world_tokenizer(tokens);
  for (int i = 0; i < 500; ++i) {
    std::string bytes(random.below(100), '\0');
    for (char& c : bytes) c = static_cast<char>(random.below(i % 2 ? 256 : 3));
    ASSERT_EQ(world->decode(world->encode(bytes)), bytes);
  }
}

TEST(Byte, IdIsTheByte) {
  const auto byte = byte_tokenizer();
  EXPECT_EQ(byte->name(), "byte");
  EXPECT_EQ(byte->n_vocab(), 256u);
  EXPECT_THAT(byte->encode(std::string_view("\"in\0\xFF", 5)), ElementsAre(34, 105, 110, 0, 255));
  EXPECT_EQ(byte->decode(Tokens{255, 0, 65}), std::string("\xFF\0A", 3));
  EXPECT_THROW(byte->piece(256), Error);
}

TEST(Gguf, ReadsPythonReprAndMatchesNormalTokensOnly) {
  std::vector<std::string> entries = {"<s>"};
  const std::vector<std::string> bytes = byte_tokens();
  for (size_t id = 1; id < bytes.size(); ++id) {
    const std::string literal = bytes_literal(bytes[id]);
    entries.push_back(literal.substr(2, literal.size() - 3));
  }
  entries[1 + '\''] = "'";  // as repr() writes it within double quotes
  entries.insert(entries.end(), {R"(\n\n)", R"(it\'s)", R"(\xe4\xbd\xa0)", R"(\\x41)", "[PAD261]"});
  const std::vector<std::string_view> views(entries.begin(), entries.end());
  std::vector<int64_t> types(entries.size(), 1);
  types.front() = 3;
  types.back() = 5;
  const auto gguf = gguf_tokenizer(views, types);
  EXPECT_EQ(gguf->name(), "world");
  EXPECT_EQ(gguf->n_vocab(), 261u);
  EXPECT_THAT(gguf->encode("\n\nit's\xE4\xBD\xA0\\x41"), ElementsAre(257, 258, 259, 260));
  EXPECT_THAT(gguf->encode("<s>"), ElementsAre(61, 116, 63));
  EXPECT_EQ(gguf->encode("[PAD261]").size(), 8u);
  EXPECT_EQ(gguf->piece(0), "");
  EXPECT_THAT(gguf_tokenizer(views, {})->encode("<s>"), ElementsAre(0)) << "no types: all normal";

  types.pop_back();
  EXPECT_THAT(error_of([&] { gguf_tokenizer(views, types); }), HasSubstr("token_type has 261"));
  entries[258] = R"(\q)";
  const std::vector<std::string_view> bad(entries.begin(), entries.end());
  EXPECT_THAT(error_of([&] { gguf_tokenizer(bad, {}); }),
              StartsWith("tokenizer.ggml.tokens[258]: bad token \\q"));
}

class WorldGolden : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(folder_ / "cases.jsonl"))
      GTEST_SKIP() << folder_ << " is not there (set FATHOM_SHARED)";
    tokenizer_ = open_tokenizer(folder_ / "rwkv_vocab_v20230424.txt");
  }
  const std::filesystem::path folder_ = shared_folder() / "golden/tokenizer";
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(WorldGolden, EveryCase) {
  const std::string file = read_text_file(folder_ / "cases.jsonl");
  size_t n_case = 0;
  for (std::string_view line : split_lines(file)) {
    const Json entry = Json::parse(line);
    const auto hex = entry["hex"].get<std::string>();
    std::string bytes;
    for (size_t i = 0; i < hex.size(); i += 2)
      bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    const Tokens ids = tokenizer_->encode(bytes);
    EXPECT_EQ(ids, entry["ids"].get<Tokens>()) << entry["name"];
    EXPECT_EQ(tokenizer_->decode(ids), bytes) << entry["name"];
    ++n_case;
  }
  EXPECT_GT(n_case, 0u);
}

TEST_F(WorldGolden, LargeTexts) {
  for (const Json& entry : Json::parse(read_text_file(folder_ / "big.json"))) {
    const MappedFile file(folder_ / entry["file"].get<std::string>()),
        ids(folder_ / entry["ids_file"].get<std::string>());
    const std::string_view bytes = file.text(), packed = ids.text();
    Tokens expected;
    for (size_t i = 0; i + 1 < packed.size(); i += 2)
      expected.push_back(static_cast<unsigned char>(packed[i]) |
                         static_cast<unsigned char>(packed[i + 1]) << 8);
    EXPECT_EQ(tokenizer_->encode(bytes), expected) << entry["file"];
  }
}

TEST_F(WorldGolden, TheVocabularyAsPublishedElsewhere) {
  EXPECT_EQ(tokenizer_->n_vocab(), 65530u);
  const std::string file = read_text_file(folder_ / "rwkv_vocab_v20230424.txt");
  const std::vector<std::string> tokens = parse_world_vocabulary(file, "v");
  ASSERT_EQ(tokens.size(), 65530u);
  for (int byte = 0; byte < 256; ++byte)
    EXPECT_EQ(tokens[static_cast<size_t>(byte) + 1], std::string(1, static_cast<char>(byte)));
  EXPECT_EQ(tokens[2423], "\xC2\x80");
  EXPECT_EQ(tokens[261], "\n\n");

  std::string crlf;
  for (std::string_view line : split_lines(file)) crlf.append(line).append("\r\n");
  EXPECT_EQ(parse_world_vocabulary(crlf, "v"), tokens);
  EXPECT_EQ(parse_world_vocabulary(line_file(tokens), "v"), tokens);
}

}  // namespace
}  // namespace fathom::world_test
