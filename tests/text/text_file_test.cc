// SPDX-License-Identifier: Apache-2.0
#include "text/text_file.h"

#include "text/fixtures.h"

namespace fathom {
namespace {

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
}

TEST(ReadTextFile, PlainAndPacked) {
  const ScratchFolder folder;
  const std::string text("a\0b\r\n\xFF", 6);
  EXPECT_EQ(read_text_file(folder.write("plain.txt", text)), text);
  folder.write("packed.txt.xz", xz(text));
  EXPECT_EQ(read_text_file(folder / "packed.txt"), text) << "NAME finds NAME.xz";
  EXPECT_EQ(read_text_file(folder / "packed.txt.xz"), text);
  EXPECT_EQ(read_text_file(folder.write("empty.txt", "")), "");
  EXPECT_EQ(read_text_file(folder.write("empty.xz", xz(""))), "");
}

TEST(ReadTextFile, TellsXzByItsMagicNotItsName) {
  const ScratchFolder folder;
  EXPECT_EQ(read_text_file(folder.write("misnamed.txt", xz("text"))), "text");
  EXPECT_EQ(read_text_file(folder.write("plain.xz", "text")), "text");
}

TEST(ReadTextFile, LargerThanOneChunkAndSeveralStreams) {
  const ScratchFolder folder;
  std::string text;
  for (int i = 0; text.size() < (3u << 20); ++i) text += std::to_string(i) + "\n";
  EXPECT_EQ(read_text_file(folder.write("large.xz", xz(text))), text);
  EXPECT_EQ(read_text_file(folder.write("two.xz", xz("one, ") + xz("two"))), "one, two");
}

// 80 MiB of one letter pack into some kilobytes: nothing that a text does.
TEST(ReadTextFile, RefusesFilesMadeToBurst) {
  const ScratchFolder folder;
  const std::string packed = xz(std::string(size_t{80} << 20, 'a'));
  EXPECT_LT(packed.size(), 100'000u);
  EXPECT_THAT(error_of([&] { read_text_file(folder.write("bomb.xz", packed)); }),
              ::testing::AllOf(HasSubstr("bomb.xz"), HasSubstr("expected text")));
}

TEST(ReadTextFile, RefusesDamagedFilesByName) {
  const ScratchFolder folder;
  const std::string packed = xz(std::string(10000, 'x') + "y");
  EXPECT_THAT(error_of([&] { read_text_file(folder / "absent.txt"); }), HasSubstr("absent.txt"));
  EXPECT_THAT(error_of([&] {
                read_text_file(folder.write("cut.xz", packed.substr(0, packed.size() / 2)));
              }),
              ::testing::AllOf(HasSubstr("cut.xz"), HasSubstr("truncated")));
  std::string flipped = packed;
  flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 0x40);
  EXPECT_THAT(error_of([&] { read_text_file(folder.write("flipped.xz", flipped)); }),
              ::testing::AllOf(HasSubstr("flipped.xz"), HasSubstr("damaged")));
  for (size_t size = 6; size < packed.size(); ++size)
    EXPECT_THROW(read_text_file(folder.write("cut.xz", packed.substr(0, size))), Error) << size;
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
}  // namespace fathom
