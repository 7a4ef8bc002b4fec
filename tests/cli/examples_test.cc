// SPDX-License-Identifier: Apache-2.0
// Every example in --help is a command line that the program takes; those whose model and texts lie in
// this repository are run. README.md and docs/ are read by tests/docs/pages.py.
#include <fstream>
#include <regex>

#include "cli/shell.h"

namespace fathom::test::examples_test {
namespace {

// "fathom embed ..." from a line of text, without what stands in front of it and its comment; "" if there
// is none.
std::string example_in(const std::string& line) {
  static const std::regex kExample(R"(^ {2,}(\$ )?(.*\| )?(fathom [a-z]+ .*)$)");
  std::smatch match;
  if (!std::regex_match(line, match, kExample)) return "";
  std::string text = match[3];
  for (const char* end : {"   #", "  #", " > ", " < "})
    if (const size_t at = text.find(end); at != std::string::npos) text.resize(at);
  return text;
}

std::vector<std::string> examples_in(const std::string& text) {
  std::vector<std::string> examples;
  for (const std::string& line : lines_of(text))
    if (std::string example = example_in(line); !example.empty())
      examples.push_back(std::move(example));
  return examples;
}

std::vector<std::string> commands() {
  std::vector<std::string> names;
  const std::regex command(R"(^  ([a-z]+) .*)");
  std::smatch match;
  bool listed = false;
  for (const std::string& line : lines_of(run_ok({"--help"}).out)) {
    listed =
        listed || line.starts_with("S") || line.starts_with("s");  // Subcommands:, SUBCOMMANDS:
    if (listed && std::regex_match(line, match, command)) names.push_back(match[1]);
  }
  return names;
}

std::string shell_call(const std::string& example) {
  return "fathom() { \"$FATHOM\" \"$@\"; }; " + example;
}

void expect_parsed(const std::string& example) {
  EXPECT_EQ(run_shell("export FATHOM_PARSE_ONLY=1; " + shell_call(example)), 0) << example;
}

TEST(Examples, OfEveryHelpAreTaken) {
  const std::vector<std::string> names = commands();
  ASSERT_THAT(names, testing::SizeIs(testing::Ge(18u)));
  for (const std::string& name : names) {
    const std::vector<std::string> examples = examples_in(run_ok({name, "--help"}).out);
    EXPECT_THAT(examples, testing::SizeIs(testing::Ge(3u))) << name;
    for (const std::string& example : examples) expect_parsed(example);
  }
}

TEST(Examples, AWrongOneIsNot) {
  EXPECT_EQ(run_shell("export FATHOM_PARSE_ONLY=1; " +
                      shell_call("fathom embed m/ -i a --no-such-flag 2> /dev/null")),
            kUsageError);
}

// What needs nothing that is not here: run in the repository's folder, with outputs in another.
TEST(Examples, ThatNeedNoOtherModelAreRun) {
  size_t n_run = 0;
  for (const std::string& name : commands())
    for (const std::string& example : examples_in(run_ok({name, "--help"}).out)) {
      const bool is_here = example.find("models/finch-embed") != std::string::npos &&
                           example.find("samples/") != std::string::npos;
      if (!is_here) continue;
      ++n_run;
      EXPECT_EQ(run_shell(concat("cd ", quoted(kSourceDir), "; ", shell_call(example),
                                 " > /dev/null 2>&1")),
                0)
          << example;
    }
  EXPECT_GE(n_run, 1u);
}

}  // namespace
}  // namespace fathom::test::examples_test
