// SPDX-License-Identifier: Apache-2.0
// No file is both read and written, however it is spelled and whichever comes first.
#include "base/file_roles.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/error_of.h"
#include "base/mapped_file.h"
#include "formats/temp_folder.h"

namespace fathom::test::file_roles_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// A file, and paths that lead to it.
struct Spellings {
  explicit Spellings(const TempFolder& folder) : file(folder.write("in", "x")) {
    fs::create_directory(folder.file("sub"));
    fs::create_hard_link(file, folder.file("sub/hard"));
    fs::create_symlink("../in", folder.file("sub/soft"));
    fs::create_symlink("soft", folder.file("sub/chain"));
    fs::create_directory_symlink("..", folder.file("sub/up"));
    for (const char* name :
         {"in", "./in", "sub/../in", "sub/hard", "sub/soft", "sub/chain", "sub/up/in"})
      all.push_back(folder.path() / name);
  }
  fs::path file;
  std::vector<fs::path> all;
};

TEST(FileRoles, AnInputIsNoOutput) {
  const TempFolder folder;
  const Spellings spellings(folder);
  const MappedFile input(spellings.file);
  for (const fs::path& path : spellings.all) {
    EXPECT_THAT(error_of([&] { OutputClaim{path}; }),
                HasSubstr(concat(path.string(), ": is an input of this command")));
    EXPECT_THROW(OutputClaim{path}, UsageError);
  }
  const OutputClaim other(folder.file("sub/in"));
  EXPECT_NO_THROW(other.check());
}

TEST(FileRoles, AnOutputIsNoInput) {
  const TempFolder first;
  const size_t n_spelling = Spellings(first).all.size();
  for (size_t i = 0; i < n_spelling; ++i) {
    const TempFolder folder;  // what was an input stays one
    const Spellings spellings(folder);
    const fs::path path = spellings.all[i];
    {
      const OutputClaim output(path);
      EXPECT_THROW(MappedFile{spellings.file}, UsageError) << path;
      EXPECT_THROW(MappedFile{folder.file("sub/hard")}, UsageError) << path;
      EXPECT_THROW(output.check(), UsageError) << "also if somebody passed over the error";
      MappedFile(folder.write("another", "x"));
    }
    EXPECT_EQ(MappedFile(spellings.file).text(), "x") << "claims end";
  }
}

TEST(FileRoles, TwoOutputsAreTwoFiles) {
  const TempFolder folder;
  const Spellings spellings(folder);
  const OutputClaim output(spellings.file);
  for (const fs::path& path : spellings.all) EXPECT_THROW(OutputClaim{path}, UsageError) << path;
  // Neither is there yet.
  const OutputClaim fresh(folder.file("new"));
  fs::create_symlink("../new", folder.file("sub/dangling"));
  for (const char* name : {"new", "sub/../new", "sub/up/new", "sub/dangling"})
    EXPECT_THAT(error_of([&] { OutputClaim{folder.path() / name}; }), HasSubstr("two outputs"));
  const OutputClaim newer(folder.file("newer")), elsewhere(folder.file("sub/new"));
  // Nor are their folders.
  const OutputClaim deep(folder.file("x/a/out")), deeper(folder.file("x/b/out"));
  EXPECT_THAT(error_of([&] { OutputClaim{folder.path() / "x/b/../a/out"}; }),
              HasSubstr("two outputs"));
}

TEST(FileRoles, InputsOfTheCommandBeforeMayBeWritten) {
  const TempFolder folder;
  const fs::path in = folder.write("in", "x");
  MappedFile{in};
  {
    const OutputClaim running(folder.file("out"));
    forget_inputs();
    EXPECT_THROW(OutputClaim{in}, UsageError);
  }
  forget_inputs();
  EXPECT_NO_THROW(OutputClaim{in});
}

TEST(FileRoles, AnInputThatIsGoneHoldsNothing) {
  const TempFolder folder;
  for (int i = 0; i < 50; ++i) {  // numbers of inodes are given again
    const fs::path in = folder.write(concat("in", i), "x");
    MappedFile{in};
    fs::remove(in);
    const fs::path out = folder.write(concat("out", i), "x");
    const OutputClaim claim(out);
  }
}

}  // namespace
}  // namespace fathom::test::file_roles_test
