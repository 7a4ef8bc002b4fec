// SPDX-License-Identifier: Apache-2.0
// Journal: the progress of a long job, in a file beside its output. The first line is the job. Each
// further line is a block of rows that is on the disk: the number of texts, their place in each
// output, and a checksum of these bytes. An incomplete line ends the journal.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "results/embedding_file.h"

namespace fathom {

struct JournalBlock {
  size_t n_text = 0;                                // that are done, this block's included
  std::vector<std::vector<FileRange>> ranges = {};  // (n_file) where the block's rows are
  std::vector<uint64_t> sums = {};                  // (n_file) XXH3 of them
  OrderedJson state = {};                           // what a resumed job needs beside the rows
};

// A file that is written to by somebody else of this process. Throws Error naming it.
class FileReader {
 public:
  explicit FileReader(std::filesystem::path path);
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;
  ~FileReader();

  // XXH3 of the bytes of these ranges, one behind the other; nullopt if the file ends before.
  std::optional<uint64_t> sum_of(const std::vector<FileRange>& ranges) const;

 private:
  std::filesystem::path path_;
  int descriptor_;
};

// One thread at a time, one process at a time.
class Journal {
 public:
  // Makes the file if it is not there. Throws Error: cannot be written; another process has it.
  explicit Journal(std::filesystem::path path);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();  // removes a file without blocks

  const std::optional<OrderedJson>& job() const { return job_; }  // nullopt: a new journal
  const std::vector<JournalBlock>& blocks() const { return blocks_; }

  // Everything anew, for this job.
  void begin(const OrderedJson& job);
  // The first n blocks stay, the others are taken back.
  void keep(size_t n);
  // When this returns, the journal is on the disk. Throws Error.
  void add(JournalBlock block);
  // The job is done.
  void remove();

 private:
  void read();
  void append(const OrderedJson& line);
  void cut(uint64_t size);

  std::filesystem::path path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
  std::optional<OrderedJson> job_;
  std::vector<JournalBlock> blocks_;
  std::vector<uint64_t> ends_;  // of the job's line and of the blocks'
};

}  // namespace fathom
