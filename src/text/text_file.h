// SPDX-License-Identifier: Apache-2.0
// Text files, plain or xz-compressed: every reader of data also takes NAME.xz.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fathom {

// `path` itself, else `path`.xz, if one is a regular file; nullopt if neither is.
std::optional<std::filesystem::path> find_text_file(const std::filesystem::path& path);

// The bytes of the file; a file that begins with the xz magic is decompressed (memory limit 256 MiB
// for the decoder). Takes `path` or `path`.xz. Throws Error naming the file.
std::string read_text_file(const std::filesystem::path& path);

// Lines without their LF or CR LF; the last line may lack it. No other character ends a line. Views
// into `text`. A leading UTF-8 byte-order mark is left out.
std::vector<std::string_view> split_lines(std::string_view text);

// Fields between tabs; quotes are ordinary characters.
std::vector<std::string_view> split_tabs(std::string_view line);

}  // namespace fathom
