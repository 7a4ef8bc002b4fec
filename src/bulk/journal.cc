// SPDX-License-Identifier: Apache-2.0
#include "bulk/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "base/disk.h"
#include "base/error.h"
#include "base/file_id.h"
#include "base/hash.h"

namespace fathom {
namespace {

constexpr size_t kReadAtOnce = size_t{1} << 20;

OrderedJson to_json(const JournalBlock& block) {
  OrderedJson ranges = OrderedJson::array(), sums = OrderedJson::array();
  for (const std::vector<FileRange>& file : block.ranges) {
    OrderedJson list = OrderedJson::array();
    for (const FileRange& range : file) list.push_back({range.begin, range.size});
    ranges.push_back(std::move(list));
  }
  for (uint64_t sum : block.sums) sums.push_back(hex_of(sum));
  return {{"n_text", block.n_text}, {"ranges", ranges}, {"sums", sums}, {"state", block.state}};
}

// Only of lines whose own checksum is right.
JournalBlock block_of(const OrderedJson& j) {
  JournalBlock block{.n_text = j.at("n_text").get<size_t>(), .state = j.at("state")};
  for (const OrderedJson& file : j.at("ranges")) {
    std::vector<FileRange>& ranges = block.ranges.emplace_back();
    for (const OrderedJson& range : file)
      ranges.push_back({range.at(0).get<uint64_t>(), range.at(1).get<uint64_t>()});
  }
  for (const OrderedJson& sum : j.at("sums"))
    block.sums.push_back(std::stoull(sum.get<std::string>(), nullptr, 16));
  return block;
}

}  // namespace

FileReader::FileReader(std::filesystem::path path)
    : path_(std::move(path)), descriptor_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  FATHOM_REQUIRE(descriptor_ >= 0, path_.string(), ": cannot open: ", std::strerror(errno));
}

FileReader::~FileReader() { ::close(descriptor_); }

std::optional<uint64_t> FileReader::sum_of(const std::vector<FileRange>& ranges) const {
  Hasher hasher;
  std::vector<char> buffer;
  for (const FileRange& range : ranges)
    for (uint64_t at = 0; at < range.size;) {
      buffer.resize(std::min<uint64_t>(range.size - at, kReadAtOnce));
      if (read_at(descriptor_, buffer, range.begin + at, path_) < buffer.size())
        return std::nullopt;
      hasher.add(std::as_bytes(std::span(buffer)));
      at += buffer.size();
    }
  return hasher.value();
}

Journal::Journal(std::filesystem::path path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw_cannot_write(path_, errno);
  try {
    const int error = ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    // A file that lost its name meanwhile was another process's, which has ended with all done.
    struct ::stat here {};
    struct ::stat named {};
    const bool is_gone = ::fstat(descriptor_, &here) != 0 || ::stat(path_.c_str(), &named) != 0 ||
                         id_of(here) != id_of(named);
    FATHOM_REQUIRE(error != EWOULDBLOCK && !is_gone, path_.string(),
                   ": another process is at work on this job; expected it to have ended");
    read();
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

Journal::~Journal() {
  if (descriptor_ < 0) return;
  if (blocks_.empty()) ::unlink(path_.c_str());
  ::close(descriptor_);
}

void Journal::read() {
  struct ::stat info {};
  FATHOM_REQUIRE(::fstat(descriptor_, &info) == 0, path_.string(),
                 ": cannot read: ", std::strerror(errno));
  std::string text(static_cast<size_t>(info.st_size), '\0');
  text.resize(read_at(descriptor_, text, 0, path_));
  for (size_t begin = 0, end = 0; (end = text.find('\n', begin)) != text.npos; begin = end + 1) {
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    const size_t tab = line.find('\t');
    if (tab == line.npos || line.substr(tab + 1) != hash_text(line.substr(0, tab))) break;
    const OrderedJson j = parse_ordered_json(line.substr(0, tab), path_.string());
    if (!job_)
      job_ = j;
    else
      blocks_.push_back(block_of(j));
    ends_.push_back(end + 1);
  }
  size_ = ends_.empty() ? 0 : ends_.back();
}

void Journal::cut(uint64_t size) {
  if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) throw_cannot_write(path_, errno);
  size_ = size;
}

void Journal::begin(const OrderedJson& job) {
  cut(0);
  ends_.clear();
  blocks_.clear();
  append(job);
  job_ = job;
  // The name, too, has to outlive a loss of power.
  sync_folder(path_.parent_path());
}

void Journal::keep(size_t n) {
  FATHOM_ASSERT(n <= blocks_.size());
  blocks_.resize(n);
  ends_.resize(n + 1);
  cut(ends_.back());
}

void Journal::append(const OrderedJson& j) {
  const std::string text = dump_json(j), line = concat(text, "\t", hash_text(text), "\n");
  write_at(descriptor_, std::as_bytes(std::span(line)), size_, path_, 0);
  if (::fdatasync(descriptor_) != 0 && errno != EINVAL && errno != ENOTSUP)
    throw_cannot_write(path_, errno);
  size_ += line.size();
  ends_.push_back(size_);
}

void Journal::add(JournalBlock block) {
  append(to_json(block));
  blocks_.push_back(std::move(block));
}

void Journal::remove() {
  ::unlink(path_.c_str());
  ::close(std::exchange(descriptor_, -1));
}

}  // namespace fathom
