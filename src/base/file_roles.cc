// SPDX-License-Identifier: Apache-2.0
#include "base/file_roles.h"

#include <unistd.h>

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file_id.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

struct Identity {
  fs::path path;                 // as it was spelled
  std::optional<FileId> file;    // if it is there
  std::optional<FileId> folder;  // the innermost one around it that is there
  std::string name;              // from that folder on
};

// A file that is there (info) or not.
Identity identify(const fs::path& path, const struct ::stat* info) {
  Identity i{.path = path, .file = {}, .folder = {}, .name = {}};
  const fs::path target = follow_links(path);
  struct ::stat at {};
  if (info)
    i.file = id_of(*info);
  else if (::stat(target.c_str(), &at) == 0)
    i.file = id_of(at);
  fs::path folder = target.parent_path(), name = target.filename();
  while (::stat(folder.empty() ? "." : folder.c_str(), &at) != 0) {
    if (folder.empty() || folder == folder.parent_path()) return i;
    name = folder.filename() / name;
    folder = folder.parent_path();
  }
  i.folder = id_of(at);
  i.name = name.lexically_normal().string();
  return i;
}

bool is_same(const Identity& a, const Identity& b) {
  if (a.file && b.file && *a.file == *b.file) return true;
  return a.folder && b.folder && *a.folder == *b.folder && a.name == b.name;
}

struct Roles {
  std::mutex mutex;
  std::map<FileId, Identity> inputs;
  std::map<uint64_t, Identity> outputs;
  uint64_t last_id = 0;
};
Roles& roles() {
  static Roles all;
  return all;
}

[[noreturn]] void refuse(const Identity& output, const fs::path& input) {
  throw UsageError(concat(output.path.string(), ": is an input of this command",
                          input == output.path ? "" : " (" + input.string() + ")",
                          "; expected another file for the output"));
}

void require_no_input(const Roles& all, const Identity& output) {
  for (const auto& [id, input] : all.inputs)
    // Looked at again: the number of an inode is given to another file when its own is gone.
    if (is_same(input, output) && is_same(identify(input.path, nullptr), output))
      refuse(output, input.path);
  struct ::stat info {};
  const auto is_stream = [&](int descriptor) {
    return ::fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode) && output.file == id_of(info);
  };
  if (is_stream(STDIN_FILENO)) refuse(output, "standard input");
  for (int descriptor : {STDOUT_FILENO, STDERR_FILENO})
    if (is_stream(descriptor))
      throw UsageError(concat(output.path.string(), ": standard ",
                              descriptor == STDOUT_FILENO ? "output" : "error",
                              " goes there; expected another file for the output"));
}

}  // namespace

fs::path follow_links(const fs::path& path) {
  constexpr int kMostLinks = 40;  // Linux's own limit
  fs::path at = path;
  for (int i = 0; i < kMostLinks; ++i) {
    std::error_code error;
    const fs::path to = fs::read_symlink(at, error);
    if (error) return at;  // a file, a folder, or nothing
    at = at.parent_path() / to;
  }
  throw Error(concat(path.string(), ": too many symbolic links"));
}

void note_input(const fs::path& path, const struct ::stat& info) {
  if (!S_ISREG(info.st_mode)) return;
  const Identity input = identify(path, &info);
  Roles& all = roles();
  const std::lock_guard lock(all.mutex);
  all.inputs.insert_or_assign(*input.file, input);
  for (const auto& [id, output] : all.outputs)
    if (is_same(input, output)) refuse(output, path);
}

void note_input(const fs::path& path) {
  struct ::stat info {};
  if (::stat(path.c_str(), &info) == 0) note_input(path, info);
}

void forget_inputs() {
  Roles& all = roles();
  const std::lock_guard lock(all.mutex);
  if (all.outputs.empty()) all.inputs.clear();
}

OutputClaim::OutputClaim(const fs::path& path) {
  Identity output = identify(path, nullptr);
  Roles& all = roles();
  const std::lock_guard lock(all.mutex);
  require_no_input(all, output);
  for (const auto& [id, other] : all.outputs)
    if (is_same(other, output))
      throw UsageError(concat(path.string(), ": two outputs would be this file",
                              other.path == path ? "" : " (" + other.path.string() + ")",
                              "; expected a name for each"));
  id_ = ++all.last_id;
  all.outputs.emplace(id_, std::move(output));
}

OutputClaim::OutputClaim(OutputClaim&& other) noexcept : id_(std::exchange(other.id_, 0)) {}

OutputClaim::~OutputClaim() {
  if (id_ == 0) return;
  Roles& all = roles();
  const std::lock_guard lock(all.mutex);
  all.outputs.erase(id_);
}

void OutputClaim::check() const {
  Roles& all = roles();
  const std::lock_guard lock(all.mutex);
  const Identity now = identify(all.outputs.at(id_).path, nullptr);
  require_no_input(all, now);
}

}  // namespace fathom
