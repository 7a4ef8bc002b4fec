// SPDX-License-Identifier: Apache-2.0
#include "base/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <streambuf>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/disk.h"
#include "base/error.h"
#include "base/file_roles.h"
#include "base/mapped_file.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

// An empty file of a name that no other writer has: process numbers alone are not unique where
// containers share a folder, nor where threads of one process write the same file.
int make_beside(const fs::path& path, const fs::path& target, mode_t mode, fs::path& temporary) {
  for (size_t i = 0;; ++i) {
    temporary = target;
    temporary += concat(".tmp.", ::getpid(), ".", i);
    const int descriptor = ::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (descriptor >= 0) return descriptor;
    if (errno != EEXIST || i >= 1000) throw_cannot_write(path, errno);
  }
}

int open_kept(const fs::path& path, const fs::path& temporary) {
  const int descriptor = ::open(temporary.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0) throw_cannot_write(path, errno);
  return descriptor;
}

// As far as this process may: a group that cannot be kept must not read what others could not.
void keep_permissions(int descriptor, const struct ::stat& old) {
  struct ::stat own {};
  if (::fstat(descriptor, &own) != 0) return;
  mode_t mode = old.st_mode & 07777;
  if (own.st_uid != old.st_uid || own.st_gid != old.st_gid) {
    const bool kept = ::fchown(descriptor, old.st_uid, old.st_gid) == 0;
    const bool kept_group = kept || ::fchown(descriptor, static_cast<uid_t>(-1), old.st_gid) == 0;
    if (!kept) mode &= 0777;
    if (!kept_group) mode &= ~mode_t{070} | ((mode & 07) << 3);
  }
  ::fchmod(descriptor, mode);
}

// In a folder like /tmp a rename over another user's file fails, which is told before the work.
void require_may_replace(const fs::path& path, const fs::path& target, const struct ::stat& old) {
  struct ::stat folder {};
  const fs::path parent = target.has_parent_path() ? target.parent_path() : ".";
  const uid_t self = ::geteuid();
  if (self == 0 || ::stat(parent.c_str(), &folder) != 0 || !(folder.st_mode & S_ISVTX)) return;
  FATHOM_REQUIRE(old.st_uid == self || folder.st_uid == self, path.string(),
                 ": cannot write: belongs to another user, and only owners replace files in ",
                 parent.string());
}

}  // namespace

// Owns the descriptor. A stream turns what is thrown here into its bad bit and, asked to, throws it
// again.
class AtomicFile::Buffer final : public std::streambuf {
 public:
  Buffer(int descriptor, const fs::path& path) : descriptor_(descriptor), path_(path) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() override {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  void reserve(uint64_t n_byte) {
    guarded([&] { fathom::reserve(descriptor_, n_byte, path_); });
    reserved_ = n_byte;
  }

  void go_on_at(uint64_t size) {
    guarded([&] { check(::ftruncate(descriptor_, static_cast<off_t>(size))); });
    at_ = end_ = size;
  }

  uint64_t size() const {
    struct ::stat info {};
    check(::fstat(descriptor_, &info));
    return static_cast<uint64_t>(info.st_size);
  }

  void put(std::span<const std::byte> bytes, uint64_t offset) {
    end_ = std::max(end_, offset + bytes.size());
    guarded(
        [&] { fathom::write_at(descriptor_, bytes, offset, path_, std::max(reserved_, end_)); });
  }

  void flush() {
    const size_t n = static_cast<size_t>(pptr() - pbase());
    setp(held_.data(), held_.data() + held_.size());
    put(std::as_bytes(std::span(held_.data(), n)), at_);
    at_ += n;
  }

  void sync_data() {
    flush();
    guarded([&] { check(::fdatasync(descriptor_)); });
  }

  void close() {
    flush();
    guarded([&] {
      if (reserved_ > end_) check(::ftruncate(descriptor_, static_cast<off_t>(end_)));
      if (::fsync(descriptor_) != 0 && errno != EINVAL && errno != ENOTSUP) check(-1);
      check(::close(std::exchange(descriptor_, -1)));
    });
  }
  bool is_open() const { return descriptor_ >= 0; }

 protected:
  int_type overflow(int_type c) override {
    if (held_.empty()) held_.resize(kBuffer);
    flush();
    if (!traits_type::eq_int_type(c, traits_type::eof())) {
      *pptr() = traits_type::to_char_type(c);
      pbump(1);
    }
    return traits_type::not_eof(c);
  }

  std::streamsize xsputn(const char* text, std::streamsize n) override {
    if (n >= static_cast<std::streamsize>(kBuffer)) {
      flush();
      put(std::as_bytes(std::span(text, static_cast<size_t>(n))), at_);
      at_ += static_cast<uint64_t>(n);
      return n;
    }
    if (n > epptr() - pptr()) {
      flush();
      if (held_.empty()) {
        held_.resize(kBuffer);
        setp(held_.data(), held_.data() + held_.size());
      }
    }
    std::copy_n(text, n, pptr());
    pbump(static_cast<int>(n));
    return n;
  }

  int sync() override {
    flush();
    return 0;
  }

  // tellp() alone.
  pos_type seekoff(off_type offset, std::ios_base::seekdir from, std::ios_base::openmode) override {
    if (offset != 0 || from != std::ios_base::cur) return pos_type(off_type(-1));
    return pos_type(static_cast<off_type>(at_) + (pptr() - pbase()));
  }

 private:
  static constexpr size_t kBuffer = size_t{1} << 17;

  void check(int result) const {
    if (result != 0) throw_cannot_write(path_, errno, std::max(reserved_, end_), descriptor_);
  }
  // The first error is the one that is told, whoever asks next.
  template <class F>
  void guarded(const F& f) {
    if (first_error_) std::rethrow_exception(first_error_);
    try {
      f();
    } catch (...) {
      first_error_ = std::current_exception();
      throw;
    }
  }

  int descriptor_;
  const fs::path& path_;
  std::vector<char> held_;
  uint64_t at_ = 0;   // where what is held begins
  uint64_t end_ = 0;  // of what was written
  uint64_t reserved_ = 0;
  std::exception_ptr first_error_;
};

AtomicFile::AtomicFile(std::filesystem::path path, Unfinished unfinished)
    : path_(std::move(path)), is_kept_(unfinished == Unfinished::kKept), out_(nullptr) {
  target_ = follow_links(path_);
  struct ::stat old {};
  const bool replaces = ::stat(target_.c_str(), &old) == 0;
  if (replaces) {
    FATHOM_REQUIRE(!S_ISDIR(old.st_mode), path_.string(), ": cannot write: is a directory");
    // A rename would put a file in the place of /dev/null.
    FATHOM_REQUIRE(S_ISREG(old.st_mode), path_.string(),
                   ": cannot write: expected a regular file or none");
    require_may_replace(path_, target_, old);
  }
  {
    const SignalHold hold;
    if (is_kept_) temporary_ = kept_name_of(path_);
    const int descriptor = is_kept_
                               ? open_kept(path_, temporary_)
                               : make_beside(path_, target_, replaces ? 0600 : 0666, temporary_);
    if (!is_kept_) entry_ = Temporary(temporary_, Temporary::Kind::kFile);
    buffer_ = std::make_unique<Buffer>(descriptor, path_);
    if (replaces) keep_permissions(descriptor, old);
  }
  out_.rdbuf(buffer_.get());
  out_.exceptions(std::ios::badbit);
}

AtomicFile::~AtomicFile() {
  out_.exceptions(std::ios::goodbit);
  out_.rdbuf(nullptr);
  buffer_.reset();
  if (!temporary_.empty() && !is_kept_) ::unlink(temporary_.c_str());
}

uint64_t AtomicFile::size() const { return buffer_->size(); }
void AtomicFile::go_on_at(uint64_t size) { buffer_->go_on_at(size); }

void AtomicFile::reserve(uint64_t n_byte) { buffer_->reserve(n_byte); }

void AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  buffer_->put(bytes, offset);
}

void AtomicFile::sync() { buffer_->sync_data(); }

void AtomicFile::finish() {
  if (!inputs_may_change_) require_unchanged_files();
  if (buffer_->is_open()) buffer_->close();
}

void AtomicFile::rename_into_place() {
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) throw_cannot_write(path_, errno);
  temporary_.clear();
  entry_.forget();
}

void AtomicFile::commit() {
  finish();
  {
    const SignalHold hold;
    rename_into_place();
  }
  sync_folder(target_.parent_path());
}

std::filesystem::path kept_name_of(const std::filesystem::path& path) {
  fs::path kept = follow_links(path);
  kept += ".part";
  return kept;
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.stream().write(text.data(), static_cast<std::streamsize>(text.size()));
  file.commit();
}

}  // namespace fathom
