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
#include "base/file_id.h"
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

FileId folder_id(const fs::path& folder) {
  struct ::stat info {};
  FATHOM_REQUIRE(::stat(folder.c_str(), &info) == 0, folder.string(),
                 ": cannot read: ", std::strerror(errno));
  return id_of(info);
}

// around: the folders that this one lies in. A link to one of them leads round in a circle.
void add_folder(const fs::path& folder, std::vector<FileId> around,
                std::vector<std::string>& files) {
  const FileId id = folder_id(folder);
  if (std::ranges::count(around, id) > 0) return;
  around.push_back(id);
  std::vector<fs::path> entries;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (!is_hidden(entry.path())) entries.push_back(entry.path());
  FATHOM_REQUIRE(!error, folder.string(), ": cannot read: ", error.message());
  std::ranges::sort(entries);
  for (const fs::path& path : entries) {
    const fs::file_type type = fs::status(path, error).type();
    if (type == fs::file_type::directory)
      add_folder(path, around, files);
    else if (type == fs::file_type::regular || type == fs::file_type::not_found)
      files.push_back(path.string());  // a link to nothing is told where it is opened
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

std::vector<std::string> expand_inputs(const std::vector<std::string>& given,
                                       const std::vector<fs::path>& outputs) {
  std::error_code error;
  std::vector<fs::path> own;
  for (const fs::path& output : outputs) own.push_back(fs::weakly_canonical(output, error));
  const auto is_own = [&](const std::string& path) {
    return std::ranges::count(own, fs::weakly_canonical(path, error)) > 0;
  };
  std::vector<std::string> files;
  for (const std::string& one : given) {
    const bool is_pattern = one != "-" && one.find_first_of("*?[") != std::string::npos &&
                            !fs::exists(one, error) && !find_text_file(one);
    for (const std::string& path : is_pattern ? matches_of(one) : std::vector{one}) {
      if (path == "-" || !fs::is_directory(path, error)) {
        if (!is_pattern || !is_own(path)) files.push_back(path);
        continue;
      }
      std::vector<std::string> inside;
      add_folder(path, {}, inside);
      std::erase_if(inside, is_own);
      FATHOM_REQUIRE(!inside.empty(), path, ": a folder without a file in it");
      files.insert(files.end(), inside.begin(), inside.end());
    }
  }
  FATHOM_REQUIRE(!files.empty(), given.empty() ? "-" : given.front(),
                 ": nothing but this job's own output matches; expected one file at least");
  const auto is_twice = std::ranges::find_if(files, [&](const std::string& file) {
    return file == "-" && std::ranges::count(files, file) > 1;
  });
  FATHOM_REQUIRE(is_twice == files.end(), "standard input: given twice, and there once");
  return files;
}

// Bytes [begin, end of file) of a descriptor that can be read anywhere. What others append is not read.
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
    for (std::string_view part = parts.next(); !part.empty(); part = parts.next()) {
      write_at(descriptor_, std::as_bytes(std::span(part)), size_,
               concat(place.string(), " (a copy of ", name, ")"), 0);
      size_ += part.size();
    }
  }
  // Of a descriptor that is a file: from where it stands.
  SpoolFile(int descriptor, uint64_t file_size)
      : descriptor_(descriptor),
        begin_(static_cast<uint64_t>(std::max<off_t>(::lseek(descriptor, 0, SEEK_CUR), 0))),
        size_(std::max(file_size, begin_) - begin_) {}
  SpoolFile(const SpoolFile&) = delete;
  SpoolFile& operator=(const SpoolFile&) = delete;
  ~SpoolFile() {
    if (is_own_) ::close(descriptor_);
  }

  size_t read(uint64_t at, char* out, size_t n, const std::string& name) const {
    n = std::min<uint64_t>(n, size_ - std::min(at, size_));
    return read_at(descriptor_, {out, n}, begin_ + at, name);
  }

 private:
  int descriptor_ = -1;
  uint64_t begin_ = 0, size_ = 0;
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
      const size_t got = file_.read(at_ + n, buffer_.get() + n, kPart - n, name_);
      if (got == 0) break;
      n += got;
    }
    at_ += n;
    return {buffer_.get(), n};
  }

 private:
  const SpoolFile& file_;
  std::string name_;
  std::unique_ptr<char[]> buffer_;
  uint64_t at_ = 0;
};

// The first n bytes of a file: all that it had when the job began.
class FirstBytes final : public ByteParts {
 public:
  FirstBytes(const fs::path& path, uint64_t n) : file_(path), left_(n) {}
  std::string_view next() override {
    const std::string_view part = left_ == 0 ? "" : file_.next().substr(0, left_);
    left_ -= part.size();
    return part;
  }

 private:
  InputFile file_;
  uint64_t left_;
};

}  // namespace

BulkInput::BulkInput(std::string asked, const fs::path& folder) : asked_(std::move(asked)) {
  found_ = asked_ == "-" ? fs::path(asked_) : find_text_file(asked_).value_or(asked_);
  struct ::stat info {};
  if (asked_ == "-" && ::fstat(STDIN_FILENO, &info) == 0 && S_ISREG(info.st_mode)) {
    name_ = "standard input";
    spool_ = std::make_unique<SpoolFile>(STDIN_FILENO, static_cast<uint64_t>(info.st_size));
    return;
  }
  InputFile file(found_);
  name_ = file.name();
  if (const auto bytes = file.mapped())
    size_ = bytes->size();
  else
    spool_ = std::make_unique<SpoolFile>(file, folder, name_);
}

BulkInput::BulkInput(BulkInput&&) noexcept = default;
BulkInput::~BulkInput() = default;

std::unique_ptr<ByteParts> BulkInput::open() const {
  if (spool_) return std::make_unique<SpoolParts>(*spool_, name_);
  return std::make_unique<FirstBytes>(found_, size_);
}

}  // namespace fathom
