// SPDX-License-Identifier: Apache-2.0
// Errors. A bad file, argument or request throws Error; a bug in Fathom aborts.
//
// Which one to use: if a user can cause it, FATHOM_REQUIRE (throws). If only a
// programmer can cause it, FATHOM_ASSERT (aborts, also in release builds).
//
// fathom/error.h has the classes. The message names the file or field, what was expected and what
// came. The command line turns it into one line on stderr and an exit code: 1, or 2 for a UsageError.
#pragma once

#include <fathom/error.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>

namespace fathom {

template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// Behind FATHOM_ASSERT. The place is no text of the preprocessor, so that a compiler cache serves
// the project in any folder.
[[noreturn, gnu::cold, gnu::noinline]] inline void stop_for_bug(const char* condition,
                                                                const char* file = __builtin_FILE(),
                                                                int line = __builtin_LINE()) {
  std::fprintf(stderr, "fathom: bug at %s:%d: %s\n", file, line, condition);
  std::abort();
}

}  // namespace fathom

// FATHOM_REQUIRE(cols == d_model, name, ": expected ", d_model, " columns, got ", cols);
#define FATHOM_REQUIRE(condition, ...)                                      \
  do {                                                                      \
    if (!(condition)) throw ::fathom::Error(::fathom::concat(__VA_ARGS__)); \
  } while (false)

#define FATHOM_ASSERT(condition)                          \
  do {                                                    \
    if (!(condition)) ::fathom::stop_for_bug(#condition); \
  } while (false)
