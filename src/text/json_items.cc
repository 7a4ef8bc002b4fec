// SPDX-License-Identifier: Apache-2.0
#include "text/json_items.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"

namespace fathom {

void JsonItems::refuse(const std::string& what) const {
  throw Error(concat(name_, ", item ", n_, ": ", what));
}

// False at the end of the text.
bool JsonItems::skip_space() {
  for (;;) {
    const size_t at = text_.view().find_first_not_of(" \t\r\n");
    if (at != std::string_view::npos) {
      text_.take(at);
      return true;
    }
    text_.take(text_.view().size());
    if (!text_.grow()) return false;
  }
}

bool JsonItems::take_if(char c) {
  if (!skip_space() || text_.view().front() != c) return false;
  text_.take(1);
  return true;
}

bool JsonItems::end() {
  ended_ = true;
  FATHOM_REQUIRE(!skip_space(), name_, ": not valid JSON: text behind the array");
  return false;
}

bool JsonItems::next(std::string_view& item) {
  if (ended_) return false;
  text_.take(given_);
  given_ = 0;
  if (n_ == 0) FATHOM_REQUIRE(take_if('['), name_, ": not valid JSON: expected an array");
  if (take_if(']')) return end();
  if (n_ > 0) take_if(',');  // an item ends at nothing else
  ++n_;
  skip_space();
  given_ = item_size();
  if (given_ == 0) refuse("not valid JSON: expected a value");
  item = text_.view().substr(0, given_);
  return true;
}

// Up to the comma or the bracket behind the item that begins where the text is.
size_t JsonItems::item_size() {
  size_t depth = 0;
  for (size_t at = 0;; ++at) {
    if (at == text_.view().size()) grow();
    const char c = text_.view()[at];
    if (c == '"') {
      at = closing_quote(at);
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxJsonDepth)
        refuse(concat("JSON nested deeper than ", kMaxJsonDepth, " levels"));
    } else if (depth == 0 && (c == ']' || c == ',')) {
      return at;
    } else if (depth > 0 && (c == ']' || c == '}')) {
      --depth;
    }
  }
}

size_t JsonItems::closing_quote(size_t at) {
  for (++at;;) {
    const std::string_view view = text_.view();
    const size_t found = view.find_first_of("\"\\", at);
    if (found == std::string_view::npos) {
      at = std::max(at, view.size());  // behind it where the last byte is a backslash
      grow();
    } else if (view[found] == '"') {
      return found;
    } else {
      at = found + 2;
    }
  }
}

void JsonItems::grow() {
  if (text_.view().size() > longest_)
    refuse(concat("of more than ", longest_, " bytes, which are held in memory; expected less"));
  if (!text_.grow()) refuse("not valid JSON: the array is not closed");
}

}  // namespace fathom
