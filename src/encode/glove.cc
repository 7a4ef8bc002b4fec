// SPDX-License-Identifier: Apache-2.0
#include "encode/glove.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "text/text_file.h"

namespace fathom {
namespace {

constexpr uint32_t kFree = std::numeric_limits<uint32_t>::max();
constexpr size_t kDropEvery = size_t{8} << 20;  // bytes of the file

bool is_blank(char c) { return c == ' ' || c == '\t'; }

// Takes the last field off `line` with the blanks around it; empty if there is none.
std::string_view take_last_field(std::string_view& line) {
  size_t end = line.size();
  while (end > 0 && is_blank(line[end - 1])) --end;
  size_t begin = end;
  while (begin > 0 && !is_blank(line[begin - 1])) --begin;
  const std::string_view field = line.substr(begin, end - begin);
  while (begin > 0 && is_blank(line[begin - 1])) --begin;
  line = line.substr(0, begin);
  return field;
}

size_t count_fields(std::string_view line) {
  size_t n = 0;
  while (!take_last_field(line).empty()) ++n;
  return n;
}

template <class T>
bool parse_whole(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// Takes the first line off `text`, without its LF or CR LF.
std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

// Reads the lines of one file into a Glove.
class Glove::Loader {
 public:
  Loader(const std::string& name, const WordSet* needed) : name_(name), needed_(needed) {}

  // `drop` is called with each part of the text that is done with, some MiB at a time.
  Glove load(std::string_view text, const std::function<void(std::string_view)>& drop) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    FATHOM_REQUIRE(!text.empty(), name_, ": the file is empty");
    take_header(text);
    FATHOM_REQUIRE(!text.empty(), name_, ": no vectors after the header line");
    if (glove_.dim_ == 0) {
      std::string_view rest = text;
      const size_t n_field = count_fields(take_line(rest));
      FATHOM_REQUIRE(n_field >= 2, place(1), "expected a word and its numbers");
      glove_.dim_ = n_field - 1;
    }
    reserve(needed_ ? most_words(text) : std::min(most_words(text), count_lines(text, drop)));
    const char* done = text.data();
    while (!text.empty()) {
      add_line(take_line(text));
      const auto n_byte = static_cast<size_t>(text.data() - done);
      if (n_byte < kDropEvery) continue;
      drop({done, n_byte});
      done = text.data();
    }
    FATHOM_REQUIRE(!header_ || *header_ == n_line_, name_, ": the header promises ",
                   header_.value_or(0), " words, the file has ", n_line_);
    FATHOM_REQUIRE(glove_.n_word() > 0 || needed_, name_, ": no vectors");
    return std::move(glove_);
  }

 private:
  std::string place(size_t line) const { return concat(name_, ":", line, ": "); }

  // "N DIM", if the next line is long enough for that: a vector of dimension 1 looks the same.
  void take_header(std::string_view& text) {
    std::string_view rest = text;
    std::string_view line = take_line(rest);
    size_t n_word = 0, dim = 0;
    const std::string_view last = take_last_field(line), first = take_last_field(line);
    if (!line.empty() || !parse_whole(first, n_word) || !parse_whole(last, dim) || dim == 0) return;
    std::string_view next = rest;
    if (!next.empty() && count_fields(take_line(next)) <= dim) return;
    header_ = n_word;
    glove_.dim_ = dim;
    n_before_ = 1;
    text = rest;
  }

  static size_t count_lines(std::string_view text,
                            const std::function<void(std::string_view)>& drop) {
    size_t n = 1;
    for (; !text.empty(); text.remove_prefix(std::min(kDropEvery, text.size()))) {
      const std::string_view part = text.substr(0, kDropEvery);
      n += static_cast<size_t>(std::count(part.begin(), part.end(), '\n'));
      drop(part);
    }
    return n;
  }

  // What the text can hold, since each number takes two bytes of it: so that no file makes this
  // process take much more memory than its own size.
  size_t most_words(std::string_view text) const {
    const size_t n = text.size() / 2 / glove_.dim_ + 1;
    return needed_ ? std::min(n, needed_->size()) : n;
  }

  void reserve(size_t n_word) {
    glove_.vectors_.reserve(n_word * glove_.dim_);
    glove_.word_ends_.reserve(n_word);
    glove_.slots_.assign(std::bit_ceil(2 * n_word + 2), kFree);
  }

  void add_line(std::string_view line) {
    const size_t dim = glove_.dim_;
    const size_t line_number = n_before_ + ++n_line_;
    fields_.resize(dim);
    for (size_t i = dim; i-- > 0;) {
      fields_[i] = take_last_field(line);
      FATHOM_REQUIRE(!fields_[i].empty(), place(line_number), "expected a word and ", dim,
                     " numbers, got ", dim - 1 - i, " fields");
    }
    FATHOM_REQUIRE(line.data() != fields_[0].data(), place(line_number), "expected a word and ",
                   dim, " numbers, got ", dim, " fields");
    if (needed_ && !needed_->contains(std::string(line))) return;
    uint32_t& slot = glove_.slots_[glove_.slot_of(line)];
    if (slot != kFree) return;
    for (std::string_view field : fields_) {
      double value = 0;  // not float: from_chars refuses what underflows
      const bool good = parse_whole(field, value);
      const float rounded = static_cast<float>(value);
      FATHOM_REQUIRE(good && std::isfinite(rounded), place(line_number),
                     "expected a finite number, got ", field);
      glove_.vectors_.push_back(rounded);
    }
    FATHOM_REQUIRE(glove_.n_word() < kFree, name_, ": too many words");
    slot = static_cast<uint32_t>(glove_.n_word());
    glove_.words_ += line;
    glove_.word_ends_.push_back(glove_.words_.size());
  }

  const std::string& name_;
  const WordSet* needed_;
  Glove glove_;
  std::optional<size_t> header_;  // words it promises
  size_t n_before_ = 0;           // lines before the first vector
  size_t n_line_ = 0;
  std::vector<std::string_view> fields_;
};

Glove Glove::open(const std::filesystem::path& path, const WordSet* needed) {
  const TextFile file(path);
  const std::string name = file.path().string();
  // Pages of a mapped file are given back as they are read, so that they do not count as this
  // process's memory beside the vectors.
  return Loader(name, needed).load(file.text(), [&file](std::string_view done) {
    if (file.is_mapped()) drop_pages(std::as_bytes(std::span(done.data(), done.size())));
  });
}

Glove Glove::parse(std::string_view text, const std::string& name, const WordSet* needed) {
  return Loader(name, needed).load(text, [](std::string_view) {});
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
