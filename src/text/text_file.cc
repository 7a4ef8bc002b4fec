// SPDX-License-Identifier: Apache-2.0
#include "text/text_file.h"

#include <lzma.h>

#include <memory>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace fathom {
namespace {

constexpr std::string_view kXzMagic(
    "\xFD"
    "7zXZ\0",
    6);
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr uint64_t kDecoderMemory = 256u << 20;
constexpr size_t kChunk = 1u << 20;
// No text is packed better than this, so that a file made to burst cannot take all memory.
constexpr size_t kMostTimes = 100, kAlways = size_t{64} << 20;

const char* describe(lzma_ret code) {
  switch (code) {
    case LZMA_MEMLIMIT_ERROR:
      return "needs more than 256 MiB to decompress";
    case LZMA_MEM_ERROR:
      return "out of memory";
    case LZMA_FORMAT_ERROR:
      return "not an xz file";
    case LZMA_OPTIONS_ERROR:
      return "unsupported xz options";
    case LZMA_DATA_ERROR:
      return "damaged xz data";
    case LZMA_BUF_ERROR:
      return "truncated xz file";
    default:
      return "cannot decompress";
  }
}

std::string unpack_xz(std::string_view packed, const std::string& name) {
  lzma_stream stream = LZMA_STREAM_INIT;
  const std::unique_ptr<lzma_stream, void (*)(lzma_stream*)> guard(&stream, lzma_end);
  lzma_ret code = lzma_stream_decoder(&stream, kDecoderMemory, LZMA_CONCATENATED);
  FATHOM_REQUIRE(code == LZMA_OK, name, ": ", describe(code));
  stream.next_in = reinterpret_cast<const uint8_t*>(packed.data());
  stream.avail_in = packed.size();

  std::string text;
  const auto chunk = std::make_unique<uint8_t[]>(kChunk);
  while (code != LZMA_STREAM_END) {
    stream.next_out = chunk.get();
    stream.avail_out = kChunk;
    code = lzma_code(&stream, LZMA_FINISH);
    FATHOM_REQUIRE(code == LZMA_OK || code == LZMA_STREAM_END, name, ": ", describe(code));
    text.append(reinterpret_cast<const char*>(chunk.get()), kChunk - stream.avail_out);
    FATHOM_REQUIRE(text.size() <= kAlways + kMostTimes * packed.size(), name, ": unpacks to over ",
                   kAlways >> 20, " MiB and ", kMostTimes, " times its size; expected text");
  }
  return text;
}

bool is_file(const std::filesystem::path& path) {
  std::error_code ignored;  // not readable is as good as not there: opening it will say why
  return std::filesystem::is_regular_file(path, ignored);
}

}  // namespace

std::optional<std::filesystem::path> find_text_file(const std::filesystem::path& path) {
  if (is_file(path)) return path;
  std::filesystem::path packed = path;
  packed += ".xz";
  if (is_file(packed)) return packed;
  return std::nullopt;
}

TextFile::TextFile(const std::filesystem::path& path)
    : path_(find_text_file(path).value_or(path)), mapped_(path_) {
  if (!mapped_->text().starts_with(kXzMagic)) return;
  unpacked_ = unpack_xz(mapped_->text(), path_.string());
  mapped_.reset();
}

std::string read_text_file(const std::filesystem::path& path) {
  return std::string(TextFile(path).text());
}

std::vector<std::string_view> split_lines(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
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
