// SPDX-License-Identifier: Apache-2.0
// Text that a user gives: the one way in for sentences, data sets, predictions, vocabularies and
// lists of ids. Plain or compressed by xz, gzip or zstd (text/unpack.h), from a file, a pipe or
// standard input; what is no text is refused by name (text/text_kind.h).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/byte_parts.h"

namespace fathom {

// The text without a UTF-8 byte-order mark in front.
std::string_view without_byte_order_mark(std::string_view text);

// `path` itself, else `path`.xz, .gz or .zst, in this order; nullopt if none is there. A folder is
// none.
std::optional<std::filesystem::path> find_text_file(const std::filesystem::path& path);

// What a file of this name holds, in any case, with .xz, .gz or .zst behind it or not.
enum class TextFormat : unsigned char {
  kLines,      // a text a line: every other name
  kJsonLines,  // .jsonl, .ndjson, .json
  kCsv,        // .csv
  kTsv,        // .tsv, .tab
};
TextFormat format_of_name(const std::filesystem::path& path);

// A text as a whole, without a leading UTF-8 byte-order mark and without a copy where that is
// possible: a plain file stays mapped. Move-only; views of text() end with the object or its move.
class TextFile {
 public:
  // Takes `path` as find_text_file does; "-" is standard input. Throws Error naming the file.
  explicit TextFile(const std::filesystem::path& path);

  std::string_view text() const;
  const std::filesystem::path& path() const { return path_; }  // the one that was found
  const std::string& name() const { return file_.name(); }     // for messages
  bool is_mapped() const { return is_mapped_; }

 private:
  std::filesystem::path path_;
  InputFile file_;
  bool is_mapped_ = false;
  std::string content_;  // of what is not mapped
};

// The same as a string.
std::string read_text_file(const std::filesystem::path& path);

// The text of a file that is in memory; `name` is what errors call it.
std::string decode_text(std::string_view bytes, const std::string& name);

// Lines without their LF or CR LF (the last one: without its LF, CR LF or CR); the last line may
// lack it. No other character ends a line. Views into `text`. A leading UTF-8 byte-order mark is
// left out.
std::vector<std::string_view> split_lines(std::string_view text);

// Fields between tabs; quotes are ordinary characters.
std::vector<std::string_view> split_tabs(std::string_view line);

}  // namespace fathom
