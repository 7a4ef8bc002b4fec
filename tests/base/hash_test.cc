// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include <gtest/gtest.h>

#include <string_view>

namespace fathom::hash_test {
namespace {

uint64_t hash_of_text(std::string_view text) { return hash_of(std::as_bytes(std::span(text))); }

// Files are compared with sums made elsewhere and later: the function may never change. The first
// value is that of xxHash's own sanity check for no bytes.
TEST(Hash, IsXxh3) {
  EXPECT_EQ(hex_of(hash_of_text("")), "2d06800538d394c2");
  EXPECT_NE(hash_of_text("abc"), hash_of_text("abd"));
  EXPECT_NE(hash_of_text(std::string_view("a\0", 2)), hash_of_text("a"));
}

TEST(Hash, HexHasAllDigits) {
  EXPECT_EQ(hex_of(0), "0000000000000000");
  EXPECT_EQ(hex_of(0x0123456789abcdef), "0123456789abcdef");
}

}  // namespace
}  // namespace fathom::hash_test
