// SPDX-License-Identifier: Apache-2.0
// The inputs of a long job: files, folders, globs and pipes. Each can be read from its beginning
// several times.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "text/byte_parts.h"

namespace fathom {

// Files in their order: what was given one behind the other; a folder as the files in it and in its
// folders, a pattern with *, ? or [ as what it matches, by name. In a folder, names that begin with a
// dot or an underscore are left out, as Hadoop and Spark have it, and so are pipes, sockets and devices.
// What is there is never a pattern. outputs: files that the job writes, which in a folder or under a
// pattern are no inputs. Throws Error: a folder without a file, a pattern that matches none.
std::vector<std::string> expand_inputs(const std::vector<std::string>& given,
                                       const std::vector<std::filesystem::path>& outputs = {});

// A temporary file with the contents of a pipe. It has no name.
class SpoolFile;

// One input. Move-only; may be read by one thread at a time.
class BulkInput {
 public:
  // asked: as TextFile takes it; "-" is standard input. A pipe is written to a file without a name
  // in `folder`, which is gone when the process is. Throws Error naming it.
  BulkInput(std::string asked, const std::filesystem::path& folder);
  BulkInput(BulkInput&&) noexcept;
  ~BulkInput();

  const std::string& asked() const { return asked_; }
  const std::filesystem::path& found() const { return found_; }
  const std::string& name() const { return name_; }  // for messages
  // Its bytes from the beginning: those that it had when this was made, not what others append. The
  // input must outlive them.
  std::unique_ptr<ByteParts> open() const;

 private:
  std::string asked_, name_;
  std::filesystem::path found_;
  uint64_t size_ = 0;  // of a file
  std::unique_ptr<SpoolFile> spool_;
};

}  // namespace fathom
