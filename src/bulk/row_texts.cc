// SPDX-License-Identifier: Apache-2.0
#include "bulk/row_texts.h"

#include <utility>

#include "base/error.h"

namespace fathom {

bool RowTexts::next(std::string_view& text, bool& in_part) {
  if (!rows_.next(row_)) return false;
  if (with_text_)
    for (std::string_view part; rows_.more(part);) row_.text += part;
  in_part = rows_.in_part();
  text = row_.text;
  Row row{row_.input,
          {.line = row_.line,
           .file = inputs_.size() > 1 ? inputs_[row_.input].name() : std::string(),
           .id = std::move(row_.id),
           .text = with_text_ ? row_.text : std::string(),
           .label = std::move(row_.label)}};
  const std::lock_guard lock(mutex_);
  given_.push_back(std::move(row));
  return true;
}

std::vector<EmbeddedRow> RowTexts::take(size_t n) {
  const std::lock_guard lock(mutex_);
  FATHOM_ASSERT(n <= given_.size());
  std::vector<EmbeddedRow> rows;
  for (; n > 0; --n, ++n_taken_) {
    rows.push_back(std::move(given_.front().row));
    given_.pop_front();
  }
  return rows;
}

std::string RowTexts::place(size_t i) const {
  const std::lock_guard lock(mutex_);
  FATHOM_ASSERT(i >= n_taken_);
  const Row& row = given_.at(i - n_taken_);
  return concat(inputs_[row.input].name(), ", line ", row.row.line);
}

}  // namespace fathom
