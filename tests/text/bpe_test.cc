// SPDX-License-Identifier: Apache-2.0
#include "text/bpe.h"

#include <functional>

#include "base/json.h"
#include "base/utf8.h"
#include "text/fixtures.h"
#include "text/text_file.h"
#include "text/tokenizer_json.h"

namespace fathom::bpe_test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using Tokens = std::vector<Token>;

Json added(int id, const std::string& content, bool normalized, bool special = false) {
  return {
      {"id", id},        {"content", content}, {"special", special},      {"single_word", false},
      {"lstrip", false}, {"rstrip", false},    {"normalized", normalized}};
}

// Ids 0 to 255 are the bytes, then the results of the merges in order, then what is added.
Json make_json(const std::vector<std::pair<std::string, std::string>>& merges) {
  Json vocab, list = Json::array();
  int n = 0;
  for (int byte = 0; byte < 256; ++byte) vocab[letter(byte)] = n++;
  for (const auto& [left, right] : merges) {
    const std::string result = letters(left) + letters(right);
    if (!vocab.contains(result)) vocab[result] = n++;
    list.push_back(letters(left) + " " + letters(right));
  }
  return {{"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"added_tokens", Json::array()},
          {"model", {{"type", "BPE"}, {"dropout", nullptr}, {"vocab", vocab}, {"merges", list}}}};
}

std::unique_ptr<Tokenizer> make(const Json& json) { return json_tokenizer(json.dump(), "t.json"); }

TEST(Bpe, MergesTheFirstPairOfTheListFirst) {
  const auto bpe = make(make_json({{"b", "c"}, {"a", "b"}, {"a", "bc"}, {"ab", "c"}}));
  EXPECT_EQ(bpe->name(), "bpe");
  EXPECT_EQ(bpe->n_vocab(), 259u) << "abc is made in two ways but is one token";
  EXPECT_THAT(bpe->encode("abc"), ElementsAre(258)) << "b c, then a bc";
  EXPECT_THAT(bpe->encode("ab"), ElementsAre(257));
  EXPECT_THAT(bpe->encode("bcab"), ElementsAre(256, 257));
  EXPECT_THAT(bpe->encode(""), ElementsAre());
  EXPECT_EQ(bpe->decode(Tokens{258, 'x', 257}), "abcxab");
  EXPECT_THAT(error_of([&] { bpe->piece(259); }), HasSubstr("token id 259"));
}

TEST(Bpe, MergesEqualPairsFromTheLeft) {
  const auto bpe = make(make_json({{"a", "a"}, {"aa", "a"}, {"aa", "aa"}}));
  EXPECT_THAT(bpe->encode("aaa"), ElementsAre(257));
  EXPECT_THAT(bpe->encode("aaaa"), ElementsAre(258));
  EXPECT_THAT(bpe->encode("aaaaa"), ElementsAre(256, 257))
      << "aa aa a: aa+a is earlier in the list";
}

// The queue of merges against the definition, on words of two letters with random merges.
TEST(Bpe, AgreesWithTheDefinition) {
  const std::vector<std::pair<std::string, std::string>> merges = {
      {"b", "a"},   {"a", "a"},   {"ba", "a"}, {"aa", "b"},  {"aa", "ba"},
      {"ba", "ba"}, {"aab", "b"}, {"b", "b"},  {"bb", "aa"}, {"a", "bb"}};
  const auto bpe = make(make_json(merges));
  for (unsigned bits = 0; bits < (1u << 11); ++bits) {
    std::string text;
    for (unsigned i = 0; i < 11; ++i) text += (bits >> i) & 1 ? 'b' : 'a';
    std::vector<std::string> parts;
    for (char c : text) parts.emplace_back(1, c);
    for (;;) {
      size_t best_rank = merges.size(), best = 0;
      for (size_t i = 0; i + 1 < parts.size(); ++i)
        for (size_t rank = 0; rank < best_rank; ++rank)
          if (merges[rank] == std::pair(parts[i], parts[i + 1])) best_rank = rank, best = i;
      if (best_rank == merges.size()) break;
      parts[best] += parts[best + 1];
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    std::vector<std::string> pieces;
    for (Token id : bpe->encode(text)) pieces.push_back(bpe->piece(id));
    ASSERT_EQ(pieces, parts) << text;
  }
}

TEST(Bpe, DoesNotMergeAcrossWords) {
  const auto bpe = make(make_json({{"a", " "}, {" ", "a"}, {"a", "1"}}));
  EXPECT_THAT(bpe->encode("a a1"), ElementsAre('a', 257, '1'));
}

TEST(Bpe, TakesLongWordsInReasonableTime) {
  const auto bpe = make(make_json({{"a", "a"}, {"aa", "aa"}, {"aaaa", "aaaa"}}));
  EXPECT_EQ(bpe->encode(std::string(1 << 18, 'a')).size(), size_t{1} << 15);
}

TEST(Bpe, ReadsMergesAsPairsToo) {
  Json json = make_json({{"a", "b"}});
  json["model"]["merges"] = Json::array({Json::array({"a", "b"})});
  EXPECT_THAT(make(json)->encode("ab"), ElementsAre(256));
  json["model"]["merges"] = Json::array({"#version: 0.2", "a b"});
  EXPECT_THAT(make(json)->encode("ab"), ElementsAre(256));
}

TEST(Bpe, ReadsIllFormedUtf8AsReplacementCharacters) {
  const auto bpe = make(make_json({}));
  EXPECT_THAT(bpe->encode("a\xFF"
                          "b"),
              ElementsAre('a', 0xEF, 0xBF, 0xBD, 'b'));
}

TEST(Bpe, NormalizesToNfcIfTheFileSaysSo) {
  Json json = make_json({});
  EXPECT_THAT(make(json)->encode("e\u0301"), ElementsAre('e', 0xCC, 0x81));
  json["normalizer"] = {{"type", "NFC"}};
  EXPECT_THAT(make(json)->encode("e\u0301"), ElementsAre(0xC3, 0xA9));
  json["normalizer"] = {{"type", "Sequence"},
                        {"normalizers", Json::array({Json{{"type", "NFC"}}})}};
  EXPECT_THAT(make(json)->encode("e\u0301"), ElementsAre(0xC3, 0xA9));
}

TEST(Bpe, PutsASpaceInFrontIfTheFileSaysSo) {
  Json json = make_json({{" ", "a"}});
  json["pre_tokenizer"]["add_prefix_space"] = true;
  json["added_tokens"] = Json::array({added(300, "<x>", false)});
  EXPECT_THAT(make(json)->encode("a a<x>a<x> a"), ElementsAre(256, 256, 300, 256, 300, 256));
}

TEST(Bpe, CutsAddedTokensOutLeftmostAndLongest) {
  Json json = make_json({});
  json["added_tokens"] =
      Json::array({added(300, "<x>", false, true), added(301, "<x><x>y", false),
                   added(302, "  ", true), added(303, "   ", true), added('q', "q", false)});
  const auto bpe = make(json);
  EXPECT_EQ(bpe->n_vocab(), 304u);
  EXPECT_THAT(bpe->encode("<x>a<x>"), ElementsAre(300, 'a', 300));
  EXPECT_THAT(bpe->encode("<x><x>y<x><x>z"), ElementsAre(301, 300, 300, 'z'));
  EXPECT_THAT(bpe->encode("a     b q"), ElementsAre('a', 303, 302, 'b', ' ', 'q'));
  EXPECT_EQ(bpe->piece(303), "   ");
  EXPECT_EQ(bpe->piece(299), "") << "an id without a token";
}

TEST(Bpe, LooksForNormalizedAddedTokensAfterNormalization) {
  Json json = make_json({});
  json["normalizer"] = {{"type", "NFC"}};
  json["added_tokens"] = Json::array({added(300, "e\u0301", true), added(301, "a\u0301", false)});
  const auto bpe = make(json);
  EXPECT_THAT(bpe->encode("e\u0301\u00E9"), ElementsAre(300, 300));
  EXPECT_THAT(bpe->encode("a\u0301\u00E1"), ElementsAre(301, 0xC3, 0xA1));
}

struct Refusal {
  const char* what;
  std::function<void(Json&)> damage;
  const char* message;
};

TEST(Bpe, RefusesByNameWhatItDoesNotDo) {
  const Refusal refusals[] = {
      {"Unigram", [](Json& j) { j["model"]["type"] = "Unigram"; }, "model type Unigram"},
      {"WordPiece", [](Json& j) { j["model"]["type"] = "WordPiece"; }, "model type WordPiece"},
      {"no model", [](Json& j) { j.erase("model"); }, "\"model\""},
      {"no vocab", [](Json& j) { j["model"].erase("vocab"); }, "\"vocab\""},
      {"no merges", [](Json& j) { j["model"].erase("merges"); }, "\"merges\""},
      {"merges no list", [](Json& j) { j["model"]["merges"] = 3; }, "\"merges\""},
      {"dropout", [](Json& j) { j["model"]["dropout"] = 0.1; }, "model.dropout = 0.1"},
      {"suffix", [](Json& j) { j["model"]["end_of_word_suffix"] = "</w>"; }, "end_of_word_suffix"},
      {"fallback", [](Json& j) { j["model"]["byte_fallback"] = true; }, "byte_fallback"},
      {"ignore_merges", [](Json& j) { j["model"]["ignore_merges"] = true; }, "ignore_merges"},
      {"NFKC",
       [](Json& j) {
         j["normalizer"] = {{"type", "NFKC"}};
       },
       "normalizer NFKC"},
      {"nested",
       [](Json& j) {
         j["normalizer"] = {{"type", "Sequence"},
                            {"normalizers", Json::array({Json{{"type", "Lowercase"}}})}};
       },
       "normalizer Lowercase"},
      {"Metaspace",
       [](Json& j) {
         j["pre_tokenizer"] = {{"type", "Metaspace"}};
       },
       "pre-tokenizer Metaspace"},
      {"none", [](Json& j) { j["pre_tokenizer"] = nullptr; }, "pre-tokenizer null"},
      {"two steps",
       [](Json& j) {
         const Json step = j["pre_tokenizer"];
         j["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", Json::array({step, step})}};
       },
       "Sequence of pre-tokenizers"},
      {"no pattern", [](Json& j) { j["pre_tokenizer"]["use_regex"] = false; }, "pattern"},
      {"byte", [](Json& j) { j["model"]["vocab"].erase("z"); }, "single byte 122"},
      {"id", [](Json& j) { j["model"]["vocab"]["ab"] = -1; }, "token ab: expected an id"},
      {"large id", [](Json& j) { j["model"]["vocab"]["ab"] = 1 << 22; },
       "token ab: expected an id"},
      {"twice", [](Json& j) { j["model"]["vocab"]["ab"] = 97; }, "token id 97 is given twice"},
      {"merge", [](Json& j) { j["model"]["merges"] = Json::array({"x y"}); }, "merges[0]: xy"},
      {"three", [](Json& j) { j["model"]["merges"] = Json::array({"a b c"}); },
       "merges[0]: expected two"},
      {"one", [](Json& j) { j["model"]["merges"] = Json::array({"ab"}); },
       "merges[0]: expected two"},
      {"number", [](Json& j) { j["model"]["merges"] = Json::array({1}); },
       "merges[0]: expected two"},
      {"lstrip",
       [](Json& j) {
         j["added_tokens"] = Json::array({added(300, "<m>", false)});
         j["added_tokens"][0]["lstrip"] = true;
       },
       "added token <m>: lstrip"},
      {"other id", [](Json& j) { j["added_tokens"] = Json::array({added(300, "a", false)}); },
       "the vocabulary gives it 97"},
      {"taken id", [](Json& j) { j["added_tokens"] = Json::array({added(97, "<m>", false)}); },
       "token id 97 is given twice"},
      {"two ids",
       [](Json& j) {
         j["added_tokens"] = Json::array({added(300, "<m>", false), added(301, "<m>", false)});
       },
       "has two ids"},
      {"content",
       [](Json& j) {
         j["added_tokens"] = Json::array({Json{{"id", 1}}});
       },
       "\"content\""},
      {"flag",
       [](Json& j) {
         j["added_tokens"] = Json::array({added(300, "<m>", false)});
         j["added_tokens"][0]["rstrip"] = "yes";
       },
       "t.json: "},
  };
  for (const Refusal& refusal : refusals) {
    Json json = make_json({{"a", "b"}});
    refusal.damage(json);
    EXPECT_THAT(error_of([&] { make(json); }),
                AllOf(StartsWith("t.json: "), HasSubstr(refusal.message)))
        << refusal.what;
  }
  for (const char* text : {"{", "{}", "[]", "null", "{\"model\": 3}", "{\"model\": {}}", "\xFF"})
    EXPECT_THAT(error_of([&] { json_tokenizer(text, "t.json"); }), StartsWith("t.json: ")) << text;
}

// Ids by PyPI's tokenizers 0.23.3 from the same file, without special tokens.
TEST(Bpe, GptNeoX20B) {
  const auto path = shared_folder() / "data/tokenizer/20B_tokenizer.json";
  if (!find_text_file(path)) GTEST_SKIP() << path << " is not there (set FATHOM_SHARED)";
  const auto bpe = open_tokenizer(path);
  EXPECT_EQ(bpe->n_vocab(), 50277u);
  const std::pair<const char*, Tokens> cases[] = {
      {"", {}},
      {"Hello, World!", {12092, 13, 3645, 2}},
      {"The Eiffel Tower is in the city of",
       {510, 444, 1648, 293, 20610, 310, 275, 253, 2846, 273}},
      {"I'll say it's 42,don't  you're\n\n\tok ",
       {42, 1833, 1333, 352, 434, 5976, 13, 9903, 626, 50276, 5658, 1472, 535, 186, 536, 209}},
      {"def f(x):\n        return x   # 8 spaces",
       {1545, 269, 9, 89, 2262, 187, 50270, 2309, 1269, 50275, 4, 854, 8470}},
      {"<|endoftext|>a<|padding|><|endoftext|>", {0, 66, 1, 0}},
      {"\u4F60\u597D\uFF0C\u4E16\u754C \U0001F30D",
       {24553, 34439, 6238, 42848, 45261, 22692, 223, 224}},
      {"cafe\u0301 na\u00EFve \u1100\u1161\u11A8 A\u030A\u0327",
       {68, 2320, 860, 36060, 42984, 212, 17732, 136, 102}},
      {"12345 \u00BD \u2167 \u0663\u0664", {42594, 24142, 3384, 216, 102, 209, 149, 98, 149, 99}},
      {"a\u00A0b\u2028c\u3000d", {66, 575, 67, 40702, 68, 19409, 69}},
      {"                              30 spaces", {50254, 50272, 1229, 8470}},
      {"\xFF\xFF x", {42481, 1269}},
  };
  for (const auto& [text, ids] : cases) EXPECT_EQ(bpe->encode(text), ids) << text;
  const std::string plain = "Any text: 1.5 \u00E9 \u4F60\n\n  ok";
  EXPECT_EQ(bpe->decode(bpe->encode(plain)), plain);
}

}  // namespace
}  // namespace fathom::bpe_test
