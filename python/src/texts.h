// SPDX-License-Identifier: Apache-2.0
// What Python hands over to be embedded: strings, or lists of token ids.
#pragma once

#include <fathom/options.h>
#include <nanobind/nanobind.h>

#include <optional>
#include <string>
#include <vector>

namespace fathom::python {

namespace nb = nanobind;

struct Texts {
  bool one = false;  // a single str, or a single list of ids, not a list of them
  bool are_ids = false;
  std::vector<std::string> strings = {};
  std::vector<std::vector<Token>> ids = {};

  size_t size() const { return are_ids ? ids.size() : strings.size(); }
};

// What messages call a text; spelled out when there is one.
struct Place {
  const char* word = "text ";
  std::optional<size_t> index = {};

  std::string str() const { return word + (index ? std::to_string(*index) : std::string()); }
};

// A str, a sequence of str, a sequence of ints or a sequence of sequences of ints (lists, tuples,
// numpy arrays). Raises TextError, a ValueError, that names the index: a str that is not UTF-8
// (a lone surrogate), an id that is none; TypeError: something else, or str and ids mixed.
Texts texts_of(nb::handle object);
// One sequence of ids.
std::vector<Token> ids_of(nb::handle object, const Place& what);
bool is_text(nb::handle object);
// The UTF-8 of a str.
std::string utf8_of(nb::handle object, const Place& what);

}  // namespace fathom::python
