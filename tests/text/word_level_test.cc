// SPDX-License-Identifier: Apache-2.0
// The World vocabulary as a tokenizer.json of kind WordLevel (docs/layouts.md).
#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/json.h"
#include "text/fixtures.h"
#include "text/text_file.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json.h"
#include "text/vocabulary.h"

namespace fathom::word_level_test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using Tokens = std::vector<Token>;

// The bytes are ids 1 to 256, then `more`.
std::vector<std::string> world_tokens(const std::vector<std::string>& more) {
  std::vector<std::string> tokens = byte_tokens();
  tokens.insert(tokens.end(), more.begin(), more.end());
  return tokens;
}

// As Python's re.escape() writes a token into a pattern.
std::string escaped(const std::string& token) {
  constexpr std::string_view kSpecial = "()[]{}?*+-|^$\\.&~# \t\n\r\v\f";
  std::string out;
  for (char c : token) {
    if (kSpecial.find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

// One alternation of the tokens, the longest first.
std::string alternation(const std::vector<std::string>& tokens) {
  std::vector<std::string> sorted;
  for (const std::string& t : tokens)
    if (!t.empty()) sorted.push_back(t);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.size() > b.size(); });
  std::string pattern;
  for (const std::string& t : sorted) pattern += (pattern.empty() ? "" : "|") + escaped(letters(t));
  return pattern;
}

Json added(Token id, const std::string& content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

// tokens: by id, "" for none; id 0 is <|endoftext|>. reserved: ids 65530 to 65535, too.
Json word_level(const std::vector<std::string>& tokens, bool reserved = false) {
  Json vocab = {{"<|endoftext|>", 0}}, list = Json::array({added(0, "<|endoftext|>")});
  for (size_t id = 1; id < tokens.size(); ++id)
    if (!tokens[id].empty()) vocab[letters(tokens[id])] = id;
  for (Token id = 65530; reserved && id < 65536; ++id) {
    const std::string content = concat("<|reserved_token_", id, "|>");
    vocab[content] = id;
    list.push_back(added(id, content));
  }
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", list},
          {"normalizer", nullptr},
          {"pre_tokenizer",
           {{"type", "Sequence"},
            {"pretokenizers",
             {{{"type", "ByteLevel"},
               {"add_prefix_space", false},
               {"trim_offsets", true},
               {"use_regex", false}},
              {{"type", "Split"},
               {"pattern", {{"Regex", alternation(tokens)}}},
               {"behavior", "Isolated"},
               {"invert", false}}}}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "WordLevel"}, {"vocab", vocab}, {"unk_token", "<|endoftext|>"}}}};
}

Json& split_of(Json& json) { return json["pre_tokenizer"]["pretokenizers"][1]; }
Json& byte_level_of(Json& json) { return json["pre_tokenizer"]["pretokenizers"][0]; }
Json& regex_of(Json& json) { return split_of(json)["pattern"]["Regex"]; }

std::unique_ptr<Tokenizer> make(const Json& json) { return json_tokenizer(json.dump(), "t.json"); }

TEST(WordLevel, IsTheWorldTokenizerOfItsTokens) {
  const std::vector<std::string> tokens =
      world_tokens({"ab", "abc", "|", "b|c", "\\d", " a", "\xE4\xBD\xA0", "\n\n", "("});
  // "|" and "(" are bytes already.
  std::vector<std::string> unique = tokens;
  unique[259] = unique[265] = "";
  const auto fast = make(word_level(unique));
  const auto world = world_tokenizer(unique);
  EXPECT_EQ(fast->name(), "world");
  EXPECT_EQ(fast->n_vocab(), world->n_vocab());
  for (const char* text : {"", "abcab", "ab|c", "\\d (a| a)", "\xE4\xBD\xA0\xE4", "\n\n\n",
                           "\xFF\x00", "b|c|", ".^$*+?()[]{}|\\"}) {
    EXPECT_EQ(fast->encode(text), world->encode(text)) << text;
    EXPECT_EQ(fast->decode(fast->encode(text)), text);
  }
  EXPECT_THAT(fast->encode("abcab"), ElementsAre(258, 257));
}

TEST(WordLevel, ThePatternMayBeOneGroup) {
  const std::vector<std::string> tokens = world_tokens({"ab"});
  for (const char* open : {"(", "(?:"}) {
    Json json = word_level(tokens);
    regex_of(json) = open + regex_of(json).get<std::string>() + ")";
    EXPECT_THAT(make(json)->encode("ab)"), ElementsAre(257, 42)) << open;
  }
}

// Any order in which no token stands behind a prefix of itself takes the longest.
TEST(WordLevel, OnlyPrefixesHaveToStandBehind) {
  std::vector<std::string> tokens = world_tokens({"ab", "xyz"});
  Json json = word_level(tokens);
  std::string pattern = "ab|xyz";
  for (int byte = 0; byte < 256; ++byte) pattern += "|" + escaped(letter(byte));
  regex_of(json) = pattern;
  EXPECT_THAT(make(json)->encode("xyzab"), ElementsAre(258, 257));
  regex_of(json) = "a|" + pattern;
  EXPECT_THAT(error_of([&] { make(json); }),
              AllOf(StartsWith("t.json: pre_tokenizer"), HasSubstr("alternative 2"),
                    HasSubstr("behind its prefix, alternative 1")));
}

TEST(WordLevel, NoTextReachesSpecialTokens) {
  std::vector<std::string> tokens = world_tokens({"ab"});
  tokens.resize(65530);
  tokens[65529] = "    ";
  Json json = word_level(tokens, true);
  const std::vector<std::string> special = {"<|endoftext|>", "<|reserved_token_65535|>"};
  for (bool in_pattern : {false, true}) {
    if (in_pattern)  // a program that splits by them all the same gives their ids to no text
      regex_of(json) =
          escaped(special[1]) + "|" + escaped(special[0]) + "|" + regex_of(json).get<std::string>();
    const auto fast = make(json);
    EXPECT_EQ(fast->n_vocab(), 65530u);
    EXPECT_THAT(fast->encode("    ab"), ElementsAre(65529, 257));
    for (const std::string& text : special) {
      const Tokens ids = fast->encode(text);
      EXPECT_EQ(ids.size(), text.size()) << text;
      for (Token id : ids) EXPECT_LE(id, 256u) << text;
    }
  }
  // Nor where the file does not call them special.
  json["added_tokens"] = Json::array();
  for (Token id : make(json)->encode(special[1] + special[0])) EXPECT_LE(id, 256u);
}

TEST(WordLevel, RefusesWhatWouldGiveOtherIds) {
  const Json good = word_level(world_tokens({"ab"}));
  const auto error = [&](const auto& change) {
    Json json = good;
    change(json);
    return error_of([&] { make(json); });
  };
  using J = Json&;
  const auto refused = [&](const auto& change, const char* what) {
    EXPECT_THAT(error(change), AllOf(StartsWith("t.json: "), HasSubstr(what)));
  };
  refused([](J j) { j["normalizer"] = {{"type", "NFC"}}; }, "normalizer NFC");
  refused([](J j) { j["pre_tokenizer"] = nullptr; }, "Sequence of ByteLevel and Split");
  refused([](J j) { j["pre_tokenizer"] = {{"type", "Whitespace"}}; }, "ByteLevel and Split");
  refused([](J j) { std::swap(byte_level_of(j), split_of(j)); }, "ByteLevel and Split");
  refused([](J j) { byte_level_of(j)["use_regex"] = true; }, "use_regex");
  refused([](J j) { byte_level_of(j).erase("use_regex"); }, "use_regex");
  refused([](J j) { byte_level_of(j)["add_prefix_space"] = true; }, "add_prefix_space");
  refused([](J j) { split_of(j)["behavior"] = "Removed"; }, "Removed");
  refused([](J j) { split_of(j)["invert"] = true; }, "invert");
  refused([](J j) { split_of(j)["pattern"] = {{"String", "a"}}; }, "Regex");
  for (const char* pattern : {"a.|b", "a*|b", "[ab]", "a|(b|c)", "a?", "^a", "a$", "a+", "a{2}"})
    refused([&](J j) { regex_of(j) = pattern; }, "an operator");
  for (const char* pattern : {"\\d|a", "\\x41", "\\n", "\\1"})
    refused([&](J j) { regex_of(j) = pattern; }, "Split has \\");
  refused([](J j) { regex_of(j) = "a\\"; }, "backslash");
  refused([](J j) { regex_of(j) = "a||b"; }, "empty alternative");
  refused([](J j) { regex_of(j) = ""; }, "empty alternative");
  refused([](J j) { regex_of(j) = "a|xyz"; }, "xyz, which is not in model.vocab");
  refused([](J j) { regex_of(j) = "a|b"; }, "no token for the single byte 0");
  refused([](J j) { j["model"]["vocab"]["zz"] = 1; }, "token id 1 is given twice");
  refused([](J j) { j["model"]["vocab"]["zz"] = -1; }, "expected an id below");
  refused([](J j) { j["model"]["vocab"]["zz"] = 1 << 20; }, "expected an id below");
  refused([](J j) { j["model"]["vocab"]["zz"] = "7"; }, "expected an id below");
  refused([](J j) { j["model"].erase("vocab"); }, "\"vocab\"");
  refused([](J j) { j["model"]["vocab"] = Json::array(); }, "\"vocab\"");
  refused([](J j) { j["added_tokens"][0]["special"] = false; }, "not special");
  refused([](J j) { j["added_tokens"] = {{"id", 3}}; }, "added_tokens");
  refused([](J j) { j["added_tokens"][0].erase("id"); }, "expected an id");
  refused([](J j) { j["model"]["type"] = "Unigram"; }, "model type Unigram");
  refused([](J j) { byte_level_of(j)["use_regex"] = 3; }, "type");  // the JSON library's words
}

// ---- the real vocabulary

class WordLevelGolden : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(folder_ / "cases.jsonl"))
      GTEST_SKIP() << folder_ << " is not there (set FATHOM_SHARED)";
    const std::string file = read_text_file(folder_ / "rwkv_vocab_v20230424.txt");
    fast_ = make(word_level(parse_world_vocabulary(file, "v"), true));
  }
  const std::filesystem::path folder_ = shared_folder() / "golden/tokenizer";
  std::unique_ptr<Tokenizer> fast_;
};

TEST_F(WordLevelGolden, EveryCaseGivesTheIdsOfTheVocabularyFile) {
  EXPECT_EQ(fast_->n_vocab(), 65530u);
  const std::string file = read_text_file(folder_ / "cases.jsonl");
  size_t n_case = 0;
  for (std::string_view line : split_lines(file)) {
    const Json entry = Json::parse(line);
    const auto hex = entry["hex"].get<std::string>();
    std::string bytes;
    for (size_t i = 0; i < hex.size(); i += 2)
      bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    EXPECT_EQ(fast_->encode(bytes), entry["ids"].get<Tokens>()) << entry["name"];
    ++n_case;
  }
  EXPECT_GT(n_case, 0u);
  for (const Json& entry : Json::parse(read_text_file(folder_ / "big.json"))) {
    const std::string bytes = read_text_file(folder_ / entry["file"].get<std::string>());
    std::ifstream ids(folder_ / entry["ids_file"].get<std::string>(), std::ios::binary);
    const std::string packed(std::istreambuf_iterator<char>(ids), {});
    Tokens expected;
    for (size_t i = 0; i + 1 < packed.size(); i += 2)
      expected.push_back(static_cast<unsigned char>(packed[i]) |
                         static_cast<unsigned char>(packed[i + 1]) << 8);
    EXPECT_EQ(fast_->encode(bytes), expected) << entry["file"];
  }
}

}  // namespace
}  // namespace fathom::word_level_test
