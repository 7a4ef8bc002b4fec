// SPDX-License-Identifier: Apache-2.0
// GloVe: word vectors from a file (encode/word_vectors.h says of which kinds), and sentence vectors
// as their mean: the baseline. Of a word that occurs twice, the first vector counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "text/words.h"

namespace fathom {

using WordSet = std::unordered_set<std::string>;

// Of the words of one or more texts, how many have a vector; known / words is the coverage.
struct Coverage {
  size_t words = 0;
  size_t known = 0;

  Coverage& operator+=(Coverage other) {
    words += other.words;
    known += other.known;
    return *this;
  }
  double share() const {
    return words == 0 ? 0 : static_cast<double>(known) / static_cast<double>(words);
  }
};

// Immutable after opening; safe to use from many threads.
class Glove {
 public:
  // Reads `path`, or as find_text_file does; "-" is standard input. With `needed`, only the vectors
  // of these words are kept. Throws Error naming the file and the line, as read_word_vectors.
  static Glove open(const std::filesystem::path& path, const WordSet* needed = nullptr);
  // The same from memory; `name` is what errors call it.
  static Glove parse(std::string_view text, const std::string& name,
                     const WordSet* needed = nullptr);

  size_t dim() const { return dim_; }
  size_t n_word() const { return word_ends_.size(); }
  // What is odd about the file and no error, a sentence each.
  const std::vector<std::string>& notes() const { return notes_; }
  // Bytes of the vectors and of the index.
  size_t memory_bytes() const;

  // (dim), or empty if the word has no vector. Bytes are compared as they are.
  std::span<const float> find(std::string_view word) const;

  // Writes the mean of the vectors of the words that have one, each as often as it occurs (summed
  // in double); the zero vector if none has. mean: (dim).
  Coverage embed(std::string_view text, const WordOptions& options, std::span<float> mean) const;

 private:
  class Sink;

  Glove() = default;
  std::string_view word(size_t index) const;
  size_t slot_of(std::string_view word) const;  // where in slots_ it is or would go
  void resize_slots(size_t n_slot);

  size_t dim_ = 0;
  std::vector<float> vectors_;     // (n_word, dim)
  std::string words_;              // all words, end to end
  std::vector<size_t> word_ends_;  // (n_word) ends in words_
  std::vector<uint32_t> slots_;    // hash table of word indices, linear probing; power of two
  std::vector<std::string> notes_;
};

}  // namespace fathom
