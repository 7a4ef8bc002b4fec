// SPDX-License-Identifier: Apache-2.0
// The rows of all inputs of a job, one after the other. The first pass counts and checks them, the
// second embeds them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"
#include "bulk/inputs.h"
#include "text/sentences.h"

namespace fathom {

// Every row whose number is `index` modulo `count`, counted from 1 through all inputs: of text
// files the lines. 1 of them is all.
struct Shard {
  size_t index = 0, count = 1;
};
// "2/8", from 0/8 to 7/8; 8/8 is 0/8. Throws InvalidOption `shard`.
Shard parse_shard(std::string_view text);

struct RowOptions {
  SentenceFields fields = {};
  Empty empty = Empty::kError;
  Shard shard = {};
  size_t together = 1;  // rows that stay in one shard: 2 for pairs
};

// What an input holds.
struct InputSummary {
  static constexpr size_t kMostSkipped = 10'000;  // that are listed

  std::string name;
  size_t n_row = 0;                  // of all shards
  size_t n_text = 0;                 // of this shard, without those that are left out
  size_t n_skipped = 0;              // left out as empty
  size_t n_empty = 0;                // texts without a byte that are not left out
  std::vector<size_t> skipped = {};  // lines of the first of them
  uint64_t hash = 0;                 // XXH3 of its bytes, as they lie
};

struct BulkRow {
  size_t input = 0;             // its number
  size_t line = 0;              // of the input
  std::string text, id, label;  // text: the beginning of a long line, see in_part()
};

class RowStream {
 public:
  // known: what the inputs held when they were read before; empty: nobody knows. The inputs must
  // outlive this. note: as read_sentences(), called only where nothing is known.
  RowStream(std::span<const BulkInput> inputs, RowOptions options,
            std::span<const InputSummary> known = {},
            std::function<void(const std::string&)> note = {});
  ~RowStream();

  // Passes over so many texts: inputs that hold no others are not read. Before the first next().
  void skip(size_t n_text);
  // The next text of the shard; false behind the last. Throws Error naming file and line: as
  // SentenceStream; an empty text that is not to be; an input that is not what it was.
  bool next(BulkRow& row);
  bool in_part() const;
  bool more(std::string_view& part);
  std::string place() const;  // "FILE, line 7" of the last one

  // Of the inputs that were read so far.
  const std::vector<InputSummary>& summaries() const { return summaries_; }

 private:
  class Hashed;
  void open_input();
  void close_input();
  bool is_wanted(size_t row) const;
  void require_known(bool as_known) const;

  std::span<const BulkInput> inputs_;
  RowOptions options_;
  std::span<const InputSummary> known_;
  std::function<void(const std::string&)> note_;
  size_t at_ = 0;        // the input that is read, or comes next
  size_t n_before_ = 0;  // rows of those before it
  size_t n_skip_ = 0;
  std::optional<SentenceStream> stream_;
  Hashed* bytes_ = nullptr;  // of stream_
  Sentence sentence_;
  std::vector<InputSummary> summaries_;
};

// All inputs read once. Throws as RowStream; Error where no text is in any of them.
std::vector<InputSummary> scan_inputs(std::span<const BulkInput> inputs, const RowOptions& options,
                                      const std::function<void(const std::string&)>& note);

size_t n_text_of(std::span<const InputSummary> inputs);

}  // namespace fathom
