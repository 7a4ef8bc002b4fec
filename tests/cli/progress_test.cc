// SPDX-License-Identifier: Apache-2.0
// The progress bar, seen from a terminal.
#include <stdlib.h>

#include "cli/models.h"
#include "paths.h"

namespace fathom::test::progress_test {
namespace {

// What the program writes to standard error if that is a terminal.
std::string terminal_output(const std::vector<std::string>& arguments) {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  FATHOM_REQUIRE(terminal >= 0 && ::grantpt(terminal) == 0 && ::unlockpt(terminal) == 0,
                 "no pseudo-terminal");
  const std::string other_end = ::ptsname(terminal);
  const std::vector<char*> argv = detail::pointers(arguments);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::dup2(::open(other_end.c_str(), O_RDWR | O_NOCTTY), STDERR_FILENO) < 0) ::_exit(126);
    ::close(terminal);
    ::execv(test::kBinary, argv.data());
    ::_exit(127);
  }
  // Keeps the terminal alive until everything is read; the reads end when the child does.
  std::string seen;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(terminal, buffer, sizeof(buffer))) > 0;)
    seen.append(buffer, static_cast<size_t>(n));
  ::close(terminal);
  EXPECT_EQ(detail::exit_code_of(child), 0) << seen;
  return seen;
}

TEST(Progress, IsDrawnOnATerminalAndWiped) {
  const TempFolder folder;
  const std::string in = folder.write("s.txt", "One.\nTwo.\nThree.\n");
  const std::string seen = terminal_output(
      {test::kBinary, "embed", byte_model(folder), "-i", in, "-o", folder.file("e.npy")});
  EXPECT_THAT(seen, testing::HasSubstr("\rembedding [##############################] 3/3"));
  // The bar's line is empty again before the summary.
  EXPECT_THAT(seen, testing::HasSubstr("\r\033[K3 texts, "));
}

}  // namespace
}  // namespace fathom::test::progress_test
