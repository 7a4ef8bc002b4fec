// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace fathom::json_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string refusal(const std::string& text, std::string_view where = {}) {
  std::string message;
  for (bool ordered : {false, true}) {
    try {
      if (ordered)
        parse_ordered_json(text, where);
      else
        parse_json(text, where);
      ADD_FAILURE() << "was accepted: " << text.substr(0, 40);
    } catch (const Error& e) {
      message = e.what();
    }
  }
  return message;
}

std::string nested(size_t n, const std::string& open, const std::string& close) {
  std::string text;
  for (size_t i = 0; i < n; ++i) text += open;
  text += "0";
  for (size_t i = 0; i < n; ++i) text += close;
  return text;
}

TEST(ParseJson, ReadsWhatIsJson) {
  EXPECT_EQ(parse_json(R"({"b": [1, "x"], "a": null})")["b"][0], 1);
  EXPECT_EQ(dump_json(parse_ordered_json(R"({"b": 1, "a": 2})")), R"({"b":1,"a":2})");
}

TEST(ParseJson, DepthIsLimited) {
  EXPECT_NO_THROW(parse_json(nested(kMaxJsonDepth, "[", "]")));
  EXPECT_NO_THROW(parse_json(nested(kMaxJsonDepth, "{\"a\":", "}")));
  for (size_t n : {kMaxJsonDepth + 1, size_t{100'000}, size_t{2'000'000}}) {
    EXPECT_THAT(refusal(nested(n, "[", "]"), "x.json"),
                AllOf(HasSubstr("x.json: "), HasSubstr("nested deeper than 64 levels")));
    EXPECT_THAT(refusal(nested(n, "{\"a\":[", "]}")), HasSubstr("nested deeper"));
    EXPECT_THAT(refusal(std::string(n, '[')), HasSubstr("nested deeper"));
  }
}

TEST(ParseJson, BracketsOfStringsAndOfNeighboursAreNoDepth) {
  EXPECT_NO_THROW(parse_json("\"" + std::string(1000, '[') + "\""));
  EXPECT_NO_THROW(parse_json("[\"\\\"" + std::string(1000, '{') + "\\\\\"]"));
  std::string flat = "[0";
  for (int i = 0; i < 1000; ++i) flat += ",[{}]";
  EXPECT_NO_THROW(parse_json(flat + "]"));
}

TEST(ParseJson, ErrorsNameThePlace) {
  for (const char* text : {"", "{", "[1,]", "nope", "{\"a\":NaN}", "[1] 2", "\"\xff\"", "]]]"})
    EXPECT_THAT(refusal(text, "data.jsonl, line 7"),
                AllOf(HasSubstr("data.jsonl, line 7: not valid JSON")))
        << text;
  EXPECT_THAT(refusal("[1e400]", "m.json"), AllOf(HasSubstr("m.json: "), HasSubstr("1e400")));
}

TEST(DumpJson, ReplacesWhatIsNotUtf8) {
  const OrderedJson value{{"path", "/tmp/caf\xe9.npy"}, {"ok", "caf\xc3\xa9"}};
  EXPECT_EQ(dump_json(value), "{\"path\":\"/tmp/caf\xef\xbf\xbd.npy\",\"ok\":\"caf\xc3\xa9\"}");
  EXPECT_EQ(dump_json(Json{{"a", 1}}, 2), "{\n  \"a\": 1\n}");
}

}  // namespace
}  // namespace fathom::json_test
