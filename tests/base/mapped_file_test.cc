// SPDX-License-Identifier: Apache-2.0
// Mapped files whose contents change or go away under way.
#include "base/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/atomic_file.h"
#include "base/error_of.h"

namespace fathom::test::mapped_file_test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class MappedFiles : public testing::Test {
 protected:
  MappedFiles() { fs::create_directories(folder_); }
  ~MappedFiles() override { fs::remove_all(folder_); }
  fs::path write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  // As an editor or a download leaves it: later than it was.
  static void touch(const fs::path& path) {
    fs::last_write_time(path, fs::last_write_time(path) + std::chrono::seconds(2));
  }

  fs::path folder_ =
      fs::temp_directory_path() / ("fathom_mapped_" + std::to_string(::getpid()) + "_" +
                                   testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(MappedFiles, UnchangedFilesAreFine) {
  const fs::path path = write("a", "weights");
  const MappedFile file(path), same(path), empty(write("empty", ""));
  EXPECT_EQ(file.text(), "weights");
  EXPECT_EQ(empty.text(), "");
  EXPECT_NO_THROW(require_unchanged_files());
}

TEST_F(MappedFiles, AFileThatWasWrittenToIsNamed) {
  const fs::path a = write("a", "weights"), b = write("b", "others");
  const MappedFile first(a);
  {
    MappedFile second(b);
    write("b", "shorter or longer");
    EXPECT_THAT(error_of([] { require_unchanged_files(); }),
                HasSubstr(b.string() + ": was written to while it was in use"));
    const MappedFile moved = std::move(second);
    EXPECT_THAT(error_of([] { require_unchanged_files(); }), HasSubstr(b.string()));
  }
  EXPECT_NO_THROW(require_unchanged_files()) << "it is not in use any more";
  touch(a);  // the same size
  EXPECT_THAT(error_of([] { require_unchanged_files(); }), HasSubstr(a.string()));
}

TEST_F(MappedFiles, AFileThatWasReplacedIsStillTheOldOne) {
  const fs::path path = write("a", "weights");
  const MappedFile file(path);
  fs::rename(write("new", "something else"), path);
  EXPECT_NO_THROW(require_unchanged_files());
  EXPECT_EQ(file.text(), "weights");
  fs::remove(path);
  EXPECT_NO_THROW(require_unchanged_files());
}

TEST_F(MappedFiles, NothingIsKeptOfARunWhoseInputChanged) {
  const fs::path path = write("model", "weights"), result = folder_ / "result";
  const MappedFile file(path);
  touch(path);
  EXPECT_THAT(error_of([&] { write_file(result, "vectors"); }), HasSubstr(path.string()));
  EXPECT_FALSE(fs::exists(result));
}

TEST_F(MappedFiles, ALostPageEndsTheProcessWithTheNameOfItsFile) {
  const fs::path other = write("other", std::string(20000, 'y'));
  const fs::path path = write("model", std::string(3 * 4096, 'x'));
  const auto read_lost_page = [&] {
    report_lost_pages([] { (void)!::write(STDERR_FILENO, "cleaned up\n", 11); });
    const MappedFile first(other), file(path);
    fs::resize_file(path, 10);
    volatile char last = file.text()[2 * 4096 + 1];
    ::_exit(last == 'x' ? 3 : 4);
  };
  EXPECT_EXIT(read_lost_page(), testing::ExitedWithCode(1),
              "^fathom: " + path.string() + ": cannot be read any more.*\ncleaned up\n$");
}

TEST_F(MappedFiles, AnotherBusErrorIsNotOurs) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers have a handler of their own";
#endif
  const auto raise_it = [&] {
    report_lost_pages(nullptr);
    const MappedFile file(write("a", "weights"));
    ::raise(SIGBUS);
    ::raise(SIGBUS);
  };
  EXPECT_EXIT(raise_it(), testing::KilledBySignal(SIGBUS), "^$");
}

}  // namespace
}  // namespace fathom::test::mapped_file_test
