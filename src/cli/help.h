// SPDX-License-Identifier: Apache-2.0
// What --help says beside what each command says of itself, and `fathom help TOPIC`.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

namespace fathom::cli {

// Prints a command's description with the line that says why one uses it. Set it before commands are
// added: they inherit it.
std::shared_ptr<CLI::Formatter> help_formatter();

void add_help(CLI::App& app);  // the command `help`

// The message of a command that there is not, with the one that may be meant.
std::string unknown_command(const std::string& word);

// Headings of flags, more examples and "see also" for every command of app.
void finish_help(CLI::App& app);

}  // namespace fathom::cli
