// SPDX-License-Identifier: Apache-2.0
// What a package brings beside a program, made from the program's own table of commands and flags,
// so that it cannot disagree with them: completions for shells, and the manual page.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fathom {

struct CommandFlag {
  std::vector<std::string> spellings;  // "-o", "--output"; none: an argument by its place
  std::string value;                   // what it takes, such as "TEXT=mean"; "": nothing
  bool takes_value = false;
  std::string description;
};

struct CommandName {
  std::string name, description;
};

// One command as a user types it: "embed", or "policy show".
struct CommandHelp {
  std::string path;  // "" for the program itself
  std::string description, footer;
  std::vector<CommandFlag> flags;
  std::vector<CommandName> below;  // its own commands
};

// The program first, every command before those below it. Scripts for bash, zsh and fish; words that
// are no command and no flag, and values of flags, are left to the shell: files.
std::string bash_completion(const std::vector<CommandHelp>& commands);
std::string zsh_completion(const std::vector<CommandHelp>& commands);
std::string fish_completion(const std::vector<CommandHelp>& commands);
// fathom.1 in troff's man macros.
std::string manual_page(const std::vector<CommandHelp>& commands, std::string_view version);

}  // namespace fathom
