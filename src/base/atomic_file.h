// SPDX-License-Identifier: Apache-2.0
// Outputs appear whole or not at all: written beside their place, then renamed.
//
// A symbolic link as output is followed: what it points to is replaced, and the link stays. A file
// that is replaced hands on its permissions, and its owner where this process may give files away.
// A signal that ends the process removes what is half written (base/temporaries.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <ostream>
#include <span>
#include <string_view>

#include "base/temporaries.h"

namespace fathom {

// An output file under a temporary name in the same folder; commit() renames it into place. Without
// commit(), the destructor removes it. One thread at a time.
//
// Every write is checked. The first that fails throws Error, from whatever call it is made by, the
// stream's included: it names the file, and of a full disk how much was needed and is free.
//
// Unfinished::kKept: the file has a name of its own, PATH.part, outlives the process whatever ends
// it, and is opened again with what it holds. Whoever asks for it makes sure that no other process
// does.
class AtomicFile {
 public:
  enum class Unfinished : unsigned char { kRemoved, kKept };

  // Throws Error naming the path if the folder is missing or not writable, or something that is no
  // regular file is in the place.
  explicit AtomicFile(std::filesystem::path path, Unfinished unfinished = Unfinished::kRemoved);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  const std::filesystem::path& path() const { return path_; }
  // Buffered, from the beginning of the file on; tellp() works.
  std::ostream& stream() { return out_; }
  // The file will have this size: a full disk is found now, not after the work. Throws Error.
  void reserve(uint64_t n_byte);
  // At any place, beside what goes through the stream.
  void write_at(uint64_t offset, std::span<const std::byte> bytes);
  // Of a file that is kept: its size; it has this size from now on, and the stream goes on there.
  uint64_t size() const;
  void go_on_at(uint64_t size);
  // Waits until the disk has what was written. Throws Error.
  void sync();
  // For files that are right whatever becomes of their inputs: finish() does not look at them.
  void let_inputs_change() { inputs_may_change_ = true; }
  // All is written: flushes, waits for the disk, closes. Throws Error; also if a mapped file was
  // written to meanwhile (mapped_file.h).
  void finish();
  // finish(), if it has not been called, then renames and waits until the folder has the new name.
  void commit();

 private:
  friend class OutputSet;
  class Buffer;
  void rename_into_place();  // after finish(); throws Error

  std::filesystem::path path_, target_, temporary_;
  Temporary entry_;
  bool inputs_may_change_ = false;
  bool is_kept_ = false;
  std::unique_ptr<Buffer> buffer_;
  std::ostream out_;
};

// PATH.part, where links of PATH are followed.
std::filesystem::path kept_name_of(const std::filesystem::path& path);

// The common case: all the text at once.
void write_file(const std::filesystem::path& path, std::string_view text);

}  // namespace fathom
