// SPDX-License-Identifier: Apache-2.0
#include "base/output_set.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/disk.h"
#include "base/error.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

// The files of one commit() that have their names already, and how to take that back.
class Renamed {
 public:
  ~Renamed() {
    for (const Step& step : steps_)
      if (!step.old.empty()) ::unlink(step.old.c_str());
  }
  // Before the rename: the old file, if there is one, keeps a second name.
  void begin(const fs::path& target) {
    Step step{.target = target, .old = {}, .is_new = false, .entry = {}};
    struct ::stat info {};
    step.is_new = ::lstat(target.c_str(), &info) != 0;
    for (size_t i = 0; !step.is_new && i < 1000; ++i) {
      step.old = target;
      step.old += concat(".old.", ::getpid(), ".", i);
      if (::link(target.c_str(), step.old.c_str()) == 0) {
        step.entry = Temporary(step.old, Temporary::Kind::kFile);
        break;
      }
      step.old.clear();
      if (errno != EEXIST) break;  // not on this file system: there is no way back
    }
    steps_.push_back(std::move(step));
  }
  void take_back() {
    steps_.back().is_new = false;  // the one that failed: nothing has come to its place
    for (size_t i = steps_.size(); i-- > 0;) {
      Step& step = steps_[i];
      if (step.is_new)
        ::unlink(step.target.c_str());
      else if (!step.old.empty() && i + 1 < steps_.size() &&
               ::rename(step.old.c_str(), step.target.c_str()) == 0)
        step.old.clear();
    }
  }

 private:
  struct Step {
    fs::path target, old;
    bool is_new;
    Temporary entry;
  };
  std::vector<Step> steps_;
};

}  // namespace

MadeFolder::MadeFolder(const fs::path& folder) {
  std::vector<fs::path> missing;  // from the inside out
  std::error_code error;
  for (fs::path at = folder; !at.empty() && !fs::exists(at, error) && !error;
       at = at.parent_path()) {
    if (at.has_filename()) missing.push_back(at);  // "a/" and "a" are one
    if (at == at.parent_path()) break;
  }
  for (size_t i = missing.size(); i-- > 0;) {
    const SignalHold hold;
    if (::mkdir(missing[i].c_str(), 0777) == 0)
      made_.push_back({missing[i], Temporary(missing[i], Temporary::Kind::kFolder)});
    else if (errno != EEXIST)
      throw_cannot_make(folder, std::strerror(errno));
  }
  if (!folder.empty() && !fs::is_directory(folder, error))
    throw_cannot_make(folder, error ? error.message() : "a file is in its place");
}

MadeFolder::~MadeFolder() {
  for (; !made_.empty(); made_.pop_back()) ::rmdir(made_.back().path.c_str());
}

void OutputSet::claim(const fs::path& path) { expected_.push_back({path, OutputClaim(path)}); }

void OutputSet::expect(const fs::path& path) {
  claim(path);
  const AtomicFile probe(path);
}

void OutputSet::expect_in(const fs::path& folder, std::initializer_list<std::string_view> names) {
  // Claimed before the folder is made: it goes again, and another may get the number of its inode.
  for (std::string_view name : names) claim(folder / name);
  folders_.push_back(folder);
  const MadeFolder made(folder);
  for (std::string_view name : names) const AtomicFile probe(folder / name);
}

AtomicFile& OutputSet::open(const fs::path& path, AtomicFile::Unfinished unfinished) {
  const auto is_path = [&](const Expected& e) { return e.path == path; };
  if (std::ranges::none_of(expected_, is_path)) claim(path);
  return add(path, unfinished);
}

AtomicFile& OutputSet::add(const fs::path& path, AtomicFile::Unfinished unfinished) {
  for (const fs::path& folder : folders_)
    if (path.parent_path() == (folder / "x").parent_path()) made_.emplace_back(folder);
  files_.push_back(std::make_unique<AtomicFile>(path, unfinished));
  return *files_.back();
}

void OutputSet::write(const fs::path& path, std::string_view text) {
  open(path).stream().write(text.data(), static_cast<std::streamsize>(text.size()));
}

void OutputSet::replace(const fs::path& path, std::string_view text) {
  add(path).stream().write(text.data(), static_cast<std::streamsize>(text.size()));
}

void OutputSet::commit() {
  for (const auto& file : files_) file->finish();
  for (const Expected& e : expected_) e.claim.check();
  std::vector<fs::path> folders;
  for (const auto& file : files_) folders.push_back(file->target_.parent_path());
  // The names are durable before the last one appears, which says what the others are.
  const auto sync_folders = [&] {
    std::ranges::sort(folders);
    folders.erase(std::unique(folders.begin(), folders.end()), folders.end());
    for (const fs::path& folder : folders) sync_folder(folder);
  };
  {
    const SignalHold hold;
    Renamed renamed;
    for (size_t i = 0; i < files_.size(); ++i) {
      if (files_.size() > 1) renamed.begin(files_[i]->target_);
      try {
        if (i > 0 && i + 1 == files_.size()) sync_folders();
        files_[i]->rename_into_place();
      } catch (const Error&) {
        if (files_.size() > 1) renamed.take_back();
        throw;
      }
    }
  }
  sync_folders();
  files_.clear();
  made_.clear();
}

}  // namespace fathom
