// SPDX-License-Identifier: Apache-2.0
// The program under a shell: closed descriptors, pipes, limits and ignored signals.
#pragma once

#include <sys/wait.h>

#include <cstdlib>
#include <string>

#include "cli/program.h"

namespace fathom::test {

inline std::string quoted(const std::string& text) {
  std::string out = "'";
  for (char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

// Runs `script` in bash with "$FATHOM" the program. The exit code, 128 + N if a signal ended it.
inline int run_shell(const std::string& script) {
  const std::string command = concat("FATHOM=", quoted(test::kBinary), "; ", script);
  const int status = std::system(("exec bash -c " + quoted(command)).c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace fathom::test
