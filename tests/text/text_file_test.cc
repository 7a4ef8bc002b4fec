// SPDX-License-Identifier: Apache-2.0
#include "text/text_file.h"

#include <sys/stat.h>

#include <thread>
#include <utility>
#include <vector>

#include "text/fixtures.h"

namespace fathom::text_file_test {
namespace {

constexpr std::pair<const char*, std::string (*)(std::string_view)> kPackers[] = {
    {".xz", xz}, {".gz", gzip}, {".zst", zstd}};

// More than one part of any reader.
std::string many_lines() {
  std::string text;
  for (int i = 0; text.size() < (3u << 20); ++i) text += std::to_string(i) + "\n";
  return text;
}

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(FindTextFile, PrefersThePlainFile) {
  const ScratchFolder folder;
  EXPECT_EQ(find_text_file(folder / "a.tsv"), std::nullopt);
  folder.write("a.tsv.xz", xz("packed"));
  EXPECT_EQ(find_text_file(folder / "a.tsv"), folder / "a.tsv.xz");
  folder.write("a.tsv", "plain");
  EXPECT_EQ(find_text_file(folder / "a.tsv"), folder / "a.tsv");
  std::filesystem::create_directory(folder / "b");
  EXPECT_EQ(find_text_file(folder / "b"), std::nullopt) << "a folder is not a text file";
  for (const char* ending : {".zst", ".gz", ".xz"}) {
    folder.write(std::string("c.txt") + ending, "");
    EXPECT_EQ(find_text_file(folder / "c.txt"), folder / (std::string("c.txt") + ending));
  }
}

TEST(FindTextFile, TakesPipes) {
  const ScratchFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  folder.write("pipe.xz", xz("another"));
  EXPECT_EQ(find_text_file(folder / "pipe"), folder / "pipe");
}

TEST(NamesJsonLines, ByTheEndingInAnyCaseThroughAnyCompression) {
  for (const char* name : {"a.jsonl", "a.JSONL", "a.ndjson", "a.json", "a.Json", "b/a.jsonl.xz",
                           "a.jsonl.gz", "a.NDJSON.ZST", ".jsonl"})
    EXPECT_EQ(format_of_name(name), TextFormat::kJsonLines) << name;
  for (const char* name :
       {"a.txt", "jsonl", "a.jsonl.txt", "a.jsonl.bz2", "a.jsonl.gz.xz", "-", "", "a.jsonl/b"})
    EXPECT_NE(format_of_name(name), TextFormat::kJsonLines) << name;
}

TEST(ReadTextFile, PlainAndPacked) {
  const ScratchFolder folder;
  const std::string text =
      "a\x01"
      "b\r\n\xFF";
  EXPECT_EQ(read_text_file(folder.write("plain.txt", text)), text);
  EXPECT_EQ(read_text_file(folder.write("empty.txt", "")), "");
  for (const auto& [ending, pack] : kPackers) {
    const std::string name = concat("packed", ending + 1, ".txt");
    folder.write(name + ending, pack(text));
    EXPECT_EQ(read_text_file(folder / name), text) << "NAME finds NAME" << ending;
    EXPECT_EQ(read_text_file(folder / (name + ending)), text);
    EXPECT_EQ(read_text_file(folder.write(concat("empty", ending), pack(""))), "");
  }
}

TEST(ReadTextFile, LeavesOutTheByteOrderMark) {
  const ScratchFolder folder;
  const std::string text = "\xEF\xBB\xBF{\"a\": 1}";
  EXPECT_EQ(read_text_file(folder.write("plain.json", text)), "{\"a\": 1}");
  EXPECT_EQ(read_text_file(folder.write("mark.txt", "\xEF\xBB\xBF")), "");
  for (const auto& [ending, pack] : kPackers)
    EXPECT_EQ(read_text_file(folder.write(concat("a", ending), pack(text))), "{\"a\": 1}");
}

// A pipe gives its bytes a little at a time, and its size is not known.
TEST(ReadTextFile, FromAPipe) {
  const ScratchFolder folder;
  const std::string path = folder / "pipe", text = many_lines();
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::vector<std::string> contents = {text, "short", ""};
  for (const auto& [ending, pack] : kPackers) contents.push_back(pack(text));
  for (const std::string& content : contents) {
    std::thread writer([&] { std::ofstream(path, std::ios::binary) << content; });
    const TextFile file(path);
    writer.join();
    EXPECT_FALSE(file.is_mapped());
    EXPECT_EQ(file.text(), content.size() > 5 ? std::string_view(text) : content);
  }
}

TEST(ReadTextFile, RefusesFoldersAndWhatIsNoTextByName) {
  const ScratchFolder folder;
  std::filesystem::create_directory(folder / "folder");
  EXPECT_THAT(error_of([&] { read_text_file(folder / "folder"); }),
              ::testing::AllOf(HasSubstr("/folder: a folder"), HasSubstr("expected a file")));
  const std::string utf16(
      "\xFF\xFE"
      "a\0",
      4);
  EXPECT_THAT(
      error_of([&] { read_text_file(folder.write("a.txt", utf16)); }),
      ::testing::EndsWith("iconv -f UTF-16 -t UTF-8 " + (folder / "a.txt").string() + " > OUT"));
  for (const auto& [ending, pack] : kPackers)
    EXPECT_THAT(error_of([&] { read_text_file(folder.write(concat("a", ending), pack(utf16))); }),
                ::testing::AllOf(HasSubstr("UTF-16"), HasSubstr(concat("a", ending, " | iconv"))));
}

TEST(ReadTextFile, TellsCompressionByItsMagicNotItsName) {
  const ScratchFolder folder;
  for (const auto& [ending, pack] : kPackers) {
    EXPECT_EQ(read_text_file(folder.write("misnamed.txt", pack("text"))), "text");
    EXPECT_EQ(read_text_file(folder.write(concat("plain", ending), "text")), "text");
  }
}

// 80 MiB of one letter pack into some kilobytes: nothing that a text does.
TEST(ReadTextFile, RefusesFilesMadeToBurst) {
  const ScratchFolder folder;
  const std::string text(size_t{80} << 20, 'a');
  for (const auto& [ending, pack] : kPackers) {
    const std::string name = concat("bomb", ending), packed = pack(text);
    EXPECT_LT(packed.size(), 100'000u);
    EXPECT_THAT(error_of([&] { read_text_file(folder.write(name, packed)); }),
                ::testing::AllOf(HasSubstr(name), HasSubstr("expected text")));
  }
}

TEST(ReadTextFile, RefusesDamagedFilesByName) {
  const ScratchFolder folder;
  EXPECT_THAT(error_of([&] { read_text_file(folder / "absent.txt"); }), HasSubstr("absent.txt"));
  for (const auto& [ending, pack] : kPackers) {
    const std::string packed = pack(std::string(10000, 'x') + "y" + many_lines().substr(0, 5000)),
                      name = concat("cut", ending);
    EXPECT_THAT(
        error_of([&] { read_text_file(folder.write(name, packed.substr(0, packed.size() / 2))); }),
        ::testing::AllOf(HasSubstr(name), HasSubstr("truncated")));
    std::string flipped = packed;
    flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 0x40);
    if (ending == std::string(".zst")) continue;  // without a checksum it may not be seen
    EXPECT_THAT(error_of([&] { read_text_file(folder.write(name, flipped)); }), HasSubstr(name));
  }
}

TEST(TextFile, ShowsTheSameBytesMappedOrNot) {
  const ScratchFolder folder;
  const TextFile plain(folder.write("plain.txt", "text"));
  EXPECT_TRUE(plain.is_mapped());
  EXPECT_EQ(plain.text(), "text");
  folder.write("packed.txt.xz", xz("text"));
  TextFile packed(folder / "packed.txt");
  EXPECT_FALSE(packed.is_mapped());
  const TextFile moved = std::move(packed);
  EXPECT_EQ(moved.text(), "text");
  EXPECT_EQ(moved.path(), folder / "packed.txt.xz");
}

TEST(SplitLines, EndsLinesAtLineFeedsOnly) {
  EXPECT_THAT(split_lines(""), IsEmpty());
  EXPECT_THAT(split_lines("\n"), ElementsAre(""));
  EXPECT_THAT(split_lines("a\nb\n"), ElementsAre("a", "b"));
  EXPECT_THAT(split_lines("a\nb"), ElementsAre("a", "b")) << "the last newline may be missing";
  EXPECT_THAT(split_lines("a\r\nb\r\n"), ElementsAre("a", "b"));
  EXPECT_THAT(split_lines("a\r\nb\r"), ElementsAre("a", "b"));
  EXPECT_THAT(split_lines("a\r\r\n\rb\n"), ElementsAre("a\r", "\rb")) << "one CR is taken off";
  EXPECT_THAT(split_lines("a\n\n"), ElementsAre("a", ""));
  EXPECT_THAT(split_lines("a\vb\fc\xC2\x85"
                          "d\xE2\x80\xA8"
                          "e\n"),
              ElementsAre("a\vb\fc\xC2\x85"
                          "d\xE2\x80\xA8"
                          "e"));
}

TEST(SplitLines, LeavesOutTheByteOrderMark) {
  EXPECT_THAT(split_lines("\xEF\xBB\xBFQuality\n\xEF\xBB\xBFx"),
              ElementsAre("Quality", "\xEF\xBB\xBFx"));
  EXPECT_THAT(split_lines("\xEF\xBB\xBF"), IsEmpty());
}

TEST(SplitTabs, KeepsEmptyFieldsAndQuotes) {
  EXPECT_THAT(split_tabs(""), ElementsAre(""));
  EXPECT_THAT(split_tabs("a\t\t\"b"), ElementsAre("a", "", "\"b"));
  EXPECT_THAT(split_tabs("\t"), ElementsAre("", ""));
}

}  // namespace
}  // namespace fathom::text_file_test
