// SPDX-License-Identifier: Apache-2.0
// Which files this process reads and which it is going to write. No file may be both, nor may two
// outputs be one: the first would be destroyed by the second.
//
// Files are compared by what they are (device and inode) and by where they are (folder and name),
// not by how they are spelled: hard links, symbolic links and `../here/x` are seen through. Inputs
// are noted where they are opened, outputs are claimed before the work; whichever comes second
// throws. All functions may be called by any thread.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>

namespace fathom {

// Where a path leads if its last part is a symbolic link, which may point to nothing. Throws Error
// if links go round in a circle.
std::filesystem::path follow_links(const std::filesystem::path& path);

// A file that is read. Throws UsageError if it is claimed as an output.
void note_input(const std::filesystem::path& path, const struct ::stat& info);
void note_input(const std::filesystem::path& path);  // the same; nothing if it is not there

// At the beginning of a command, in a process that runs one after another: files that those before it
// read may be written now. Forgets nothing while an output is claimed, that is while one runs.
void forget_inputs();

// A file that is going to be written; for as long as the object lives. Throws UsageError if it is
// an input, standard input, where standard output or standard error go, or another claimed output.
class OutputClaim {
 public:
  explicit OutputClaim(const std::filesystem::path& path);
  OutputClaim(OutputClaim&& other) noexcept;
  OutputClaim& operator=(OutputClaim&&) = delete;
  ~OutputClaim();

  // Looks again, at the inputs that were noted since: their reader may have taken the error for
  // something less. Throws UsageError.
  void check() const;

 private:
  uint64_t id_ = 0;  // 0: moved from
};

}  // namespace fathom
