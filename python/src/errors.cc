// SPDX-License-Identifier: Apache-2.0
#include "errors.h"

#include "eval/dataset.h"

namespace fathom::python {
namespace {

// Looked up when one is thrown: fathom/__init__.py imports this module first.
nb::object class_of(const char* kind) { return nb::module_::import_("fathom._errors").attr(kind); }

const char* kind_of(const Error& error) {
  if (dynamic_cast<const UsageError*>(&error)) return "OptionError";
  if (dynamic_cast<const FileFault*>(&error) || dynamic_cast<const MissingData*>(&error))
    return "FileError";
  if (dynamic_cast<const TextFault*>(&error)) return "TextError";
  return "Error";
}

void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& e) {
    try {
      PyErr_SetObject(class_of(kind_of(e)).ptr(), nb::str(e.what()).ptr());
    } catch (nb::python_error& failed) {
      failed.restore();
    }
  }
}

}  // namespace

void raise(const char* kind, const std::string& what) {
  PyErr_SetObject(class_of(kind).ptr(), nb::str(what.c_str(), what.size()).ptr());
  throw nb::python_error();
}

void translate_errors() { nb::register_exception_translator(translate); }

}  // namespace fathom::python
