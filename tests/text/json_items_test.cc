// SPDX-License-Identifier: Apache-2.0
// Items of a JSON array, whatever the parts that it comes in; and what is no array.
#include "text/json_items.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error_of.h"
#include "base/json.h"

namespace fathom::test::json_items_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Items of the text when it comes in parts of so many bytes.
std::vector<std::string> items_of(const std::string& text, size_t n_byte, size_t longest = 1000) {
  MemoryParts parts(text, false, n_byte);
  TextBuffer buffer(parts);
  const std::string name = "a.json";
  JsonItems items(buffer, name, longest);
  std::vector<std::string> all;
  for (std::string_view item; items.next(item);) all.emplace_back(item);
  std::string_view more;
  EXPECT_FALSE(items.next(more));
  return all;
}

TEST(JsonItems, InPartsTheyAreThoseOfTheWholeArray) {
  for (const std::string text :
       {"[]", " [ ] \n", "[1]", "[1,2 , 3]", "\n[ \"a\" ,\"b,]\" , \"\\\"]\\\\\" ]",
        "[{\"a\":[1,{\"b\":\"}]\\\\\"}],\"c\":{}},{},[[],[1,2]],null,\"\\\\\\\"\"]\r\n\t "}) {
    const Json want = Json::parse(text);
    for (size_t n = 1; n < text.size() + 2; ++n) {
      const std::vector<std::string> got = items_of(text, n);
      ASSERT_EQ(got.size(), want.size()) << text << " " << n;
      for (size_t i = 0; i < got.size(); ++i)
        EXPECT_EQ(Json::parse(got[i]), want[i]) << text << " " << n;
    }
  }
}

TEST(JsonItems, WhatIsNoArrayIsRefusedByItsItem) {
  const std::string deep = "[1," + std::string(kMaxJsonDepth + 1, '[');
  for (const auto& [text, what] : std::initializer_list<std::pair<std::string, const char*>>{
           {"[", "item 1: not valid JSON: the array is not closed"},
           {"[1", "item 1: not valid JSON: the array is not closed"},
           {"[1,", "item 2: not valid JSON: the array is not closed"},
           {"[1,\"a]", "item 2: not valid JSON: the array is not closed"},
           {"[1,\"a\\", "item 2: not valid JSON: the array is not closed"},
           {"[1,{\"a\":[]", "item 2: not valid JSON: the array is not closed"},
           {"[,1]", "item 1: not valid JSON: expected a value"},
           {"[1,,2]", "item 2: not valid JSON: expected a value"},
           {"[1,]", "item 2: not valid JSON: expected a value"},
           {"[1] 2", "a.json: not valid JSON: text behind the array"},
           {"[][]", "a.json: not valid JSON: text behind the array"},
           {"{}", "a.json: not valid JSON: expected an array"},
           {deep, "item 2: JSON nested deeper than 64 levels"}})
    for (size_t n : {1, 2, 3, 100})
      EXPECT_THAT(error_of([&, &text = text] { items_of(text, n); }),
                  AllOf(HasSubstr("a.json"), HasSubstr(what)))
          << text << " " << n;
}

// Many items of any length are read with little memory; one that is too long is refused before it is held.
TEST(JsonItems, AnItemIsAsLongAsItMayBe) {
  std::string text = "[\"" + std::string(50, 'a') + "\"";
  for (int i = 0; i < 100; ++i) text += ", \"" + std::string(50, 'b') + "\"";
  EXPECT_EQ(items_of(text + "]", 8, 64).size(), 101u);
  EXPECT_THAT(error_of([&] { items_of(text + ",\"" + std::string(500, 'c'), 8, 64); }),
              HasSubstr("item 102: of more than 64 bytes"));
  EXPECT_THAT(error_of([&] { items_of(text + "," + std::string(500, '1'), 8, 64); }),
              HasSubstr("item 102: of more than 64 bytes"));
}

}  // namespace
}  // namespace fathom::test::json_items_test
