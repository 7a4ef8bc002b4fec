// SPDX-License-Identifier: Apache-2.0
#include "text/text_kind.h"

#include "text/fixtures.h"

namespace fathom::text_kind_test {
namespace {

using ::testing::HasSubstr;

std::string refusal(std::string_view first, Packing packing = Packing::kNone) {
  return error_of([&] { require_text(first, "f.txt", packing); });
}

TEST(RequireText, TakesAnyBytesThatAreNothingElse) {
  for (const std::string text :
       {"", "a", "PK", "PKWARE", "PAR1 is a gene", "BZh91 is a form", "%PDF is a form",
        "7z is a form", "\xEF\xBB\xBFmarked", "\xFF", "\xFE", "\xFF\xFD", "caf\xE9", "{\"a\": 1}",
        "\x01\x02", "SQLite", "version https", "ustar", "<!DOCTYPE html>"})
    EXPECT_NO_THROW(require_text(text, "f.txt", Packing::kNone)) << text;
  EXPECT_NO_THROW(require_text(std::string(2000, 'a') + '\0', "f.txt", Packing::kNone));
}

TEST(RequireText, NamesIconvForUtf16AndUtf32) {
  const std::string_view utf16[] = {{"\xFF\xFE"
                                     "a\0",
                                     4},
                                    {"\xFE\xFF\0a", 4},
                                    {"\xFF\xFE", 2}};
  const std::string_view utf32[] = {{"\xFF\xFE\0\0a\0\0\0", 8}, {"\0\0\xFE\xFF\0\0\0a", 8}};
  for (std::string_view text : utf16)
    EXPECT_EQ(refusal(text),
              "f.txt: UTF-16; expected text in UTF-8: iconv -f UTF-16 -t UTF-8 f.txt > OUT");
  for (std::string_view text : utf32)
    EXPECT_EQ(refusal(text),
              "f.txt: UTF-32; expected text in UTF-8: iconv -f UTF-32 -t UTF-8 f.txt > OUT");
  EXPECT_THAT(refusal(utf16[0], Packing::kGzip),
              HasSubstr("gzip -dc f.txt | iconv -f UTF-16 -t UTF-8 > OUT"));
  EXPECT_THAT(refusal(utf32[1], Packing::kZstd), HasSubstr("zstd -dc f.txt | iconv -f UTF-32"));
  EXPECT_THAT(refusal({"a\0b\0", 4}), HasSubstr("byte 2 is zero"));
  EXPECT_EQ(error_of([&] { require_text(utf16[0], "standard input", Packing::kNone); }),
            "standard input: UTF-16; expected text in UTF-8: iconv -f UTF-16 -t UTF-8 - > OUT");
}

TEST(RequireText, NamesWhatIsNoText) {
  const std::pair<std::string, const char*> cases[] = {
      {"PK\x03\x04rest", "ZIP"},
      {"7z\xBC\xAF\x27\x1C", "7z"},
      {"Rar!\x1A\x07", "RAR"},
      {std::string(257, 'a') + "ustar", "tar"},
      {"BZh91AY&SY", "bzip2 -dc f.txt"},
      {"\x04\x22\x4D\x18", "lz4"},
      {"LZIP\x01", "lzip"},
      {std::string("\x5D\0\0\x80", 4), "lzma"},
      {"PAR1\x15\x04", "pandas.read_parquet('f.txt').to_json('f.txt.jsonl', orient='records'"},
      {"ARROW1", "Arrow"},
      {"\x89PNG\r\n\x1A\n", "PNG"},
      {"\xFF\xD8\xFF\xE0", "JPEG"},
      {"%PDF-1.7", "pdftotext"},
      {"\x93NUMPY\x01", "NumPy"},
      {"\x80\x04\x95", "pickle"},
      {"\x7F"
       "ELF",
       "program"},
      {"\xBA\x16\x4F\x2F", ".vec"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"},
      {std::string("GGUF\x03\0\0\0", 8), "byte 6 is zero"},
      {std::string("abc\0", 4), "byte 4 is zero"},
      {gzip("a"), "compressed twice"},
      {zstd("a"), "compressed twice"},
      {xz("a"), "compressed twice"}};
  for (const auto& [first, names] : cases)
    EXPECT_THAT(refusal(first, Packing::kXz),
                ::testing::AllOf(HasSubstr("f.txt: "), HasSubstr(names)));
}

}  // namespace
}  // namespace fathom::text_kind_test
