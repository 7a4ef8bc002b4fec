// SPDX-License-Identifier: Apache-2.0
#include "formats/zip.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "formats/build_files.h"

namespace fathom::zip_test {
namespace {

using test::bytes_of;
using test::refusal;
using test::u16;
using test::u32;
using test::u64;
using test::zip;
using test::ZipPart;
using testing::HasSubstr;

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string content(const std::string& file, std::string_view name) {
  const ZipDirectory directory(bytes_of(file));
  const ZipEntry* entry = directory.find(name);
  FATHOM_REQUIRE(entry, "no entry ", name);
  return text_of(directory.bytes(*entry));
}

TEST(Crc32, HasTheKnownCheckValue) {
  EXPECT_EQ(crc32(bytes_of("123456789")), 0xcbf43926u);
  EXPECT_EQ(crc32({}), 0u);
}

TEST(Zip, FindsEntries) {
  const std::string file = zip({{"m/b", "second"}, {"m/a", "first"}, {"m/empty", ""}});
  EXPECT_EQ(content(file, "m/a"), "first");
  EXPECT_EQ(content(file, "m/b"), "second");
  EXPECT_EQ(content(file, "m/empty"), "");
  EXPECT_EQ(ZipDirectory(bytes_of(file)).find("m/c"), nullptr);
}

TEST(Zip, ReadsZip64AndComments) {
  const std::vector<ZipPart> parts = {
      {"a", "first", 0, 0, true}, {"b", "second", 0, 0, true}, {"c", "third"}};
  for (bool end64 : {false, true}) {
    const std::string file = zip(parts, end64);
    EXPECT_EQ(content(file, "a"), "first");
    EXPECT_EQ(content(file, "b"), "second");
    EXPECT_EQ(content(file, "c"), "third");
  }
  std::string commented = zip(parts);
  commented.replace(commented.size() - 2, 2, u16(8) + "PK\x05\x06 end");
  EXPECT_EQ(content(commented, "b"), "second");
}

TEST(Zip, RefusesDamagedDirectories) {
  const std::string good = zip({{"a", "first"}, {"b", "second"}});
  const std::string good64 = zip({{"a", "first"}}, true);
  const auto patched = [](std::string file, size_t at, const std::string& bytes) {
    return file.replace(at, bytes.size(), bytes);
  };
  const size_t end = good.size() - 22, end64 = good64.size() - 22;
  const auto opened = [](const std::string& file) { ZipDirectory directory(bytes_of(file)); };
  const std::vector<test::BadFile> bad = {
      {"empty", "", "its directory, at the end of the file, is missing"},
      {"cut", good.substr(0, good.size() - 1), "is missing"},
      {"two disks", patched(good, end + 4, u16(1)), "several disks"},
      {"directory beyond the file", patched(good, end + 16, u32(1 << 20)), "truncated"},
      {"directory longer than the file", patched(good, end + 12, u32(1 << 20)), "truncated"},
      {"more entries than there are", patched(good, end + 8, u16(3) + u16(3)), "truncated"},
      {"not a directory", patched(good, end + 16, u32(1)), "the directory is damaged"},
      {"no ZIP64 locator", patched(good, end + 10, u16(0xffff)), "the ZIP64 locator is missing"},
      {"ZIP64 record beyond the file", patched(good64, end64 - 12, u64(1 << 20)), "truncated"},
      {"ZIP64 record elsewhere", patched(good64, end64 - 12, u64(1)), "ZIP64 directory is missing"},
      {"ZIP64 with absurd count",
       patched(good64, end64 - 20 - 56 + 24, u64(1ull << 60) + u64(1ull << 60)), "at most 65536"},
      {"one name twice", zip({{"a", "1"}, {"a", "2"}}), "two entries are named 'a'"}};
  for (const test::BadFile& b : bad) {
    SCOPED_TRACE(b.why);
    EXPECT_THAT(refusal([&] { opened(b.file); }), HasSubstr(b.message));
  }
}

TEST(Zip, RefusesEntriesThatCannotBeViewed) {
  EXPECT_THAT(refusal([] {
                content(zip({{"a", "x", 8}}), "a");
              }),
              HasSubstr("a: the entry is compressed (method 8)"));
  EXPECT_THAT(refusal([] { content(zip({{"a", "x", 0, 1}}), "a"); }), HasSubstr("encrypted"));
  const std::string good = zip({{"a", "first"}});
  const size_t directory = good.find("PK\x01\x02");
  const auto patched = [&](size_t at, const std::string& bytes) {
    return std::string(good).replace(at, bytes.size(), bytes);
  };
  EXPECT_THAT(refusal([&] { content(patched(directory + 42, u32(1 << 20)), "a"); }),
              HasSubstr("truncated"));
  EXPECT_THAT(refusal([&] { content(patched(directory + 42, u32(2)), "a"); }),
              HasSubstr("the entry's header is damaged"));
  EXPECT_THAT(refusal([&] { content(patched(30, "z"), "a"); }), HasSubstr("header is damaged"));
  EXPECT_THAT(refusal([&] { content(patched(directory + 20, u32(4)), "a"); }),
              HasSubstr("two different sizes"));
  EXPECT_THAT(refusal([&] { content(patched(directory + 20, u32(1 << 20) + u32(1 << 20)), "a"); }),
              HasSubstr("truncated"));
}

}  // namespace
}  // namespace fathom::zip_test
