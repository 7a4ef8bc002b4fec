// SPDX-License-Identifier: Apache-2.0
// What packages bring: completions and the manual page have every command and flag of --help, and
// shells take them.
#include <set>
#include <sstream>

#include "cli/program.h"
#include "cli/shell.h"

namespace fathom::test::completion_test {
namespace {

using testing::HasSubstr;
using testing::Not;

std::vector<std::string> commands() {
  std::vector<std::string> names;
  std::istringstream help(run_ok({"--help"}).out);
  bool below = false;
  for (std::string line; std::getline(help, line);) {
    if (line.starts_with("Subcommands:")) below = true;
    if (!below || !line.starts_with("  ") || line[2] == ' ') continue;
    names.push_back(line.substr(2, line.find(' ', 2) - 2));
  }
  return names;
}

std::set<std::string> flags_of(const std::string& command) {
  std::set<std::string> flags;
  std::istringstream help(run_ok({command, "--help"}).out);
  for (std::string line; std::getline(help, line);) {
    const size_t at = line.find("--");
    if (!line.starts_with("  -") || at == std::string::npos || at > 8) continue;
    flags.insert(line.substr(at, line.find_first_of(" ,=", at) - at));
  }
  return flags;
}

TEST(Completion, ScriptsAndManualHaveEveryFlag) {
  const std::string bash = run_ok({"completion", "bash"}).out,
                    zsh = run_ok({"completion", "zsh"}).out,
                    fish = run_ok({"completion", "fish"}).out, manual = run_ok({"manual"}).out;
  EXPECT_GE(commands().size(), 15u);
  for (const std::string& command : commands()) {
    SCOPED_TRACE(command);
    EXPECT_THAT(bash, HasSubstr("'" + command + "')"));
    EXPECT_THAT(zsh, HasSubstr("_fathom_" + command + "() {"));
    EXPECT_THAT(fish, HasSubstr("-a " + command + " -d "));
    EXPECT_THAT(manual, HasSubstr(".SS fathom " + command + "\n"));
    const std::set<std::string> flags = flags_of(command);
    EXPECT_TRUE(flags.contains("--help"));
    for (const std::string& flag : flags) {
      EXPECT_THAT(zsh, HasSubstr("'*" + flag + "["));
      EXPECT_THAT(fish, HasSubstr(" -l " + flag.substr(2) + " "));
      std::string typed;
      for (char c : flag) typed += c == '-' ? std::string("\\-") : std::string(1, c);
      EXPECT_THAT(manual, HasSubstr(typed));
    }
  }
}

TEST(Completion, HiddenCommandsStayHidden) {
  for (const std::string& text : {run_ok({"--help"}).out, run_ok({"manual"}).out})
    EXPECT_THAT(text, Not(HasSubstr("completion")));
  expect_refused(run_fathom({"completion", "tcsh"}), kUsageError, {"tcsh", "bash"});
}

// What bash offers after these words, the last of which is being typed.
std::string offered(const TempFolder& folder, const std::string& words) {
  const std::string script = folder.write("script", run_ok({"completion", "bash"}).out);
  const std::string out = folder.file("out");
  EXPECT_EQ(run_shell("source " + script + " && COMP_WORDS=(" + words +
                      ") && COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) && _fathom && "
                      "echo \"${COMPREPLY[*]}\" > " +
                      out),
            0);
  return read_whole(out);
}

TEST(Completion, BashOffersCommandsAndTheirFlags) {
  const TempFolder folder;
  EXPECT_EQ(offered(folder, "fathom em"), "embed\n");
  EXPECT_EQ(offered(folder, "fathom embed --lay"), "--layers\n");
  EXPECT_EQ(offered(folder, "fathom embed model --norma"), "--normalize\n");
  EXPECT_EQ(offered(folder, "fathom policy s"), "show\n");
  EXPECT_EQ(offered(folder, "fathom policy show --js"), "--json\n");
  EXPECT_EQ(offered(folder, "fathom embed --layers 1"), "\n");  // a value, not a flag
  EXPECT_EQ(offered(folder, "fathom --ver"), "--version\n");
}

TEST(Completion, OtherShellsAndTroffTakeTheirs) {
  const TempFolder folder;
  const std::string zsh = folder.write("_fathom", run_ok({"completion", "zsh"}).out),
                    fish = folder.write("fathom.fish", run_ok({"completion", "fish"}).out),
                    manual = folder.write("fathom.1", run_ok({"manual"}).out);
  // Where the shell is not installed there is nothing to try.
  const std::string err = folder.file("err");
  for (const auto& [program, line] :
       {std::pair{"zsh", "zsh -n " + zsh}, std::pair{"fish", "fish --no-execute " + fish},
        std::pair{"groff", "groff -man -Tascii -ww -rLL=100n " + manual + " > /dev/null"}}) {
    EXPECT_EQ(run_shell(concat("if command -v ", program, " > /dev/null; then ", line, " 2> ", err,
                               "; else : > ", err, "; fi")),
              0);
    EXPECT_EQ(read_whole(err), "") << line;
  }
}

}  // namespace
}  // namespace fathom::test::completion_test
