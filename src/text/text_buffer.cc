// SPDX-License-Identifier: Apache-2.0
#include "text/text_buffer.h"

#include <algorithm>

#include "text/text_file.h"

namespace fathom {

bool TextBuffer::grow() {
  if (ended_) return false;
  held_.erase(0, at_);
  at_ = 0;
  const size_t wanted = std::max<size_t>(2 * held_.size(), 1);
  const size_t before = held_.size();
  while (held_.size() < wanted && !ended_) {
    std::string_view part = parts_.next();
    ended_ = part.empty();
    // The first part is all there is or long enough to show the mark.
    if (!begun_) part = without_byte_order_mark(part);
    begun_ = true;
    held_ += part;
  }
  return held_.size() > before;
}

bool LineReader::next(std::string_view& line) {
  if (text_.view().empty() && !text_.grow()) return false;
  line = give();
  return true;
}

bool LineReader::more(std::string_view& part) {
  if (!in_part_) return false;
  part = give();
  return true;
}

std::string_view LineReader::give() {
  size_t looked = 0;
  for (;;) {
    const std::string_view view = text_.view();
    const size_t end = view.find('\n', looked);
    const size_t size = std::min(end, view.size());
    if (size <= longest_ && (end != view.npos || text_.ended())) {
      std::string_view line = view.substr(0, size);
      text_.take(end == view.npos ? size : end + 1);
      if (line.ends_with('\r')) line.remove_suffix(1);
      in_part_ = false;
      return line;
    }
    // One byte more is there than is given: a CR at its end may belong to the line's end.
    if (size > longest_) {
      const size_t n = longest_ > 1 && view[longest_ - 1] == '\r' ? longest_ - 1 : longest_;
      text_.take(n);
      in_part_ = true;
      return view.substr(0, n);
    }
    looked = view.size();
    text_.grow();
  }
}

}  // namespace fathom
