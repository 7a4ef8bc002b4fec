// SPDX-License-Identifier: Apache-2.0
// Outputs appear whole or not at all: written beside their place, then renamed.
#pragma once

#include <filesystem>
#include <fstream>
#include <string_view>

namespace fathom {

// An output file under a temporary name in the same folder; commit() renames it into place. Without
// commit(), the destructor removes it. One thread at a time.
class AtomicFile {
 public:
  // Throws Error naming the path if the folder is missing or not writable.
  explicit AtomicFile(std::filesystem::path path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  std::ofstream& stream() { return out_; }
  // Waits until the disk has what was written, for files that would be believed after a crash.
  // Throws Error.
  void sync();
  // Flushes, checks that every write reached the file and that no mapped file was written to
  // (mapped_file.h), renames. Throws Error.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  std::ofstream out_;
};

// The common case: all the text at once.
void write_file(const std::filesystem::path& path, std::string_view text);

}  // namespace fathom
