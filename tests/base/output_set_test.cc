// SPDX-License-Identifier: Apache-2.0
// The outputs of a command: tried before the work, written all or none.
#include "base/output_set.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <iterator>
#include <string>

#include "base/error.h"
#include "base/error_of.h"
#include "formats/temp_folder.h"

namespace fathom::test::output_set_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

TEST(OutputSet, ExpectingLeavesNothingBehind) {
  const TempFolder folder;
  write_file(folder.file("old"), "old");
  {
    OutputSet outputs;
    outputs.expect(folder.file("a"));
    outputs.expect(folder.file("old"));
    outputs.expect_in(folder.file("r/s/"), {"x", "y"});
    EXPECT_EQ(folder.n_file(), 1u);
    EXPECT_THROW(outputs.expect(folder.file("./a")), UsageError);
    EXPECT_THROW(outputs.expect_in(folder.path(), {"a"}), UsageError);
  }
  EXPECT_EQ(read_whole(folder.file("old")), "old");
  EXPECT_EQ(folder.n_file(), 1u);
}

TEST(OutputSet, TellsPlacesThatCannotBeWritten) {
  const TempFolder folder;
  write_file(folder.file("file"), "");
  fs::create_directory(folder.file("folder"));
  OutputSet outputs;
  EXPECT_THAT(error_of([&] { outputs.expect(folder.file("none/a")); }), HasSubstr("none/a"));
  EXPECT_THAT(error_of([&] { outputs.expect(folder.file("folder")); }), HasSubstr("directory"));
  for (const char* in : {"file", "file/deeper"})
    EXPECT_THAT(error_of([&] { outputs.expect_in(folder.file(in), {"a"}); }),
                HasSubstr(concat(in, ": cannot make this folder: ")));
  EXPECT_THAT(error_of([&] { outputs.expect_in("/proc/none", {"a"}); }), HasSubstr("/proc/none"));
  EXPECT_EQ(folder.n_file(), 2u);
}

TEST(OutputSet, AppearsAtCommit) {
  const TempFolder folder;
  OutputSet outputs;
  outputs.expect_in(folder.file("r/s"), {"a", "b"});
  outputs.write(folder.file("r/s/a"), "A");
  EXPECT_FALSE(fs::exists(folder.file("r/s/a")));
  outputs.write(folder.file("r/s/b"), "B");
  outputs.write(folder.file("c"), "C");
  outputs.commit();
  EXPECT_EQ(read_whole(folder.file("r/s/a")), "A");
  EXPECT_EQ(read_whole(folder.file("r/s/b")), "B");
  EXPECT_EQ(read_whole(folder.file("c")), "C");
  // Again: a set may commit several times.
  outputs.write(folder.file("r/s/a"), "AA");
  outputs.commit();
  EXPECT_EQ(read_whole(folder.file("r/s/a")), "AA");
  EXPECT_EQ(folder.n_file(), 2u);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.file("r/s")), {}), 2);
}

TEST(OutputSet, WithoutCommitFilesAndFoldersGo) {
  const TempFolder folder;
  fs::create_directory(folder.file("mine"));
  {
    OutputSet outputs;
    outputs.expect_in(folder.file("r/s"), {"a"});
    outputs.expect_in(folder.file("mine"), {"a"});
    outputs.write(folder.file("r/s/a"), "A");
    outputs.write(folder.file("mine/a"), "A");
    EXPECT_TRUE(fs::exists(folder.file("r/s")));
  }
  EXPECT_EQ(folder.n_file(), 1u);
  EXPECT_TRUE(fs::is_empty(folder.file("mine"))) << "which was there before, and stays";
}

// The last of the files cannot get its name: those before it get theirs back.
TEST(OutputSet, AllOrNone) {
  const TempFolder folder;
  write_file(folder.file("old"), "old");
  struct ::stat before {
  }, after{};
  ASSERT_EQ(::stat(folder.file("old").c_str(), &before), 0);
  {
    OutputSet outputs;
    outputs.write(folder.file("old"), "new");
    outputs.write(folder.file("fresh"), "new");
    outputs.write(folder.file("last"), "new");
    fs::create_directory(folder.file("last"));
    EXPECT_THAT(error_of([&] { outputs.commit(); }), HasSubstr("last: cannot write"));
  }
  EXPECT_EQ(read_whole(folder.file("old")), "old");
  ASSERT_EQ(::stat(folder.file("old").c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino) << "the very file";
  EXPECT_FALSE(fs::exists(folder.file("fresh")));
  EXPECT_EQ(folder.n_file(), 2u) << "no temporary file";
}

TEST(OutputSet, AnInputNotedMeanwhileStopsTheCommit) {
  const TempFolder folder;
  write_file(folder.file("a"), "input");
  OutputSet outputs;
  outputs.expect(folder.file("a"));
  outputs.write(folder.file("a"), "output");
  EXPECT_THROW(note_input(folder.file("a")), UsageError);
  EXPECT_THROW(outputs.commit(), UsageError);
  EXPECT_EQ(read_whole(folder.file("a")), "input");
  // What may be both says so.
  OutputSet others;
  note_input(folder.write("b", "input"));
  others.replace(folder.file("b"), "output");
  others.commit();
  EXPECT_EQ(read_whole(folder.file("b")), "output");
}

}  // namespace
}  // namespace fathom::test::output_set_test
