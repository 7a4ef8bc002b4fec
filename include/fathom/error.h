// SPDX-License-Identifier: Apache-2.0
// What the library throws. Everything that a caller, a file or a text can get wrong is an Error with
// one line that names the file, text or option, what was expected and what came. Beside these,
// std::bad_alloc and what a caller's own function throws pass through.
//
// Nothing that a caller can do ends the process, but for one thing that no library can see coming:
// a model's file that another program cuts short while it is mapped (SIGBUS).
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include "fathom/version.h"

namespace fathom {

// Data that cannot be used: a file, a text, a policy of another model.
class FATHOM_API Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A request that cannot be served, whatever the data.
class FATHOM_API UsageError : public Error {
 public:
  using Error::Error;
};

// The work was stopped, by a stop token, before it was done.
class FATHOM_API Stopped : public Error {
 public:
  using Error::Error;
};

}  // namespace fathom
