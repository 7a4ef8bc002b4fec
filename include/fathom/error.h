// SPDX-License-Identifier: Apache-2.0
// Exceptions of the library. Every fault of a caller, a file or a text is an Error. Its message is
// one line that names the file, text or option, what was expected and what came. std::bad_alloc and
// exceptions of the caller's own functions pass through.
//
// No call ends the process, with one exception that a library cannot prevent: another program
// truncates a model's file while it is mapped (SIGBUS).
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

// Options that cannot work, whatever the data.
class FATHOM_API UsageError : public Error {
 public:
  using Error::Error;
};

// A stop token ended the work before it was done.
class FATHOM_API Stopped : public Error {
 public:
  using Error::Error;
};

}  // namespace fathom
