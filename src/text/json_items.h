// SPDX-License-Identifier: Apache-2.0
// The items of a JSON array that comes in parts: one after the other, as text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "text/text_buffer.h"

namespace fathom {

// Bytes of one JSON value of a stream, which is held whole.
inline constexpr size_t kLongestJson = size_t{1} << 30;

// No more is held than one item and the part in which it ends. One thread at a time.
class JsonItems {
 public:
  // text: begins with '[', perhaps behind white space. Both must outlive it. longest: bytes of an item.
  JsonItems(TextBuffer& text, const std::string& name, size_t longest = kLongestJson)
      : text_(text), name_(name), longest_(longest) {}

  // The next item, valid until the next call; false behind the last. Where an item ends is told by its
  // brackets and quotes alone: whether it is JSON, who parses it finds. Throws Error naming `name` and
  // the item: none behind a comma; more than `longest` bytes; nested deeper than kMaxJsonDepth; an array
  // that is not closed, or has text behind it.
  bool next(std::string_view& item);

 private:
  bool skip_space();
  bool take_if(char c);
  bool end();
  size_t item_size();
  size_t closing_quote(size_t at);
  void grow();
  [[noreturn]] void refuse(const std::string& what) const;

  TextBuffer& text_;
  const std::string& name_;
  size_t longest_;
  size_t n_ = 0;      // items that were begun
  size_t given_ = 0;  // bytes of the last one
  bool ended_ = false;
};

}  // namespace fathom
