// SPDX-License-Identifier: Apache-2.0
#include "texts.h"

#include <nanobind/stl/string.h>

#include <limits>

#include "errors.h"

namespace fathom::python {
namespace {

std::string type_of(nb::handle object) {
  return nb::cast<std::string>(nb::str(object.type().attr("__name__")));
}

[[noreturn]] void raise_type(const std::string& what) { throw nb::type_error(what.c_str()); }

// A list of what is in a sequence or array; the object itself if it is a list. Arrays know best how
// they become Python's numbers and strings: numpy's, pandas' and torch's, pyarrow's, polars'.
nb::list list_of(nb::handle object, const Place& what, const char* expected) {
  if (PyList_Check(object.ptr())) return nb::borrow<nb::list>(object);
  for (const char* way : {"tolist", "to_pylist", "to_list"})
    if (nb::hasattr(object, way) && !PyType_Check(object.ptr())) {
      const nb::object list = object.attr(way)();
      if (PyList_Check(list.ptr())) return nb::borrow<nb::list>(list);
    }
  // Sets have no order to go by.
  const bool is_sequence = PySequence_Check(object.ptr()) && !PyBytes_Check(object.ptr()) &&
                           !PyByteArray_Check(object.ptr()) && !PyDict_Check(object.ptr());
  PyObject* list = is_sequence ? PySequence_List(object.ptr()) : nullptr;
  if (!list) {
    PyErr_Clear();
    raise_type(concat(what.str(), ": expected ", expected, ", got ", type_of(object)));
  }
  return nb::steal<nb::list>(list);
}

bool is_number(nb::handle object) { return PyIndex_Check(object.ptr()) && !is_text(object); }

}  // namespace

bool is_text(nb::handle object) { return PyUnicode_Check(object.ptr()); }

std::string utf8_of(nb::handle object, const Place& what) {
  Py_ssize_t size = 0;
  const char* bytes = PyUnicode_AsUTF8AndSize(object.ptr(), &size);
  if (bytes) return {bytes, static_cast<size_t>(size)};
  if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) throw nb::python_error();
  const nb::python_error error;
  const auto at = nb::cast<Py_ssize_t>(error.value().attr("start"));
  raise("TextError",
        concat(what.str(),
               ": expected text that UTF-8 can hold, got a lone surrogate at character ", at));
}

std::vector<Token> ids_of(nb::handle object, const Place& what) {
  const nb::list list = list_of(object, what, "a sequence of token ids");
  std::vector<Token> ids;
  ids.reserve(nb::len(list));
  for (nb::handle item : list) {
    if (!is_number(item) || PyBool_Check(item.ptr()))
      raise_type(
          concat(what.str(), ": token ", ids.size(), ": expected an int, got ", type_of(item)));
    const auto number = nb::steal(PyNumber_Index(item.ptr()));
    if (!number.is_valid()) {  // an array of several numbers
      PyErr_Clear();
      raise_type(
          concat(what.str(), ": token ", ids.size(), ": expected an int, got ", type_of(item)));
    }
    int overflow = 0;
    const long long id = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
    if (overflow != 0 || id < 0 || id > std::numeric_limits<Token>::max())
      raise("TextError",
            concat(what.str(), ": token ", ids.size(), ": expected an id of at least 0, got ",
                   nb::cast<std::string>(nb::str(number))));
    ids.push_back(static_cast<Token>(id));
  }
  return ids;
}

Texts texts_of(nb::handle object) {
  Texts texts;
  if (is_text(object)) {
    texts.one = true;
    texts.strings.push_back(utf8_of(object, Place{"text ", 0}));
    return texts;
  }
  const nb::list list =
      list_of(object, Place{"texts"}, "a str, a list of str or lists of token ids");
  const size_t n = nb::len(list);
  if (n == 0) return texts;
  const nb::handle first = list[0];
  // An array of one number is a number as well, so a length counts first.
  const bool is_row = nb::hasattr(first, "__len__") && !is_text(first);
  if (!is_text(first) && !is_row && is_number(first)) {
    texts.one = texts.are_ids = true;
    texts.ids.push_back(ids_of(list, Place{"text ", 0}));
    return texts;
  }
  texts.are_ids = !is_text(first);
  (texts.are_ids ? texts.ids.reserve(n) : texts.strings.reserve(n));
  size_t i = 0;
  for (nb::handle item : list) {
    const Place what{"text ", i};
    if (is_text(item) == texts.are_ids)
      raise_type(concat(what.str(), ": expected ", texts.are_ids ? "token ids" : "a str",
                        i == 0 ? "" : ", as text 0 is", ", got ", type_of(item)));
    if (texts.are_ids)
      texts.ids.push_back(ids_of(item, what));
    else
      texts.strings.push_back(utf8_of(item, what));
    ++i;
  }
  return texts;
}

}  // namespace fathom::python
