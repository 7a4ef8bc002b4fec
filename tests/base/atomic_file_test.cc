// SPDX-License-Identifier: Apache-2.0
// Outputs appear whole or not at all.
#include "base/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "base/error.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

class AtomicFileTest : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  size_t n_file() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  fs::path folder_ = fs::temp_directory_path() / concat("fathom-atomic-", ::getpid());
};

TEST_F(AtomicFileTest, AppearsAtCommitAlone) {
  const fs::path path = folder_ / "out";
  {
    AtomicFile file(path);
    file.stream() << "half";
    EXPECT_FALSE(fs::exists(path));
  }
  EXPECT_EQ(n_file(), 0u) << "nothing is left without commit()";
  write_file(path, "whole");
  std::ifstream in(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "whole");
  EXPECT_EQ(n_file(), 1u);
}

// Two writers of one file, as threads or as containers with one process number each.
TEST_F(AtomicFileTest, WritersDoNotMeet) {
  const fs::path path = folder_ / "out";
  AtomicFile first(path), second(path);
  first.stream() << "first";
  second.stream() << "the second";
  second.sync();
  second.commit();
  first.commit();
  std::ifstream in(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "first") << "the last one wins";
  EXPECT_EQ(n_file(), 1u);
}

TEST_F(AtomicFileTest, RefusesFoldersSpecialFilesAndMissingPlaces) {
  const fs::path pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const fs::path& path : {folder_, pipe, folder_ / "none" / "out"})
    EXPECT_THROW(AtomicFile{path}, Error) << path;
  EXPECT_TRUE(fs::is_fifo(pipe));
  EXPECT_EQ(n_file(), 1u);
}

}  // namespace
}  // namespace fathom
