// SPDX-License-Identifier: Apache-2.0
// RowTexts: rows as texts for embed_stream(), and each row's other fields until its vectors are
// ready.
#pragma once

#include <deque>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bulk/row_stream.h"
#include "encode/text_source.h"
#include "results/embedding_file.h"

namespace fathom {

// next() and more() by one thread at a time, the others by another one beside it.
class RowTexts final : public TextSource {
 public:
  // with_text: rows keep their text, which is then held as a whole. All must outlive this.
  RowTexts(RowStream& rows, std::span<const BulkInput> inputs, bool with_text)
      : rows_(rows), inputs_(inputs), with_text_(with_text) {}

  bool next(std::string_view& text, bool& in_part) override;
  bool more(std::string_view& part) override { return rows_.more(part); }

  // The next n of them that were not taken, in order.
  std::vector<EmbeddedRow> take(size_t n);
  // "FILE, line 7" of text i, counted from the first of all: of one that was given and not yet
  // taken.
  std::string place(size_t i) const;

 private:
  struct Row {
    size_t input;
    EmbeddedRow row;
  };

  RowStream& rows_;
  std::span<const BulkInput> inputs_;
  bool with_text_;
  BulkRow row_;
  mutable std::mutex mutex_;  // of what follows
  std::deque<Row> given_;
  size_t n_taken_ = 0;
};

}  // namespace fathom
