// SPDX-License-Identifier: Apache-2.0
// Words for a POSIX shell.
#pragma once

#include <string>
#include <string_view>

namespace fathom {

// The word between single quotes, unless all of it means itself to a shell.
std::string shell_quoted(std::string_view word);

// The command line of this process as typed, quoted for a shell; "" where /proc is not there.
std::string command_line();

}  // namespace fathom
