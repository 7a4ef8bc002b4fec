// SPDX-License-Identifier: Apache-2.0
#include "baseline/word_vectors.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "base/parse_whole.h"
#include "formats/checks.h"
#include "formats/zip.h"
#include "text/text_file.h"
#include "text/text_kind.h"
#include "text/unpack.h"

namespace fathom {
namespace {

constexpr size_t kMostDim = size_t{1} << 20, kMostWordBytes = size_t{1} << 16,
                 kMostLineBytes = size_t{64} << 20;

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

// Digits with perhaps a sign and a point, so few that their value is finite: nearly all numbers.
bool is_plain_number(std::string_view field) {
  constexpr size_t kFew = 30;
  if (field.starts_with('-') || field.starts_with('+')) field.remove_prefix(1);
  size_t n_digit = 0;
  for (char c : field) n_digit += c >= '0' && c <= '9';
  const size_t n_point = n_digit == field.size() ? 0 : field.find('.') != field.npos;
  return n_digit > 0 && n_digit + n_point == field.size() && field.size() <= kFew;
}

enum class Number : uint8_t { kFinite, kNan, kNone };

// In double: what is below the smallest float is a number, too.
Number parse_number(std::string_view field, float& value) {
  if (field.starts_with('+') && !field.starts_with("+-")) field.remove_prefix(1);
  double wide = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), wide);
  if (end != field.data() + field.size() || error == std::errc::invalid_argument)
    return Number::kNone;
  if (error == std::errc::result_out_of_range) wide = std::strtod(std::string(field).c_str(), {});
  value = static_cast<float>(wide);
  if (std::isnan(value)) return Number::kNan;
  return std::isfinite(value) ? Number::kFinite : Number::kNone;
}

Number kind_of(std::string_view field) {
  float ignored = 0;
  return is_plain_number(field) ? Number::kFinite : parse_number(field, ignored);
}

// Fields at the end of the line that are numbers, NaN included; the first field is a word.
size_t count_numbers(std::string_view line) {
  size_t n = 0;
  for (;;) {
    const std::string_view field = take_last_field(line);
    if (field.empty()) return n == 0 ? 0 : n - 1;
    if (kind_of(field) == Number::kNone) return n;
    ++n;
  }
}

std::string_view first_line(std::string_view text) {
  std::string_view line = text.substr(0, text.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Lines and records of bytes that come in parts. Views are valid until the next call.
class Feed {
 public:
  Feed(std::string_view first, ByteParts& source, const std::string& name)
      : part_(first), source_(source), name_(name) {}

  bool at_end() {
    if (part_.empty()) part_ = source_.next();
    return part_.empty();
  }
  // The next byte, which is there.
  char peek() const { return part_.front(); }
  void skip(size_t n) { part_.remove_prefix(n); }

  // Up to `stop`, which is left out and taken off; all that is left if it does not occur.
  std::string_view take_until(char stop, size_t most) {
    found_ = false;
    const std::string_view here = take_here(stop);
    if (found_) return here;
    joined_.assign(here);
    while (!found_ && !at_end()) {
      joined_ += take_here(stop);
      FATHOM_REQUIRE(joined_.size() <= most, name_, ": no ", stop == ' ' ? "space" : "line feed",
                     " in ", most, " bytes: these are not word vectors");
    }
    return joined_;
  }
  // Whether the last take_until came to its stop.
  bool found() const { return found_; }

  // n bytes; fewer at the end.
  std::string_view take(size_t n) {
    if (part_.size() >= n) return take_front(n);
    joined_.clear();
    while (joined_.size() < n && !at_end()) joined_ += take_front(n - joined_.size());
    return joined_;
  }

 private:
  std::string_view take_front(size_t n) {
    const std::string_view front = part_.substr(0, n);
    part_.remove_prefix(front.size());
    return front;
  }
  std::string_view take_here(char stop) {
    const size_t at = part_.find(stop);
    found_ = at != part_.npos;
    const std::string_view here = take_front(found_ ? at : part_.size());
    if (found_) part_.remove_prefix(1);
    return here;
  }

  std::string_view part_;
  ByteParts& source_;
  const std::string& name_;
  std::string joined_;  // what lies across parts
  bool found_ = false;
};

// "N DIM". No vector looks like that, as it has two numbers at least.
struct Header {
  size_t n_word, dim, n_byte;
};
std::optional<Header> read_header(std::string_view first) {
  std::string_view line = first_line(first);
  const size_t n_byte = std::min(first.find('\n'), first.size() - 1) + 1;
  const auto dim = parse_whole(take_last_field(line)), n_word = parse_whole(take_last_field(line));
  if (!line.empty() || !n_word || !dim) return std::nullopt;
  return Header{*n_word, *dim, n_byte};
}

// Whether float32 numbers follow a header: what follows is no line of vectors, and it has bytes
// that no text has.
bool is_binary(std::string_view rest, size_t dim) {
  if (rest.empty() || count_numbers(first_line(rest)) >= dim) return false;
  const std::string_view front = rest.substr(0, 4096);
  return std::any_of(front.begin(), front.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u < '\t' || (u > '\r' && u < ' ');
  });
}

// What the readers of both forms share.
class Reader {
 public:
  Reader(Feed& feed, const std::string& name, std::optional<Header> header,
         std::optional<uint64_t> n_byte, WordSink& sink)
      : feed_(feed), name_(name), header_(header), n_byte_(n_byte), sink_(sink) {}

 protected:
  // Before the first word; number_bytes: the fewest that a number takes.
  void begin(size_t dim, size_t number_bytes) {
    size_t most = 0;
    if (n_byte_) most = static_cast<size_t>(*n_byte_ / number_bytes / dim) + 1;
    if (n_byte_ && header_) most = std::min(most, header_->n_word);
    sink_.begin(dim, most);
  }

  void leave_out_nan(const std::string& where) {
    if (n_nan_++ == 0) first_nan_ = where;
  }

  std::vector<std::string> finish(size_t n_word) const {
    FATHOM_REQUIRE(n_word > n_nan_, name_, ": no vectors", n_nan_ > 0 ? " without NaN" : "");
    std::vector<std::string> notes;
    if (header_ && header_->n_word != n_word)
      notes.push_back(concat(name_, ": its header promises ", header_->n_word,
                             " words, the file has ", n_word, "."));
    if (n_nan_ > 0)
      notes.push_back(concat(name_, ": ", n_nan_, n_nan_ == 1 ? " word is" : " words are",
                             " left out, with NaN in the vector (first: ", first_nan_, ")."));
    return notes;
  }

  Feed& feed_;
  const std::string& name_;
  const std::optional<Header> header_;
  const std::optional<uint64_t> n_byte_;  // of the content, where it is known
  WordSink& sink_;
  size_t n_nan_ = 0;
  std::string first_nan_;
};

class TextReader : private Reader {
 public:
  using Reader::Reader;

  std::vector<std::string> read() {
    number_ = header_ ? 1 : 0;
    size_t n_word = 0, first_blank = 0;
    while (!feed_.at_end()) {
      std::string_view line = feed_.take_until('\n', kMostLineBytes);
      if (line.ends_with('\r')) line.remove_suffix(1);
      ++number_;
      // Blank lines may stand at the end.
      if (line.find_first_not_of(" \t") == line.npos) {
        if (first_blank == 0) first_blank = number_;
        continue;
      }
      if (first_blank != 0) fail(first_blank, "an empty line");
      if (n_word++ == 0) begin_with(line);
      add(line);
    }
    FATHOM_REQUIRE(n_word > 0 || !header_, name_, ": no vectors after the header line");
    if (n_word == 0) fail(1, "an empty line");
    return finish(n_word);
  }

 private:
  void begin_with(std::string_view line) {
    dim_ = header_ ? header_->dim : count_numbers(line);
    if (dim_ < 2) fail(number_, concat("'", excerpt(line), "'"));
    fields_.resize(dim_);
    values_.resize(dim_);
    check(line);  // before memory is taken for as many numbers as a header says
    begin(dim_, 2);
  }

  [[noreturn]] void fail(size_t line, std::string_view got) const {
    throw Error(concat(name_, ":", line, ": expected a word and ",
                       dim_ < 2 ? std::string("at least 2") : std::to_string(dim_),
                       " numbers, got ", got));
  }

  // Fills fields_ and returns the word in front of them.
  std::string_view check(std::string_view line) {
    std::string_view word = line;
    for (size_t i = dim_; i-- > 0;) {
      fields_[i] = take_last_field(word);
      if (fields_[i].empty()) fail(number_, n_fields(dim_ - 1 - i));
    }
    if (word.empty()) fail(number_, n_fields(dim_));
    has_nan_ = false;
    for (std::string_view field : fields_) {
      const Number kind = kind_of(field);
      FATHOM_REQUIRE(kind != Number::kNone, name_, ":", number_, ": expected a finite number, got ",
                     excerpt(field));
      has_nan_ |= kind == Number::kNan;
    }
    const size_t blank = word.find_last_of(" \t");
    if (blank != word.npos && kind_of(word.substr(blank + 1)) == Number::kFinite)
      fail(number_, concat("at least ", dim_ + 1, " numbers"));
    return word;
  }

  static std::string n_fields(size_t n) { return concat(n, n == 1 ? " field" : " fields"); }

  void add(std::string_view line) {
    const std::string_view word = check(line);
    if (has_nan_) return leave_out_nan(concat("line ", number_));
    if (!sink_.wants(word)) return;
    for (size_t i = 0; i < dim_; ++i) parse_number(fields_[i], values_[i]);
    sink_.add(word, values_);
  }

  size_t dim_ = 0, number_ = 0;  // number_: of the line, from 1
  bool has_nan_ = false;
  std::vector<std::string_view> fields_;  // (dim)
  std::vector<float> values_;             // (dim)
};

class BinaryReader : private Reader {
 public:
  using Reader::Reader;

  std::vector<std::string> read() {
    const size_t dim = header_->dim;
    std::vector<float> values(dim);
    size_t n_word = 0;
    std::string word;
    for (;;) {
      while (!feed_.at_end() && feed_.peek() == '\n') feed_.skip(1);
      if (feed_.at_end()) return finish(n_word);
      ++n_word;
      word = feed_.take_until(' ', kMostWordBytes);
      const auto place = [&] { return concat("word ", n_word, ", '", excerpt(word), "'"); };
      FATHOM_REQUIRE(feed_.found() && !word.empty(), name_, ": ", place(),
                     ": expected a word and a space");
      const std::string_view bytes = feed_.take(dim * sizeof(float));
      FATHOM_REQUIRE(bytes.size() == dim * sizeof(float), name_, ": ", place(),
                     ": truncated: ", "expected ", dim, " float32 numbers, got ", bytes.size(),
                     " bytes");
      std::memcpy(values.data(), bytes.data(), bytes.size());
      if (n_word == 1) begin(dim, sizeof(float));
      bool has_nan = false;
      for (float v : values) {
        has_nan |= std::isnan(v);
        FATHOM_REQUIRE(!std::isinf(v), name_, ": ", place(), ": expected finite numbers, got ", v);
      }
      if (has_nan)
        leave_out_nan(place());
      else if (sink_.wants(word))
        sink_.add(word, values);
    }
  }
};

std::vector<std::string> read_content(std::string_view first, ByteParts& rest, Packing packing,
                                      std::optional<uint64_t> n_byte, const std::string& name,
                                      WordSink& sink) {
  first = without_byte_order_mark(first);
  FATHOM_REQUIRE(!first.empty(), name, ": the file is empty");
  const std::optional<Header> header = read_header(first);
  if (header)
    FATHOM_REQUIRE(header->dim >= 2 && header->dim <= kMostDim, name,
                   ":1: expected a header with a dimension of 2 to ", kMostDim, ", got ",
                   header->dim);
  const std::string_view after = first.substr(header ? header->n_byte : 0);
  Feed feed(after, rest, name);
  if (header && is_binary(after, header->dim))
    return BinaryReader(feed, name, header, n_byte, sink).read();
  require_text(first, name, packing);
  return TextReader(feed, name, header, n_byte, sink).read();
}

// The only file in the archive; folders and what macOS adds are none.
const ZipEntry& only_file(const ZipDirectory& archive) {
  const ZipEntry* found = nullptr;
  size_t n_file = 0;
  std::string names;
  for (const ZipEntry& entry : archive.entries()) {
    if (entry.name.ends_with('/') || entry.name.starts_with("__MACOSX/")) continue;
    found = &entry;
    if (++n_file <= 4) names += concat(n_file == 1 ? "" : ", ", excerpt(entry.name));
  }
  FATHOM_REQUIRE(n_file == 1, "expected a ZIP archive of one file, got ", n_file,
                 n_file ? ": " : "", names, n_file > 4 ? ", ..." : "",
                 n_file ? "; unzip it and give one of them" : "");
  FATHOM_REQUIRE(found->method == 0 || found->method == 8, excerpt(found->name),
                 ": compressed by method ", found->method,
                 "; expected stored or deflated (unzip it)");
  return *found;
}

std::vector<std::string> read_zip(std::string_view archive, bool is_mapped, const std::string& name,
                                  WordSink& sink) {
  const ZipEntry* entry = nullptr;
  std::string_view stored;
  std::optional<ZipDirectory> directory;
  naming(name, [&] {
    directory.emplace(std::as_bytes(std::span(archive)));
    entry = &only_file(*directory);
    const std::span<const std::byte> bytes = directory->stored(*entry);
    stored = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  });
  const std::string inner = concat(name, "/", excerpt(entry->name));
  MemoryParts source(stored, is_mapped);
  const auto content =
      unpack_zip_entry(source, entry->method == 8, entry->n_bytes, entry->crc32, inner);
  // The size is the archive's word; what a deflated file holds is bounded by what it takes.
  const std::optional<uint64_t> n_byte =
      entry->method == 0 ? std::optional(entry->n_bytes) : std::nullopt;
  const std::string_view first = content->next();
  return read_content(first, *content, Packing::kNone, n_byte, inner, sink);
}

// source: the bytes, of which nothing has been taken; whole: the same at once, if they are there.
std::vector<std::string> read_any(ByteParts& source, std::optional<std::string_view> whole,
                                  bool is_mapped, const std::string& name, WordSink& sink) {
  Unpacked content(source, name);
  if (content.packing() == Packing::kNone && content.first().starts_with("PK\x03\x04")) {
    if (whole) return read_zip(*whole, is_mapped, name, sink);
    std::string gathered;
    for (std::string_view part = content.next(); !part.empty(); part = content.next())
      gathered += part;
    return read_zip(gathered, false, name, sink);
  }
  std::optional<uint64_t> n_byte;
  if (content.packing() == Packing::kNone && whole) n_byte = whole->size();
  const std::string_view first = content.next();
  return read_content(first, content, content.packing(), n_byte, name, sink);
}

}  // namespace

std::vector<std::string> read_word_vectors(InputFile& file, WordSink& sink) {
  return read_any(file, file.mapped(), true, file.name(), sink);
}

std::vector<std::string> read_word_vectors(std::string_view bytes, const std::string& name,
                                           WordSink& sink) {
  MemoryParts source(bytes);
  return read_any(source, bytes, false, name, sink);
}

}  // namespace fathom
