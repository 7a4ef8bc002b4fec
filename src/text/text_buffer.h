// SPDX-License-Identifier: Apache-2.0
// Text that comes in parts, as a window that moves on: lines, and whatever else has to be seen as a
// whole, without all of the text in memory.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "text/byte_parts.h"

namespace fathom {

// Without a leading UTF-8 byte-order mark. One thread at a time.
class TextBuffer {
 public:
  // `parts` must outlive it.
  explicit TextBuffer(ByteParts& parts) : parts_(parts) { grow(); }

  // What is there and was not taken; valid until the next call of grow().
  std::string_view view() const { return std::string_view(held_).substr(at_); }
  void take(size_t n) { at_ += n; }
  // At least as much again, or all that is left: what is looked for in it is looked for in linear
  // time. False if there was no more.
  bool grow();
  bool ended() const { return ended_; }  // view() is all the rest

 private:
  ByteParts& parts_;
  std::string held_;
  size_t at_ = 0;
  bool begun_ = false, ended_ = false;
};

// Lines without their LF or CR LF, as split_lines() gives them. A long one comes in parts.
class LineReader {
 public:
  static constexpr size_t kLongest = size_t{1} << 20;  // bytes of a part

  explicit LineReader(TextBuffer& text, size_t longest = kLongest)
      : text_(text), longest_(longest) {}

  // The next line, or its beginning: then in_part() and more() gives the rest, which has to be taken
  // before the next line. False at the end. Valid until the next call.
  bool next(std::string_view& line);
  bool in_part() const { return in_part_; }
  // The next part of a line that was begun, perhaps an empty one; false if it was given in full.
  bool more(std::string_view& part);

 private:
  std::string_view give();

  TextBuffer& text_;
  size_t longest_;
  bool in_part_ = false;
};

}  // namespace fathom
