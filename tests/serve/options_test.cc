// SPDX-License-Identifier: Apache-2.0
// Flags, environment and --config: one table, one order.
#include "serve/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/invalid_option.h"
#include "formats/temp_folder.h"

namespace fathom::test::serve_options_test {
namespace {

using serve::read_options;
using serve::ServeOptions;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

serve::Environment environment_of(std::map<std::string, std::string> values) {
  static std::map<std::string, std::string> kept;
  kept = std::move(values);
  return [](const char* name) -> const char* {
    const auto at = kept.find(name);
    return at == kept.end() ? nullptr : at->second.c_str();
  };
}

TEST(ServeOptions, FlagsBeforeEnvironmentBeforeFile) {
  const TempFolder folder;
  const std::string file =
      folder.write("c.json", R"({"models": ["m/"], "port": 1, "batch_tokens": 77,
      "max_connections": 5, "policy": {"a": "fixed:1"}, "prompt": {"q": "Query: "}})");
  const ServeOptions o =
      read_options({{"config", {file}}, {"port", {"3"}}},
                   environment_of({{"FATHOM_PORT", "2"}, {"FATHOM_MAX_CONNECTIONS", "6"}}));
  EXPECT_EQ(o.port, 3u);
  EXPECT_EQ(o.max_connections, 6u);
  EXPECT_EQ(o.batch_tokens, 77u);
  EXPECT_EQ(o.models, (std::vector<serve::NamedText>{{"m", "m/"}}));
  EXPECT_EQ(o.policies, (std::vector<serve::NamedText>{{"a", "fixed:1"}}));
  EXPECT_EQ(o.prompts[0].second, "Query: ");
}

TEST(ServeOptions, ListsOfTheEnvironmentHaveALineEach) {
  const ServeOptions o = read_options({}, environment_of({{"FATHOM_MODELS", "a=x/\ny.pth\n"}}));
  EXPECT_EQ(o.models, (std::vector<serve::NamedText>{{"a", "x/"}, {"y.pth", "y.pth"}}));
}

TEST(ServeOptions, RefusesByName) {
  const auto none = environment_of({});
  const auto with = [&](const char* name, const char* value) {
    return [=] { read_options({{"models", {"m"}}, {name, {value}}}, none); };
  };
  EXPECT_THAT([&] { read_options({}, none); }, ThrowsMessage<UsageError>(HasSubstr("MODEL")));
  EXPECT_THAT(with("port", "65536"),
              ThrowsMessage<InvalidOption>(AllOf(HasSubstr("port"), HasSubstr("'65536'"))));
  EXPECT_THAT(with("policy", "x"), ThrowsMessage<InvalidOption>(HasSubstr("NAME=POLICY")));
  EXPECT_THAT(with("cors", "example.org"), ThrowsMessage<InvalidOption>(HasSubstr("https://")));
  EXPECT_THAT(with("log_format", "xml"), ThrowsMessage<InvalidOption>(HasSubstr("text or json")));
  const TempFolder folder;
  const std::string file = folder.write("c.json", R"({"models": "m", "prot": 1})");
  EXPECT_THAT(with("config", file.c_str()),
              ThrowsMessage<Error>(AllOf(HasSubstr(file), HasSubstr("prot"))));
}

TEST(ServeOptions, EveryOptionHasItsVariable) {
  for (const auto& info : serve::option_table()) {
    EXPECT_THAT(info.variable(), testing::StartsWith("FATHOM_"));
    EXPECT_TRUE(std::ranges::none_of(info.variable(), [](char c) { return c >= 'a' && c <= 'z'; }));
  }
}

}  // namespace
}  // namespace fathom::test::serve_options_test
