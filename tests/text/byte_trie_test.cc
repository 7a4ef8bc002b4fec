// SPDX-License-Identifier: Apache-2.0
#include "text/byte_trie.h"

#include <algorithm>

#include "base/random.h"
#include "text/fixtures.h"

namespace fathom::byte_trie_test {
namespace {

ByteTrie make(const std::vector<std::string>& keys) {
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  return ByteTrie(views, "keys");
}

// The definition.
ByteTrie::Match longest(const std::vector<std::string>& keys, std::string_view text) {
  ByteTrie::Match best;
  for (uint32_t i = 0; i < keys.size(); ++i)
    if (text.starts_with(keys[i]) && keys[i].size() > best.length)
      best = {i, static_cast<uint32_t>(keys[i].size())};
  return best;
}

TEST(ByteTrie, FindsTheLongestKeyThatTheTextBeginsWith) {
  const std::vector<std::string> keys = {"a", "", "abcd", "ab", std::string("\0", 1), "\xFF\xFF"};
  const ByteTrie trie = make(keys);
  const auto expect = [&](std::string_view text, uint32_t key, uint32_t length) {
    const ByteTrie::Match match = trie.longest_match(text);
    EXPECT_EQ(match.length, length) << text;
    if (length > 0) {
      EXPECT_EQ(match.key, key) << text;
    }
  };
  expect("abc", 3, 2);  // "abcd" is left at its last byte: back to "ab"
  expect("abcde", 2, 4);
  expect("ax", 0, 1);
  expect(std::string_view("\0a", 2), 4, 1);
  expect("\xFF\xFF\xFF", 5, 2);
  expect("\xFF", 0, 0);
  expect("b", 0, 0);
  expect("", 0, 0);
}

TEST(ByteTrie, WithoutKeysNothingMatches) {
  EXPECT_EQ(make({}).longest_match("a").length, 0u);
  EXPECT_EQ(make({"", ""}).longest_match("a").length, 0u);
}

TEST(ByteTrie, RefusesEqualKeys) {
  EXPECT_EQ(error_of([] {
              make({"x", "abcdefghij", "y", "abcdefghij"});
            }),
            "keys: entries 1 and 3 are the same");
}

TEST(ByteTrie, AgreesWithTheDefinitionOnRandomKeys) {
  Random random(1);
  for (int round = 0; round < 60; ++round) {
    // Few and many different bytes: long chains, and nodes with up to 256 children.
    const uint64_t n_byte = round % 3 == 0 ? 256 : 2 + random.below(4);
    const auto random_text = [&](size_t most) {
      std::string text(1 + random.below(most), '\0');
      for (char& c : text) c = static_cast<char>(255 - random.below(n_byte));
      return text;
    };
    std::vector<std::string> keys;
    for (int i = 0; i < 400; ++i) keys.push_back(random_text(12));
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    const ByteTrie trie = make(keys);
    for (int i = 0; i < 200; ++i) {
      const std::string text = random_text(20);
      const ByteTrie::Match match = trie.longest_match(text), expected = longest(keys, text);
      ASSERT_EQ(match.length, expected.length);
      ASSERT_EQ(match.key, expected.key);
    }
    for (uint32_t i = 0; i < keys.size(); ++i) ASSERT_EQ(trie.longest_match(keys[i]).key, i);
  }
}

// Nodes whose children lie far apart must not make the array grow without bound.
TEST(ByteTrie, StaysCompact) {
  std::vector<std::string> keys;
  for (int a = 0; a < 64; ++a)
    for (int b = 0; b < 64; ++b)
      for (const char* end : {"\x01", "\x80", "\xFF"})
        keys.push_back({static_cast<char>(a), static_cast<char>(b), end[0]});
  const size_t n_node = 64 + 64 * 64 + keys.size();
  EXPECT_LT(make(keys).memory_bytes(), 4 * 12 * n_node);
}

}  // namespace
}  // namespace fathom::byte_trie_test
