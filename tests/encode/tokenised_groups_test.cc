// SPDX-License-Identifier: Apache-2.0
// TokenisedGroups: every text once, in order, in groups within the limits, and ahead of the caller.
#include "encode/tokenised_groups.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <numeric>
#include <string>
#include <string_view>

#include "base/error.h"

namespace fathom::tokenised_groups_test {
namespace {

// One token a byte; counts its calls, and can be told to fail at a text.
class ByteTokenizer final : public Tokenizer {
 public:
  void encode(std::string_view text, std::vector<Token>& out) const override {
    if (text == fail_at) throw Error("no token for " + fail_at);
    for (char c : text) out.push_back(static_cast<unsigned char>(c));
    if (text == "reached") reached.set_value();
  }
  using Tokenizer::encode;
  std::string_view name() const override { return "test"; }
  size_t n_vocab() const override { return 256; }
  std::string piece(Token id) const override { return {static_cast<char>(id)}; }
  std::string fail_at = "none";
  mutable std::promise<void> reached;
};

std::vector<std::string> lengths(const std::vector<size_t>& n) {
  std::vector<std::string> texts;
  for (size_t length : n) texts.push_back(std::string(length, 'a' + char(texts.size() % 26)));
  return texts;
}

std::vector<std::string_view> views(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

std::vector<size_t> ends(TokenisedGroups& groups, const std::vector<std::string>& texts) {
  std::vector<size_t> ends;
  size_t at = 0;
  while (const auto group = groups.next()) {
    EXPECT_EQ(group->begin, at);
    EXPECT_EQ(group->ids.size(), group->end - group->begin);
    for (size_t i = group->begin; i < group->end; ++i)
      EXPECT_EQ(group->ids[i - group->begin],
                std::vector<Token>(texts[i].size(), texts[i].empty() ? 0 : Token(texts[i][0])));
    at = group->end;
    ends.push_back(at);
  }
  EXPECT_EQ(at, texts.size());
  EXPECT_FALSE(groups.next());
  return ends;
}

TEST(TokenisedGroups, EndWithTheTextThatReachesTheTokens) {
  const ByteTokenizer tokenizer;
  const auto texts = lengths({3, 3, 4, 50, 0, 9, 1, 2});
  const auto all = views(texts);
  TokenisedGroups groups(tokenizer, all, {.n_token = 10});
  EXPECT_EQ(ends(groups, texts), (std::vector<size_t>{3, 4, 7, 8}));
}

TEST(TokenisedGroups, HaveAtMostSoManyTextsAndKeepPairsTogether) {
  const ByteTokenizer tokenizer;
  const auto texts = lengths(std::vector<size_t>(11, 2));
  const auto all = views(texts);
  TokenisedGroups four(tokenizer, all, {.n_token = 1000, .n_text = 4});
  EXPECT_EQ(ends(four, texts), (std::vector<size_t>{4, 8, 11}));
  TokenisedGroups pairs(tokenizer, all, {.n_token = 5, .n_text = 6, .multiple = 2});
  EXPECT_EQ(ends(pairs, texts), (std::vector<size_t>{4, 8, 11}));
}

// Texts that come in parts of at most `part` bytes.
class InParts final : public TextSource {
 public:
  InParts(std::vector<std::string> texts, size_t part) : texts_(std::move(texts)), part_(part) {}
  bool next(std::string_view& text, bool& in_part) override {
    if (n_ == texts_.size()) return false;
    rest_ = texts_[n_++];
    more(text);
    in_part = !rest_.empty();
    return true;
  }
  bool more(std::string_view& part) override {
    part = rest_.substr(0, part_);
    rest_.remove_prefix(part.size());
    return !part.empty();
  }

 private:
  std::vector<std::string> texts_;
  size_t part_, n_ = 0;
  std::string_view rest_;
};

TEST(TokenisedGroups, ALongTextIsAGroupWhoseTokensAreRead) {
  const auto tokenizer = byte_tokenizer();
  std::string longest;
  for (size_t i = 0; i < 200'000; ++i) longest += static_cast<char>('a' + i % 26);
  for (size_t part : {7u, 50'000u, 300'000u}) {
    InParts texts({"ab", longest, "cd", "ef", longest}, part);
    TokenisedGroups groups(*tokenizer, texts, {.n_token = 100, .longest = 20});
    std::vector<size_t> ends;
    while (const auto group = groups.next()) {
      ends.push_back(group->end);
      EXPECT_EQ(group->long_text != nullptr, group->end == 2 || group->end == 5);
      if (!group->long_text) continue;
      std::vector<Token> all, piece(999);
      while (const size_t n = group->long_text->read(piece))
        all.insert(all.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(n));
      EXPECT_EQ(all, tokenizer->encode(longest));
      EXPECT_EQ(group->long_text->n_token(), longest.size());
    }
    EXPECT_EQ(ends, (std::vector<size_t>{1, 2, 4, 5})) << part;
    InParts again({"ab", longest, "cd"}, part);
    TokenisedGroups whole(*tokenizer, again, {.n_token = 100});
    EXPECT_EQ(whole.next()->ids[1], tokenizer->encode(longest)) << "no limit: all of it";
  }
}

TEST(TokenisedGroups, TheFrontOfATextIsTokenisedAsTheWhole) {
  std::vector<std::string> tokens(1);
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(std::string(1, static_cast<char>(byte)));
  for (const char* word : {"ab", "abc", "bcd", "abcdefgh", "  "}) tokens.emplace_back(word);
  const auto tokenizer = world_tokenizer(tokens);
  std::string text;
  for (size_t i = 0; i < 400; ++i) text += "abcdefgh  xab"[i * 7 % 13];
  text += "abcdefg";
  const std::vector<Token> want = tokenizer->encode(text);
  for (size_t n = 1; n < 40; ++n) {
    std::vector<Token> got;
    std::string held;
    for (size_t at = 0; at < text.size(); at += n) {
      held += text.substr(at, n);
      held.erase(0, tokenizer->encode_front(held, got));
      EXPECT_LT(held.size(), 8u);
    }
    tokenizer->encode(held, got);
    EXPECT_EQ(got, want) << n;
  }
}

TEST(TokenisedGroups, AreNoneOfNoTexts) {
  const ByteTokenizer tokenizer;
  TokenisedGroups groups(tokenizer, {}, {});
  EXPECT_FALSE(groups.next());
}

// The second group is tokenised although nobody has asked for it.
TEST(TokenisedGroups, AreTokenisedAhead) {
  const ByteTokenizer tokenizer;
  const std::vector<std::string_view> texts{"now", "reached"};
  TokenisedGroups groups(tokenizer, texts, {.n_token = 1});
  EXPECT_EQ(groups.next()->end, 1u);
  tokenizer.reached.get_future().wait();
  EXPECT_EQ(groups.next()->end, 2u);
}

TEST(TokenisedGroups, ThrowTheTokenizersErrorAtItsGroup) {
  ByteTokenizer tokenizer;
  tokenizer.fail_at = "bad";
  const std::vector<std::string_view> texts{"good", "bad", "never"};
  TokenisedGroups groups(tokenizer, texts, {.n_token = 1});
  EXPECT_EQ(groups.next()->end, 1u);
  EXPECT_THROW(groups.next(), Error);
  EXPECT_FALSE(groups.next());
}

}  // namespace
}  // namespace fathom::tokenised_groups_test
