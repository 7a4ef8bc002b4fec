// SPDX-License-Identifier: Apache-2.0
#include "text/text_file.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "text/text_kind.h"
#include "text/unpack.h"

namespace fathom {
namespace {

constexpr std::string_view kPackedEndings[] = {".xz", ".gz", ".zst"};

// Anything that can be read but a folder.
bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;  // not readable is as good as not there: opening it will say why
  const auto type = std::filesystem::status(path, ignored).type();
  return type != std::filesystem::file_type::directory && std::filesystem::exists(path, ignored);
}

std::string all_of(Unpacked& parts, const std::string& name) {
  require_text(parts.first(), name, parts.packing());
  std::string text;
  for (std::string_view part = without_byte_order_mark(parts.next()); !part.empty();
       part = parts.next())
    text += part;
  return text;
}

}  // namespace

std::string_view without_byte_order_mark(std::string_view text) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
  return text;
}

std::optional<std::filesystem::path> find_text_file(const std::filesystem::path& path) {
  if (is_there(path)) return path;
  for (std::string_view ending : kPackedEndings) {
    std::filesystem::path packed = path;
    packed += ending;
    if (is_there(packed)) return packed;
  }
  return std::nullopt;
}

TextFormat format_of_name(const std::filesystem::path& path) {
  std::string name = path.filename().string();
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  std::string_view stem = name;
  for (std::string_view ending : kPackedEndings)
    if (stem.ends_with(ending)) {
      stem.remove_suffix(ending.size());
      break;
    }
  if (stem.ends_with(".jsonl") || stem.ends_with(".ndjson") || stem.ends_with(".json"))
    return TextFormat::kJsonLines;
  if (stem.ends_with(".csv")) return TextFormat::kCsv;
  return stem.ends_with(".tsv") || stem.ends_with(".tab") ? TextFormat::kTsv : TextFormat::kLines;
}

TextFile::TextFile(const std::filesystem::path& path)
    : path_(path == "-" ? path : find_text_file(path).value_or(path)), file_(path_) {
  const std::optional<std::string_view> mapped = file_.mapped();
  if (mapped && packing_of(*mapped) == Packing::kNone) {
    require_text(*mapped, name(), Packing::kNone);
    is_mapped_ = true;
    return;
  }
  Unpacked parts(file_, name());
  content_ = all_of(parts, name());
}

std::string_view TextFile::text() const {
  return is_mapped_ ? without_byte_order_mark(*file_.mapped()) : std::string_view(content_);
}

std::string read_text_file(const std::filesystem::path& path) {
  return std::string(TextFile(path).text());
}

std::string decode_text(std::string_view bytes, const std::string& name) {
  MemoryParts source(bytes);
  Unpacked parts(source, name);
  return all_of(parts, name);
}

std::vector<std::string_view> split_lines(std::string_view text) {
  text = without_byte_order_mark(text);
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
  }
  return lines;
}

std::vector<std::string_view> split_tabs(std::string_view line) {
  std::vector<std::string_view> fields;
  for (;;) {
    const size_t tab = line.find('\t');
    fields.push_back(line.substr(0, tab));
    if (tab == std::string_view::npos) return fields;
    line.remove_prefix(tab + 1);
  }
}

}  // namespace fathom
