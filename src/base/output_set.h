// SPDX-License-Identifier: Apache-2.0
// OutputSet: the files that a command writes. Said before the work, so that a place that cannot be
// written, or that is an input, is told then; written at its end, all or none.
//
//   OutputSet outputs;
//   outputs.expect(path);             // before the work
//   outputs.write(path, text);        // or outputs.open(path).stream() << ...
//   outputs.commit();                 // now they appear, in the order in which they were opened
#pragma once

#include <filesystem>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "base/file_roles.h"
#include "base/temporaries.h"

namespace fathom {

// A folder with those around it that are missing. Those that it made and that are empty when it
// goes are removed again.
class MadeFolder {
 public:
  explicit MadeFolder(const std::filesystem::path& folder);  // throws Error
  MadeFolder(MadeFolder&&) = default;
  MadeFolder& operator=(MadeFolder&&) = delete;
  ~MadeFolder();

 private:
  struct Made {
    std::filesystem::path path;
    Temporary entry;
  };
  std::vector<Made> made_;  // from the outside in
};

// One thread at a time.
class OutputSet {
 public:
  OutputSet() = default;
  OutputSet(const OutputSet&) = delete;
  OutputSet& operator=(const OutputSet&) = delete;

  // Claims the file (base/file_roles.h) and tries the place; nothing stays there. Throws UsageError
  // or Error.
  void expect(const std::filesystem::path& path);
  // Of files in a folder, which may be missing: it is made when one of them is opened.
  void expect_in(const std::filesystem::path& folder,
                 std::initializer_list<std::string_view> names);

  // The file, half written until commit(). Claims it if nobody has.
  AtomicFile& open(const std::filesystem::path& path,
                   AtomicFile::Unfinished unfinished = AtomicFile::Unfinished::kRemoved);
  void write(const std::filesystem::path& path, std::string_view text);
  // The same of a file that this command may have read.
  void replace(const std::filesystem::path& path, std::string_view text);

  // All that was opened since the last commit reaches the disk, then the files get their names one
  // after the other. If one cannot, those before it are taken back. Throws Error, UsageError.
  void commit();

 private:
  struct Expected {
    std::filesystem::path path;
    OutputClaim claim;
  };

  void claim(const std::filesystem::path& path);
  AtomicFile& add(const std::filesystem::path& path,
                  AtomicFile::Unfinished unfinished = AtomicFile::Unfinished::kRemoved);

  std::vector<Expected> expected_;
  std::vector<std::filesystem::path> folders_;  // that may be made
  std::vector<MadeFolder> made_;
  std::vector<std::unique_ptr<AtomicFile>> files_;
};

}  // namespace fathom
