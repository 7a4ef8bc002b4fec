// SPDX-License-Identifier: Apache-2.0
// What a package brings beside the program, made from its own table of commands and flags, so that
// it cannot disagree with them: completions for shells, and the manual page.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

namespace fathom::cli {

// A script for "bash", "zsh" or "fish". Throws UsageError for another shell.
std::string completion_script(const CLI::App& program, std::string_view shell);
// fathom.1 in troff's man macros: every command with its flags and examples.
std::string manual_page(const CLI::App& program, std::string_view version);

// The hidden commands `fathom completion SHELL` and `fathom manual`, which print these. After all
// others.
void add_completion(CLI::App& app);

}  // namespace fathom::cli
