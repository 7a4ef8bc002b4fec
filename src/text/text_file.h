// SPDX-License-Identifier: Apache-2.0
// Text files, plain or xz-compressed: every reader of data also takes NAME.xz.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"

namespace fathom {

// `path` itself, else `path`.xz, if one is a regular file; nullopt if neither is.
std::optional<std::filesystem::path> find_text_file(const std::filesystem::path& path);

// The bytes of the file; a file that begins with the xz magic is decompressed (memory limit 256 MiB
// for the decoder). Takes `path` or `path`.xz. Throws Error naming the file.
std::string read_text_file(const std::filesystem::path& path);

// The bytes of such a file without a copy where that is possible: a plain file stays mapped. For
// the largest ones. Move-only; views of text() end with the object or its move.
class TextFile {
 public:
  // Takes `path` or `path`.xz. Throws Error naming the file.
  explicit TextFile(const std::filesystem::path& path);

  std::string_view text() const { return mapped_ ? mapped_->text() : std::string_view(unpacked_); }
  const std::filesystem::path& path() const { return path_; }  // the one that was found
  bool is_mapped() const { return mapped_.has_value(); }

 private:
  std::filesystem::path path_;
  std::optional<MappedFile> mapped_;
  std::string unpacked_;
};

// Lines without their LF or CR LF (the last one: without its LF, CR LF or CR); the last line may
// lack it. No other character ends a line. Views into `text`. A leading UTF-8 byte-order mark is
// left out.
std::vector<std::string_view> split_lines(std::string_view text);

// Fields between tabs; quotes are ordinary characters.
std::vector<std::string_view> split_tabs(std::string_view line);

}  // namespace fathom
