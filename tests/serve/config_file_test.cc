// SPDX-License-Identifier: Apache-2.0
// --config as TOML and as JSON: the same options, in the file's order, and errors that name the line.
#include "serve/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/temp_folder.h"
#include "serve/options.h"

namespace fathom::test::serve_config_test {
namespace {

using serve::parse_config;
using serve::ServeOptions;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

ServeOptions options_of(const std::string& text, const std::string& name) {
  return serve::read_options(
      {}, [](const char*) -> const char* { return nullptr; }, text, name);
}

const std::string kToml = R"(# what is served
port = 9_000
batch_tokens = 0x800
host = '0.0.0.0'
cors = ["https://a.example",   # a list over lines
        "https://b.example"]
policy.sst2 = "sst2.policy"

[models]
small = "m/"
large = "a.pth"

[prompt]
query = "Represent: \u00e9\t"
passage = """
Line one. """
)";
const std::string kJson = R"({"port": 9000, "batch_tokens": 2048, "host": "0.0.0.0",
  "cors": ["https://a.example", "https://b.example"], "policy": {"sst2": "sst2.policy"},
  "models": {"small": "m/", "large": "a.pth"},
  "prompt": {"query": "Represent: \u00e9\t", "passage": "Line one. "}})";

TEST(ServeConfig, TomlIsWhatJsonIs) {
  EXPECT_EQ(dump_json(parse_config(kToml, "c.toml")["prompt"]),
            dump_json(parse_config(kJson, "c.json")["prompt"]));
  for (const auto& [text, name] : {std::pair(kToml, "c.toml"), std::pair(kJson, "c.json")}) {
    const ServeOptions o = options_of(text, name);
    EXPECT_EQ(o.port, 9000u);
    EXPECT_EQ(o.batch_tokens, 2048u);
    EXPECT_EQ(o.host, "0.0.0.0");
    EXPECT_EQ(o.cors.size(), 2u);
    // As they stand in the file: the first model is that of requests which name none.
    EXPECT_EQ(o.models, (std::vector<serve::NamedText>{{"small", "m/"}, {"large", "a.pth"}}));
    EXPECT_EQ(o.policies, (std::vector<serve::NamedText>{{"sst2", "sst2.policy"}}));
    EXPECT_EQ(o.prompts, (std::vector<serve::NamedText>{{"query", "Represent: é\t"},
                                                        {"passage", "Line one. "}}));
  }
}

TEST(ServeConfig, IsJsonByItsNameOrItsFirstCharacter) {
  EXPECT_EQ(parse_config("\n {\"port\": 1}", "config")["port"], 1);
  EXPECT_EQ(parse_config("port = 1", "config")["port"], 1);
  EXPECT_THAT([] { parse_config("port = 1", "c.json"); },
              ThrowsMessage<Error>(HasSubstr("c.json: not valid JSON")));
  EXPECT_THAT([] { parse_config("[1]", "c.json"); }, ThrowsMessage<Error>(HasSubstr("object")));
}

TEST(ServeConfig, ErrorsNameFileAndLine) {
  const auto refused = [](const std::string& text, const std::string& expected) {
    EXPECT_THAT([&] { options_of(text, "c.toml"); },
                ThrowsMessage<Error>(AllOf(HasSubstr("c.toml"), HasSubstr(expected))))
        << text;
  };
  refused("models = 'm'\nport = ", "line 2");
  refused("models = 'm'\nport = 1\nport = 2", "line 3");
  refused("models = 'm'\n\nport = 1979-05-27", "line 3");
  refused("models = 'm'\nports = 1", "ports");
  refused("models = 'm'\nport = -1", "port: expected a whole number, got -1");
  refused("models = 'm'\nport = 1.5", "port: expected a whole number, got 1.5");
  refused("models = 'm'\nhost = true", "host: expected a text, got true");
  refused("models = 'm'\nhost = 'a\xff'", "line 2");
  refused("models = 'm'\nport = 65536", "'65536'");
  // What an assertion of the library's would end the program for.
  refused("[*prompt]", "not valid TOML");
  refused("a\x02 = 1", "line 1: not valid TOML");
  refused("\n\xd2\x88 = 1", "line 2: not valid TOML");
  refused("[ ]\n= 1", "not valid TOML");
}

TEST(ServeConfig, NothingIsSoDeepThatItsEndIsACrash) {
  const auto many = [](const std::string& text, size_t n) {
    std::string out;
    for (size_t i = 0; i < n; ++i) out += text;
    return out;
  };
  for (const std::string& text :
       {"a" + many(".a", 200000) + " = 1", "[a" + many(".a", 200000) + "]",
        "a = " + many("[", 200000), "a = " + many("{a=", 200000),
        "x = \"\"\"a\"\"\"\"\"\n[a" + many(".a", 200000) + "]",
        "x = [\"\"\"a\"\"\"\"" + many(".a", 200000) + "]"})
    EXPECT_THROW(parse_config(text, "c.toml"), Error) << text.substr(0, 40);
  // Dots inside texts and comments are theirs.
  const std::string dots = many(".", 100);
  EXPECT_EQ(parse_config("# " + dots + "\nhost = \"" + dots + "\"  #" + dots, "c.toml")["host"],
            dots);
  EXPECT_THROW(parse_config(std::string(2 << 20, '\n'), "c.toml"), Error);
}

TEST(ServeConfig, TheExampleIsTaken) {
  const std::string file = std::string(kSourceDir) + "/packaging/serve.toml";
  const ServeOptions o = options_of(read_whole(file), file);
  EXPECT_EQ(o.models.size(), 1u);
  EXPECT_FALSE(o.prompts.empty());
}

}  // namespace
}  // namespace fathom::test::serve_config_test
