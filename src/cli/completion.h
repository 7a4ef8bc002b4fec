// SPDX-License-Identifier: Apache-2.0
// The hidden commands `fathom completion SHELL` and `fathom manual`, which print what a package
// installs beside the program.
#pragma once

#include <CLI/CLI.hpp>

namespace fathom::cli {

void add_completion(CLI::App& app);

}  // namespace fathom::cli
