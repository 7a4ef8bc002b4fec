// SPDX-License-Identifier: Apache-2.0
#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file_roles.h"

namespace fathom {
namespace {

int64_t modified_ns(const struct stat& info) {
  return int64_t{1'000'000'000} * info.st_mtim.tv_sec + info.st_mtim.tv_nsec;
}

// What a signal handler can read without a lock: the address is set last and cleared first. More
// mappings than places are not told by name.
struct Place {
  std::atomic<const std::byte*> begin{nullptr};
  std::atomic<size_t> size{0};
  std::atomic<const char*> path{nullptr};
};
std::array<Place, 1024> g_places;

std::atomic<void (*)()> g_before_exit{nullptr};
struct sigaction g_old_action;

void say(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

// On SIGBUS: only what is safe in a signal handler.
void on_lost_page(int, siginfo_t* info, void*) {
  const auto* at = static_cast<const std::byte*>(info->si_addr);
  for (const Place& place : g_places) {
    const std::byte* begin = place.begin.load();
    if (!begin || at < begin || at >= begin + place.size.load()) continue;
    say("fathom: ");
    say(place.path.load());
    say(": cannot be read any more: the file became shorter, or its disk failed, while it was in "
        "use\n");
    if (const auto before_exit = g_before_exit.load()) before_exit();
    ::_exit(1);
  }
  ::sigaction(SIGBUS, &g_old_action, nullptr);  // the access is tried again, and fails as it would
}

std::mutex g_mutex;  // of the list below
std::vector<const WatchedFile*>& watched_files() {
  static std::vector<const WatchedFile*> files;
  return files;
}

}  // namespace

// In the list of all of them as long as it lives.
class WatchedFile {
 public:
  std::string path;
  int fd = -1;
  size_t size = 0;
  int64_t modified_ns = 0;
  Place* place = nullptr;

  WatchedFile(std::string name, int file, const struct stat& info)
      : path(std::move(name)),
        fd(file),
        size(static_cast<size_t>(info.st_size)),
        modified_ns(fathom::modified_ns(info)) {
    const std::lock_guard lock(g_mutex);
    watched_files().push_back(this);
  }
  WatchedFile(const WatchedFile&) = delete;
  WatchedFile& operator=(const WatchedFile&) = delete;
  ~WatchedFile() {
    const std::lock_guard lock(g_mutex);
    if (place) place->begin = nullptr;
    std::erase(watched_files(), this);
    ::close(fd);
  }

  void mapped_at(const std::byte* begin) {
    const std::lock_guard lock(g_mutex);
    for (Place& p : g_places) {
      if (p.begin.load()) continue;
      p.size = size;
      p.path = path.c_str();
      p.begin = begin;
      place = &p;
      return;
    }
  }
  // The file behind the mapping, whatever has its name by now.
  bool is_unchanged() const {
    struct stat now {};
    return ::fstat(fd, &now) == 0 && static_cast<size_t>(now.st_size) == size &&
           fathom::modified_ns(now) == modified_ns;
  }
};

MappedFile::MappedFile(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  FATHOM_REQUIRE(fd >= 0, path.string(), ": cannot open: ", std::strerror(errno));
  struct stat info {};
  const bool known = ::fstat(fd, &info) == 0;
  if (!known || !S_ISREG(info.st_mode)) {
    ::close(fd);
    throw Error(concat(path.string(), ": expected a regular file"));
  }
  try {
    note_input(path, info);
  } catch (...) {
    ::close(fd);
    throw;
  }
  watched_ = std::make_unique<WatchedFile>(path.string(), fd, info);
  size_ = watched_->size;
  if (size_ == 0) return;
  void* p = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
  FATHOM_REQUIRE(p != MAP_FAILED, path.string(), ": cannot map: ", std::strerror(errno));
  data_ = static_cast<const std::byte*>(p);
  watched_->mapped_at(data_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      watched_(std::move(other.watched_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(watched_, other.watched_);
  return *this;
}

MappedFile::~MappedFile() {
  watched_.reset();  // nobody is told of pages that are gone on purpose
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

int64_t MappedFile::modified_ns() const { return watched_->modified_ns; }

void require_unchanged_files() {
  const std::lock_guard lock(g_mutex);
  for (const WatchedFile* file : watched_files())
    FATHOM_REQUIRE(
        file->is_unchanged(), file->path,
        ": was written to while it was in use; expected it to stay as it was. Nothing is "
        "kept of this run");
}

void report_lost_pages(void (*before_exit)()) {
  g_before_exit = before_exit;
  struct sigaction action {};
  action.sa_sigaction = on_lost_page;
  action.sa_flags = SA_SIGINFO;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, &g_old_action);
}

void drop_pages(std::span<const std::byte> bytes) {
  const uintptr_t page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t first = reinterpret_cast<uintptr_t>(bytes.data());
  const uintptr_t begin = (first + page - 1) / page * page;
  const uintptr_t end = (first + bytes.size()) / page * page;
  if (begin >= end) return;
  std::byte* whole = const_cast<std::byte*>(bytes.data()) + (begin - first);
  // Advice only: if it fails, memory stays higher and nothing else changes.
  ::madvise(whole, end - begin, MADV_DONTNEED);
}

}  // namespace fathom
