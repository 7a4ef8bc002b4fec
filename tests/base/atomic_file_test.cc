// SPDX-License-Identifier: Apache-2.0
// Outputs appear whole or not at all, where they are meant to be, with the permissions they had.
#include "base/atomic_file.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "base/disk.h"
#include "base/error.h"
#include "base/error_of.h"
#include "base/tiny_disk.h"
#include "formats/temp_folder.h"

namespace fathom::test::atomic_file_test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

mode_t mode_of(const fs::path& path) {
  struct ::stat info {};
  EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

// The message of the Error that f throws, "" if none.
template <class F>
std::string error_if_any(const F& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// Files of this process may have `n` bytes; more is an error of the write, not a signal.
class SizeLimit {
 public:
  explicit SizeLimit(rlim_t n) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit less { n, before_.rlim_max };
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &less), 0);
  }
  ~SizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  struct rlimit before_ {};
  sighandler_t handler_;
};

TEST(AtomicFile, AppearsAtCommitAlone) {
  const TempFolder folder;
  const fs::path path = folder.file("out");
  {
    AtomicFile file(path);
    file.stream() << "half";
    EXPECT_FALSE(fs::exists(path));
    EXPECT_EQ(folder.n_file(), 1u);
  }
  EXPECT_EQ(folder.n_file(), 0u) << "nothing is left without commit()";
  write_file(path, "whole");
  EXPECT_EQ(read_whole(path), "whole");
  EXPECT_EQ(folder.n_file(), 1u);
}

// Two writers of one file, as threads or as containers with one process number each.
TEST(AtomicFile, WritersDoNotMeet) {
  const TempFolder folder;
  const fs::path path = folder.file("out");
  AtomicFile first(path), second(path);
  first.stream() << "first";
  second.stream() << "the second";
  second.sync();
  second.commit();
  first.commit();
  EXPECT_EQ(read_whole(path), "first") << "the last one wins";
  EXPECT_EQ(folder.n_file(), 1u);
}

TEST(AtomicFile, RefusesFoldersSpecialFilesAndMissingPlaces) {
  const TempFolder folder;
  const fs::path pipe = folder.file("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  fs::create_symlink(pipe, folder.file("to-pipe"));
  fs::create_symlink("round", folder.file("round"));
  for (const fs::path& path :
       {folder.path(), pipe, folder.file("none/out"), folder.file("to-pipe"), folder.file("round")})
    EXPECT_THAT(error_of([&] { AtomicFile{path}; }), HasSubstr(path.string()));
  EXPECT_TRUE(fs::is_fifo(pipe));
  EXPECT_EQ(folder.n_file(), 3u);
}

TEST(AtomicFile, ALinkStaysAndItsTargetIsReplaced) {
  const TempFolder folder;
  fs::create_directories(folder.file("data/deep"));
  write_file(folder.file("data/old"), "old");
  fs::create_symlink("data/old", folder.file("relative"));
  fs::create_symlink(folder.file("relative"), folder.file("chain"));
  fs::create_symlink("data/deep/new", folder.file("dangling"));
  fs::create_directory_symlink("data", folder.file("d"));
  write_file(folder.file("chain"), "1");
  EXPECT_EQ(read_whole(folder.file("data/old")), "1");
  write_file(folder.file("relative"), "2");
  EXPECT_EQ(read_whole(folder.file("data/old")), "2");
  write_file(folder.file("dangling"), "3");
  EXPECT_EQ(read_whole(folder.file("data/deep/new")), "3");
  write_file(folder.file("d/old"), "4");
  EXPECT_EQ(read_whole(folder.file("data/old")), "4");
  for (const char* link : {"relative", "chain", "dangling", "d"})
    EXPECT_TRUE(fs::is_symlink(folder.file(link))) << link;
  EXPECT_EQ(folder.n_file(), 5u) << "four links and a folder";
}

TEST(AtomicFile, PermissionsAndOwnerStay) {
  const TempFolder folder;
  const fs::path path = folder.file("out"), fresh = folder.file("fresh");
  write_file(path, "old");
  for (mode_t mode : {0600, 0640, 0444, 0755, 0666}) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    {
      AtomicFile file(path);
      for (const auto& entry : fs::directory_iterator(folder.path()))
        EXPECT_EQ(mode_of(entry.path()), mode) << "nobody else reads what is half written";
      file.stream() << mode;
      file.commit();
    }
    EXPECT_EQ(mode_of(path), mode);
    EXPECT_EQ(read_whole(path), std::to_string(mode));
  }
  const mode_t mask = ::umask(027);
  write_file(fresh, "new");
  ::umask(mask);
  EXPECT_EQ(mode_of(fresh), 0640u);
  if (::geteuid() != 0) return;  // only root gives files away
  ASSERT_EQ(::chown(path.c_str(), 12345, 54321), 0);
  write_file(path, "again");
  struct ::stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 12345u);
  EXPECT_EQ(info.st_gid, 54321u);
  EXPECT_EQ(mode_of(path), 0666u);
}

TEST(AtomicFile, PiecesComeToTheirPlaces) {
  const TempFolder folder;
  const std::string large(300'000, 'x');
  {
    AtomicFile file(folder.file("a"));
    file.stream() << "head";
    EXPECT_EQ(file.stream().tellp(), 4);
    file.stream() << large << "|";
    EXPECT_EQ(file.stream().tellp(), 300'005);
    file.write_at(300'010, std::as_bytes(std::span("tail", 4)));
    file.write_at(300'005, std::as_bytes(std::span("-gap-", 5)));
    file.commit();
  }
  EXPECT_EQ(read_whole(folder.file("a")), "head" + large + "|-gap-tail");
  // Byte by byte, over the ends of buffers.
  std::string want;
  {
    AtomicFile file(folder.file("b"));
    for (size_t i = 0; i < 400'000; ++i) {
      want += static_cast<char>('a' + i % 23);
      file.stream().put(want.back());
    }
    EXPECT_EQ(file.stream().tellp(), 400'000);
    file.commit();
  }
  EXPECT_EQ(read_whole(folder.file("b")), want);
}

TEST(AtomicFile, ReservedRoomThatIsNotUsedIsGivenBack) {
  const TempFolder folder;
  AtomicFile file(folder.file("a"));
  file.reserve(1 << 20);
  file.stream() << "few";
  file.commit();
  EXPECT_EQ(read_whole(folder.file("a")), "few");
}

// Without writing anything: a petabyte fits nowhere.
TEST(AtomicFile, ADiskThatIsTooSmallIsToldBeforeTheWork) {
  const TempFolder folder;
  AtomicFile file(folder.file("large.npy"));
  const std::string error = error_if_any([&] { file.reserve(uint64_t{1} << 50); });
  if (error.empty()) GTEST_SKIP() << "this file system promises nothing";
  EXPECT_THAT(error, HasSubstr("large.npy: cannot write: "));
  EXPECT_THAT(error, HasSubstr("the file needs 1125899.91 GB"));
}

TEST(AtomicFile, AFullDiskIsToldByTheWriteThatMeetsIt) {
  const TinyDisk disk("256k");
  if (!disk.is_mounted()) GTEST_SKIP() << "may not mount a file system";
  const std::string piece(1000, 'x');
  {
    AtomicFile file(disk.path() / "a");
    size_t n_written = 0;
    const std::string error = error_of([&] {
      for (; n_written < 10'000; ++n_written) file.stream() << piece;
    });
    EXPECT_THAT(error, HasSubstr("a: cannot write: No space left on device; the file needs "));
    EXPECT_THAT(error, HasSubstr("are free there"));
    EXPECT_LT(n_written, 1000u) << "not at the end";
    EXPECT_EQ(error_of([&] { file.commit(); }), error) << "the first error is the one that counts";
  }
  {
    AtomicFile file(disk.path() / "b");
    EXPECT_THAT(error_of([&] { file.reserve(300'000); }),
                ::testing::AllOf(
                    HasSubstr("b: cannot write: No space left on device; the file needs 300000 "
                              "bytes, "),
                    HasSubstr(" bytes are free there")));
  }
  EXPECT_THAT(error_of([&] { write_file(disk.path() / "c", std::string(300'000, 'x')); }),
              HasSubstr("c: cannot write: No space left on device"));
  EXPECT_TRUE(disk.is_empty());
  write_file(disk.path() / "d", std::string(200'000, 'x'));
  EXPECT_EQ(fs::file_size(disk.path() / "d"), 200'000u);
}

TEST(AtomicFile, ALimitOnFileSizesIsToldWithTheLimit) {
  const TempFolder folder;
  std::string streamed, placed, reserved;
  {
    const SizeLimit limit(4096);
    AtomicFile a(folder.file("a")), b(folder.file("b")), c(folder.file("c"));
    streamed = error_of([&] {
      for (int i = 0; i < 1000; ++i) a.stream() << std::string(1000, 'x');
    });
    placed = error_of([&] { b.write_at(4090, std::as_bytes(std::span("0123456789", 10))); });
    reserved = error_if_any([&] { c.reserve(5000); });
  }
  for (const std::string& error : {streamed, placed}) {
    EXPECT_THAT(error, HasSubstr("cannot write: File too large; the file needs"));
    EXPECT_THAT(error, HasSubstr("4096 bytes are allowed (ulimit -f)"));
  }
  if (!reserved.empty()) {  // a file system that promises room
    EXPECT_THAT(reserved, HasSubstr("the file needs 5000 bytes"));
  }
  EXPECT_EQ(folder.n_file(), 0u);
}

}  // namespace
}  // namespace fathom::test::atomic_file_test
