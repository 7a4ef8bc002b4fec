// SPDX-License-Identifier: Apache-2.0
#include "bulk/row_stream.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/invalid_option.h"
#include "base/parse_whole.h"

namespace fathom {

Shard parse_shard(std::string_view text) {
  const size_t slash = text.find('/');
  const auto wrong = [&] {
    return InvalidOption("shard", "I/N with I from 0 to N - 1, such as 0/8",
                         concat("'", text, "'"));
  };
  if (slash == text.npos) throw wrong();
  const std::optional<uint64_t> index = parse_whole(text.substr(0, slash)),
                                count = parse_whole(text.substr(slash + 1));
  if (!index || !count || *count == 0 || *index > *count) throw wrong();
  return {.index = *index % *count, .count = *count};
}

// Passes bytes on and hashes them.
class RowStream::Hashed final : public ByteParts {
 public:
  explicit Hashed(std::unique_ptr<ByteParts> bytes) : bytes_(std::move(bytes)) {}
  std::string_view next() override {
    const std::string_view part = bytes_->next();
    hasher_.add(std::as_bytes(std::span(part)));
    return part;
  }
  uint64_t hash() const { return hasher_.value(); }

 private:
  std::unique_ptr<ByteParts> bytes_;
  Hasher hasher_;
};

RowStream::RowStream(std::span<const BulkInput> inputs, RowOptions options,
                     std::span<const InputSummary> known,
                     std::function<void(const std::string&)> note)
    : inputs_(inputs), options_(std::move(options)), known_(known), note_(std::move(note)) {
  FATHOM_ASSERT(known.empty() || known.size() == inputs.size());
}

RowStream::~RowStream() = default;

void RowStream::skip(size_t n_text) {
  FATHOM_ASSERT(known_.size() == inputs_.size() && !stream_ && at_ == 0);
  for (; at_ < known_.size() && n_text >= known_[at_].n_text; ++at_) {
    n_text -= known_[at_].n_text;
    n_before_ += known_[at_].n_row;
    summaries_.push_back(known_[at_]);
  }
  n_skip_ = n_text;
}

bool RowStream::is_wanted(size_t row) const {
  const Shard& shard = options_.shard;
  if (shard.count == 1) return true;
  return ((n_before_ + row - 1) / options_.together + 1) % shard.count == shard.index;
}

void RowStream::open_input() {
  const BulkInput& input = inputs_[at_];
  auto bytes = std::make_unique<Hashed>(input.open());
  bytes_ = bytes.get();
  summaries_.push_back({.name = input.name()});
  stream_.emplace(
      SentenceStream::Source{.asked = input.asked(),
                             .found = input.found(),
                             .name = input.name(),
                             .bytes = std::move(bytes),
                             .row_wanted = [this](size_t row) { return is_wanted(row); }},
      options_.fields, note_);
}

void RowStream::close_input() {
  InputSummary& read = summaries_.back();
  while (!bytes_->next().empty()) {  // what a decoder left, so that all is hashed
  }
  read.hash = bytes_->hash();
  read.n_row = stream_->n_row();
  stream_.reset();
  require_known(known_.empty() || read.hash == known_[at_].hash);
  n_before_ += read.n_row;
  ++at_;
}

void RowStream::require_known(bool as_known) const {
  FATHOM_REQUIRE(as_known, summaries_.back().name,
                 ": was written to while it was in use; expected it to stay as it was");
}

bool RowStream::next(BulkRow& row) {
  for (;;) {
    if (!stream_ && at_ == inputs_.size()) return false;
    if (!stream_) open_input();
    InputSummary& read = summaries_.back();
    if (!stream_->next(sentence_)) {
      close_input();
      continue;
    }
    if (sentence_.text.empty()) {
      if (options_.empty == Empty::kError) throw_empty(stream_->place());
      if (options_.empty == Empty::kSkip) {
        ++read.n_skipped;
        if (read.skipped.size() < InputSummary::kMostSkipped)
          read.skipped.push_back(sentence_.line);
        continue;
      }
      ++read.n_empty;
    }
    ++read.n_text;
    // One more than there was is told here: nobody has a place for it.
    require_known(known_.empty() || read.n_text <= known_[at_].n_text);
    if (n_skip_ > 0) {
      --n_skip_;
      continue;
    }
    row.input = at_;
    row.line = sentence_.line;
    row.text.swap(sentence_.text);
    row.id.swap(sentence_.id);
    row.label.swap(sentence_.label);
    return true;
  }
}

bool RowStream::in_part() const { return stream_ && stream_->in_part(); }
bool RowStream::more(std::string_view& part) { return stream_ && stream_->more(part); }
std::string RowStream::place() const { return stream_->place(); }

std::vector<InputSummary> scan_inputs(std::span<const BulkInput> inputs, const RowOptions& options,
                                      const std::function<void(const std::string&)>& note) {
  RowStream rows(inputs, options, {}, note);
  for (BulkRow row; rows.next(row);) {
  }
  std::vector<InputSummary> summaries = rows.summaries();
  if (n_text_of(summaries) == 0) {
    const std::string first = summaries.front().name;
    FATHOM_REQUIRE(options.shard.count == 1, first, ": no sentence of the shard ",
                   options.shard.index, "/", options.shard.count, " in it");
    throw Error(concat(first, ": no sentence in it",
                       inputs.size() > 1 ? concat(", nor in ", inputs.size() - 1, " more") : ""));
  }
  return summaries;
}

size_t n_text_of(std::span<const InputSummary> inputs) {
  size_t n = 0;
  for (const InputSummary& input : inputs) n += input.n_text;
  return n;
}

}  // namespace fathom
