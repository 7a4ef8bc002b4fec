// SPDX-License-Identifier: Apache-2.0
// Files of word vectors, read word by word: GloVe's text (a word and its numbers a line, with or
// without word2vec's header line "400000 50"), and word2vec's .bin (the header line; then a word, a
// space, the numbers as float32, perhaps a line feed). Plain, or compressed by xz, gzip or zstd, or
// the only file of a ZIP archive (stored or deflated, ZIP64 too).
//
// Every line is a word and the same number, at least 2, of finite numbers, between spaces or tabs.
// Without a header the numbers at the end of the first line are counted. A word may hold spaces
// (glove.840B has ". . ."), as long as what stands before the vector is no number. A word whose
// vector holds NaN is left out. Both this and a header whose number of words is not the file's
// (`head -n`, fastText's wiki-news) are notes; anything else is an Error.
// Source: nlp.stanford.edu/projects/glove; word2vec's distance.c.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/byte_parts.h"

namespace fathom {

// Who takes the vectors.
class WordSink {
 public:
  virtual ~WordSink() = default;
  // Once, before any word. n_word: how many there can be at most, or 0 if that is not known.
  virtual void begin(size_t dim, size_t n_word) = 0;
  // Whether add() is to be called for this word.
  virtual bool wants(std::string_view word) = 0;
  virtual void add(std::string_view word, std::span<const float> vector) = 0;  // (dim)
};

// Give every word of the file to `sink` and return notes, a sentence each, with the file's name.
// Every word is checked, whether wanted or not. Memory: a few MiB, and the whole archive if a ZIP
// comes from a pipe. Throw Error naming the file and the line (the word, of a .bin): what was
// expected and what came. Of `file` nothing may have been read.
std::vector<std::string> read_word_vectors(InputFile& file, WordSink& sink);
// The same from memory; `name` is what messages call it.
std::vector<std::string> read_word_vectors(std::string_view bytes, const std::string& name,
                                           WordSink& sink);

}  // namespace fathom
