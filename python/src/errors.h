// SPDX-License-Identifier: Apache-2.0
// The engine's errors as those of Python: fathom.Error and its kinds, defined in fathom/_errors.py.
#pragma once

#include <nanobind/nanobind.h>

#include <string>
#include <utility>

#include "base/error.h"

namespace fathom::python {

namespace nb = nanobind;

// Throws the Python exception `kind` of fathom._errors: "Error", "OptionError", "TextError",
// "FileError". With the GIL alone.
[[noreturn]] void raise(const char* kind, const std::string& what);

// From now on what the engine throws reaches Python as fathom.Error; requests as OptionError.
void translate_errors();

// Does work that reads files: an Error of it, but for a request, becomes FileError. The GIL may be
// released.
class FileFault : public Error {
 public:
  using Error::Error;
};
template <class Work>
decltype(auto) reading_files(Work&& work) {
  try {
    return work();
  } catch (const UsageError&) {
    throw;
  } catch (const Error& e) {
    throw FileFault(e.what());
  }
}

// The same of work on texts: an Error that names a text becomes TextError.
class TextFault : public Error {
 public:
  using Error::Error;
};
template <class Work>
decltype(auto) reading_texts(Work&& work) {
  try {
    return work();
  } catch (const UsageError&) {
    throw;
  } catch (const Error& e) {
    if (std::string_view(e.what()).starts_with("text ")) throw TextFault(e.what());
    throw;
  }
}

}  // namespace fathom::python
