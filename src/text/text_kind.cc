// SPDX-License-Identifier: Apache-2.0
#include "text/text_kind.h"

#include <cstddef>

#include "base/error.h"

namespace fathom {
namespace {

// Zero bytes are looked for in so many bytes at the front: text that has one later is taken as it
// is.
constexpr size_t kFront = 1024;

struct FileKind {
  std::string_view magic;
  const char* what;
  const char* hint;  // $ is the file
  size_t at = 0;     // where the magic stands
};

constexpr const char* kUnpack = "give its content";

// The longer of two that begin alike comes first.
constexpr FileKind kKinds[] = {
    {{"\xFF\xFE\0\0", 4}, "UTF-32", "iconv -f UTF-32 -t UTF-8"},
    {{"\0\0\xFE\xFF", 4}, "UTF-32", "iconv -f UTF-32 -t UTF-8"},
    {"\xFF\xFE", "UTF-16", "iconv -f UTF-16 -t UTF-8"},
    {"\xFE\xFF", "UTF-16", "iconv -f UTF-16 -t UTF-8"},
    {"PK\x03\x04", "a ZIP archive",
     "unzip -p $ | fathom ... reads its content with the file name -"},
    {{"PK\x05\x06\0", 5}, "an empty ZIP archive", kUnpack},
    {"7z\xBC\xAF\x27\x1C", "a 7z archive", "7z x -so $ writes its content to a pipe"},
    {"Rar!\x1A\x07", "a RAR archive", kUnpack},
    {"ustar", "a tar archive", "tar -xOf $ writes its content to a pipe", 257},
    {"\x31\x41\x59\x26\x53\x59", "compressed by bzip2", "bzip2 -dc $ writes its content to a pipe",
     4},
    {"\x04\x22\x4D\x18", "compressed by lz4", "lz4 -dc $ writes its content to a pipe"},
    {"\x02\x21\x4C\x18", "compressed by lz4", "lz4 -dc $ writes its content to a pipe"},
    {"LZIP\x01", "compressed by lzip", "lzip -dc $ writes its content to a pipe"},
    {{"\x5D\0\0", 3}, "compressed by lzma", "xz -dc $ writes its content to a pipe"},
    {"\x1F\x9D", "compressed by compress", "gzip -dc $ writes its content to a pipe"},
    {"PAR1\x15", "a parquet table",
     "python3 -c \"import pandas; pandas.read_parquet('$').to_json('$.jsonl', orient='records', "
     "lines=True, force_ascii=False)\" converts it to JSON lines"},
    {"ARROW1", "an Arrow table",
     "python3 -c \"import pandas; pandas.read_feather('$').to_json('$.jsonl', orient='records', "
     "lines=True, force_ascii=False)\" converts it to JSON lines"},
    {{"\xFF\xFF\xFF\xFF", 4},
     "an Arrow stream",
     "python3 -c \"import datasets; datasets.Dataset.from_file('$').to_json('$.jsonl')\" converts "
     "it to JSON lines"},
    {"SQLite format 3", "an SQLite database", "give its texts, one a line"},
    {"\x89HDF\r\n", "an HDF5 file", "give its texts, one a line"},
    {"\x93NUMPY", "a NumPy array", "give texts, one a line"},
    {"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "an Office document", "save it as UTF-8 text"},
    {"%PDF-", "a PDF document", "pdftotext $ - writes its text to a pipe"},
    {"{\\rtf", "an RTF document", "save it as UTF-8 text"},
    {"\x89PNG\r\n\x1A\n", "a PNG image", "give text"},
    {"\xFF\xD8\xFF", "a JPEG image", "give text"},
    {"\x7F"
     "ELF",
     "a program", "give text"},
    {"\xBA\x16\x4F\x2F", "a fastText model", "its .vec file is text"},
    {"\x80\x02", "a Python pickle", "give text"},
    {"\x80\x03", "a Python pickle", "give text"},
    {"\x80\x04", "a Python pickle", "give text"},
    {"\x80\x05", "a Python pickle", "give text"},
    {"version https://git-lfs", "a git-lfs pointer, not the file itself",
     "git lfs pull fetches it"},
};

bool is(const FileKind& kind, std::string_view first) {
  return first.size() >= kind.at && first.substr(kind.at).starts_with(kind.magic);
}

std::string filled(std::string_view hint, const std::string& name) {
  std::string out;
  for (char c : hint) c == '$' ? out += name : out += c;
  return out;
}

std::string iconv_command(const std::string& iconv, const std::string& name, Packing packing) {
  if (packing != Packing::kNone)
    return concat(unpack_command(packing), " ", name, " | ", iconv, " > OUT");
  return concat(iconv, " ", name, " > OUT");
}

}  // namespace

void require_text(std::string_view first, const std::string& name, Packing packing) {
  const std::string argument = name == "standard input" ? "-" : name;  // of a command
  const Packing again = packing_of(first);
  FATHOM_REQUIRE(again == Packing::kNone, name, ": compressed twice; expected text",
                 packing == Packing::kNone ? std::string()
                                           : concat(": ", unpack_command(packing), " ", argument,
                                                    " | ", unpack_command(again), " > OUT"));
  for (const FileKind& kind : kKinds) {
    if (!is(kind, first)) continue;
    const std::string_view hint = kind.hint;
    throw Error(concat(name, ": ", kind.what, "; expected text in UTF-8: ",
                       hint.starts_with("iconv") ? iconv_command(kind.hint, argument, packing)
                                                 : filled(hint, argument)));
  }
  const size_t zero = first.substr(0, kFront).find('\0');
  FATHOM_REQUIRE(zero == first.npos, name, ": byte ", zero + 1,
                 " is zero: not text, or UTF-16 without a byte-order mark; expected text in UTF-8");
}

}  // namespace fathom
