// SPDX-License-Identifier: Apache-2.0
#include "baseline/glove.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <optional>

#include "base/error.h"
#include "baseline/word_vectors.h"
#include "text/text_file.h"

namespace fathom {
namespace {

constexpr uint32_t kFree = std::numeric_limits<uint32_t>::max();

// A guess at the number of words, for memory: of a text that lies in memory the lines.
size_t count_lines(ByteParts& parts) {
  size_t n = 1;
  for (std::string_view part = parts.next(); !part.empty(); part = parts.next())
    n += static_cast<size_t>(std::count(part.begin(), part.end(), '\n'));
  return n;
}

}  // namespace

// Keeps the words that are needed.
class Glove::Sink final : public WordSink {
 public:
  // n_word: a guess.
  Sink(Glove& glove, const WordSet* needed, std::optional<size_t> n_word)
      : glove_(glove), needed_(needed), guess_(n_word) {}

  void begin(size_t dim, size_t n_word) override {
    glove_.dim_ = dim;
    if (needed_) n_word = n_word ? std::min(n_word, needed_->size()) : needed_->size();
    if (guess_) n_word = std::min(n_word, *guess_);
    glove_.vectors_.reserve(n_word * dim);
    glove_.word_ends_.reserve(n_word);
    glove_.resize_slots(std::bit_ceil(2 * n_word + 2));
  }

  bool wants(std::string_view word) override {
    return !needed_ || needed_->contains(std::string(word));
  }

  void add(std::string_view word, std::span<const float> vector) override {
    size_t slot = glove_.slot_of(word);
    if (glove_.slots_[slot] != kFree) return;
    FATHOM_REQUIRE(glove_.n_word() < kFree, "too many words: at most ", kFree, " are read");
    if (2 * glove_.n_word() + 2 > glove_.slots_.size()) {
      glove_.resize_slots(2 * glove_.slots_.size());
      slot = glove_.slot_of(word);
    }
    glove_.slots_[slot] = static_cast<uint32_t>(glove_.n_word());
    glove_.vectors_.insert(glove_.vectors_.end(), vector.begin(), vector.end());
    glove_.words_ += word;
    glove_.word_ends_.push_back(glove_.words_.size());
  }

 private:
  Glove& glove_;
  const WordSet* needed_;
  std::optional<size_t> guess_;
};

Glove Glove::open(const std::filesystem::path& path, const WordSet* needed) {
  InputFile file(path == "-" ? path : find_text_file(path).value_or(path));
  std::optional<size_t> n_line;
  if (const auto mapped = file.mapped(); mapped && !needed) {
    MemoryParts parts(*mapped, true);
    n_line = count_lines(parts);
  }
  Glove glove;
  Sink sink(glove, needed, n_line);
  glove.notes_ = read_word_vectors(file, sink);
  return glove;
}

Glove Glove::parse(std::string_view bytes, const std::string& name, const WordSet* needed) {
  MemoryParts parts(bytes);
  Glove glove;
  Sink sink(glove, needed, count_lines(parts));
  glove.notes_ = read_word_vectors(bytes, name, sink);
  return glove;
}

void Glove::resize_slots(size_t n_slot) {
  slots_.assign(n_slot, kFree);
  for (size_t i = 0; i < n_word(); ++i) slots_[slot_of(word(i))] = static_cast<uint32_t>(i);
}

size_t Glove::memory_bytes() const {
  return vectors_.capacity() * sizeof(float) + words_.capacity() +
         word_ends_.capacity() * sizeof(size_t) + slots_.capacity() * sizeof(uint32_t);
}

std::string_view Glove::word(size_t index) const {
  const size_t begin = index == 0 ? 0 : word_ends_[index - 1];
  return std::string_view(words_).substr(begin, word_ends_[index] - begin);
}

size_t Glove::slot_of(std::string_view wanted) const {
  size_t i = std::hash<std::string_view>()(wanted) & (slots_.size() - 1);
  while (slots_[i] != kFree && word(slots_[i]) != wanted) i = (i + 1) & (slots_.size() - 1);
  return i;
}

std::span<const float> Glove::find(std::string_view wanted) const {
  const uint32_t index = slots_[slot_of(wanted)];
  if (index == kFree) return {};
  return std::span(vectors_).subspan(index * dim_, dim_);
}

Coverage Glove::embed(std::string_view text, const WordOptions& options,
                      std::span<float> mean) const {
  FATHOM_ASSERT(mean.size() == dim_);
  std::vector<std::string> words;
  split_words(text, options, words);
  Coverage coverage{words.size(), 0};
  std::vector<double> sum(dim_, 0.0);
  for (const std::string& word : words) {
    const std::span<const float> vector = find(word);
    if (vector.empty()) continue;
    ++coverage.known;
    for (size_t i = 0; i < dim_; ++i) sum[i] += static_cast<double>(vector[i]);
  }
  const double n = static_cast<double>(std::max<size_t>(coverage.known, 1));
  for (size_t i = 0; i < dim_; ++i) mean[i] = static_cast<float>(sum[i] / n);
  return coverage;
}

}  // namespace fathom
