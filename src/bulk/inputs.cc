// SPDX-License-Identifier: Apache-2.0
#include "bulk/inputs.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/disk.h"
#include "base/error.h"
#include "base/temporaries.h"
#include "text/text_file.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPart = size_t{1} << 20;

bool is_hidden(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with('.') || name.starts_with('_');
}

void add_folder(const fs::path& folder, std::vector<std::string>& files) {
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(folder))
    if (!is_hidden(entry.path())) entries.push_back(entry.path());
  std::ranges::sort(entries);
  for (const fs::path& path : entries) {
    if (fs::is_directory(path))
      add_folder(path, files);
    else
      files.push_back(path.string());
  }
}

std::vector<std::string> matches_of(const std::string& pattern) {
  glob_t found{};
  const int code = ::glob(pattern.c_str(), 0, nullptr, &found);
  std::vector<std::string> paths;
  for (size_t i = 0; code == 0 && i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
  ::globfree(&found);
  FATHOM_REQUIRE(!paths.empty(), pattern, ": no file matches; expected one at least");
  return paths;
}

}  // namespace

std::vector<std::string> expand_inputs(const std::vector<std::string>& given) {
  std::vector<std::string> files;
  for (const std::string& one : given) {
    std::error_code error;
    const bool is_pattern = one != "-" && one.find_first_of("*?[") != std::string::npos &&
                            !fs::exists(one, error) && !find_text_file(one);
    for (const std::string& path : is_pattern ? matches_of(one) : std::vector{one}) {
      const size_t before = files.size();
      if (path == "-" || !fs::is_directory(path, error)) {
        files.push_back(path);
        continue;
      }
      add_folder(path, files);
      FATHOM_REQUIRE(files.size() > before, path, ": a folder without a file in it");
    }
  }
  const auto is_twice = std::ranges::find_if(files, [&](const std::string& file) {
    return file == "-" && std::ranges::count(files, file) > 1;
  });
  FATHOM_REQUIRE(is_twice == files.end(), "standard input: given twice, and there once");
  return files;
}

// Bytes [begin, end of file) of a descriptor that can be read anywhere.
class SpoolFile {
 public:
  // Takes what `parts` give.
  SpoolFile(ByteParts& parts, const fs::path& folder, const std::string& name) : is_own_(true) {
    const fs::path place = folder.empty() ? fs::path(".") : folder;
    std::string path = (place / ".fathom-input-XXXXXX").string();
    {
      const SignalHold hold;  // a signal comes before the file or behind its name
      descriptor_ = ::mkostemp(path.data(), O_CLOEXEC);
      if (descriptor_ >= 0) ::unlink(path.c_str());
    }
    FATHOM_REQUIRE(descriptor_ >= 0, place.string(), ": cannot keep ", name,
                   " there while it is read: ", std::strerror(errno));
    uint64_t at = 0;
    for (std::string_view part = parts.next(); !part.empty(); part = parts.next()) {
      write_at(descriptor_, std::as_bytes(std::span(part)), at,
               concat(place.string(), " (a copy of ", name, ")"), 0);
      at += part.size();
    }
  }
  // Of a descriptor that is a file: from where it stands.
  explicit SpoolFile(int descriptor)
      : descriptor_(descriptor), begin_(::lseek(descriptor, 0, SEEK_CUR)) {}
  SpoolFile(const SpoolFile&) = delete;
  SpoolFile& operator=(const SpoolFile&) = delete;
  ~SpoolFile() {
    if (is_own_) ::close(descriptor_);
  }

  size_t read(off_t at, char* out, size_t n, const std::string& name) const {
    return read_at(descriptor_, {out, n}, static_cast<uint64_t>(begin_ + at), name);
  }

 private:
  int descriptor_ = -1;
  off_t begin_ = 0;
  bool is_own_ = false;
};

namespace {

class SpoolParts final : public ByteParts {
 public:
  SpoolParts(const SpoolFile& file, std::string name)
      : file_(file), name_(std::move(name)), buffer_(std::make_unique<char[]>(kPart)) {}
  std::string_view next() override {
    size_t n = 0;
    while (n < kPart) {
      const size_t got =
          file_.read(at_ + static_cast<off_t>(n), buffer_.get() + n, kPart - n, name_);
      if (got == 0) break;
      n += got;
    }
    at_ += static_cast<off_t>(n);
    return {buffer_.get(), n};
  }

 private:
  const SpoolFile& file_;
  std::string name_;
  std::unique_ptr<char[]> buffer_;
  off_t at_ = 0;
};

bool is_regular(int descriptor) {
  struct ::stat info {};
  return ::fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode);
}

}  // namespace

BulkInput::BulkInput(std::string asked, const fs::path& folder) : asked_(std::move(asked)) {
  found_ = asked_ == "-" ? fs::path(asked_) : find_text_file(asked_).value_or(asked_);
  if (asked_ == "-" && is_regular(STDIN_FILENO)) {
    name_ = "standard input";
    spool_ = std::make_unique<SpoolFile>(STDIN_FILENO);
    return;
  }
  InputFile file(found_);
  name_ = file.name();
  if (!file.mapped()) spool_ = std::make_unique<SpoolFile>(file, folder, name_);
}

BulkInput::BulkInput(BulkInput&&) noexcept = default;
BulkInput::~BulkInput() = default;

std::unique_ptr<ByteParts> BulkInput::open() const {
  if (spool_) return std::make_unique<SpoolParts>(*spool_, name_);
  return std::make_unique<InputFile>(found_);
}

}  // namespace fathom
