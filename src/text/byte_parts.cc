// SPDX-License-Identifier: Apache-2.0
#include "text/byte_parts.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <span>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace fathom {
namespace {

constexpr size_t kReadPart = size_t{1} << 20;

}  // namespace

std::string_view MemoryParts::next() {
  if (is_mapped_) drop_pages(std::as_bytes(std::span(given_)));
  given_ = rest_.substr(0, n_byte_);
  rest_.remove_prefix(given_.size());
  return given_;
}

InputFile::InputFile(const std::filesystem::path& path) : name_(path.string()) {
  if (path == "-") {
    name_ = "standard input";
    descriptor_ = STDIN_FILENO;
    return;
  }
  std::error_code error;
  const auto type = std::filesystem::status(path, error).type();
  FATHOM_REQUIRE(type != std::filesystem::file_type::directory, name_,
                 ": a folder; expected a file");
  const bool is_stream = type == std::filesystem::file_type::fifo ||
                         type == std::filesystem::file_type::character ||
                         type == std::filesystem::file_type::socket;
  if (!is_stream) {
    mapped_.emplace(path);  // says what is wrong with a file that is not there
    parts_.emplace(mapped_->text(), true);
    return;
  }
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  FATHOM_REQUIRE(descriptor_ >= 0, name_, ": cannot open: ", std::strerror(errno));
  owns_descriptor_ = true;
}

InputFile::InputFile(InputFile&& other) noexcept
    : name_(std::move(other.name_)),
      mapped_(std::move(other.mapped_)),
      parts_(std::move(other.parts_)),
      descriptor_(other.descriptor_),
      owns_descriptor_(std::exchange(other.owns_descriptor_, false)),
      buffer_(std::move(other.buffer_)) {}

InputFile::~InputFile() {
  if (owns_descriptor_) ::close(descriptor_);
}

std::optional<std::string_view> InputFile::mapped() const {
  if (!mapped_) return std::nullopt;
  return mapped_->text();
}

std::string_view InputFile::next() {
  if (parts_) return parts_->next();
  if (!buffer_) buffer_ = std::make_unique<char[]>(kReadPart);
  size_t n = 0;
  while (n < kReadPart) {  // a pipe gives some KiB at a time
    const ssize_t got = ::read(descriptor_, buffer_.get() + n, kReadPart - n);
    if (got == 0) break;
    if (got < 0 && errno == EINTR) continue;
    FATHOM_REQUIRE(got > 0, name_, ": cannot read: ", std::strerror(errno));
    n += static_cast<size_t>(got);
  }
  return {buffer_.get(), n};
}

}  // namespace fathom
