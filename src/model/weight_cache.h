// SPDX-License-Identifier: Apache-2.0
// WeightCache: packed weights in a file between runs, so that a model is mapped instead of packed.
// There is one file for each model, dtype and instruction set. It is replaced when the model
// changes.
//
// A file is used if its header is complete and its key matches this run. The key has the path, size
// and modification time of the model's files, the names, types and shapes of all tensors, merged
// adapters, ignored tensors, dtype, library, instruction set and layout. A weight is used if it
// matches its checksum, which is computed on first use, one block at a time. Any other file is
// reported and written again. A cache never makes a run fail.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "formats/checkpoint.h"
#include "kernels/backend.h"
#include "model/model.h"
#include "model/weight_cache_file.h"

namespace fathom {

// What makes other weights of the same files: part of the key.
struct CacheChanges {
  std::string adapters = {};                     // Adapters::hash()
  std::vector<std::string> ignore_tensors = {};  // ModelOptions::ignore_tensors
};

// One thread at a time. Weights from the file point into it: the cache must outlive them.
class WeightCache {
 public:
  // Maps the file if there is a good one. compute, prefix: as in ModelOptions, the choice made.
  // Everything referred to must outlive the cache. Throws nothing but std::bad_alloc.
  WeightCache(const CacheOptions& options, const Checkpoint& checkpoint, const Backend& backend,
              Compute compute, const std::string& prefix, ThreadPool& pool,
              const CacheChanges& changes = {});

  // The weight of this name: from the file, else packed. As Backend::pack. The weight has to stay
  // until save().
  std::unique_ptr<PackedWeight> pack(ThreadPool& pool, const std::string& name,
                                     const WeightRows& rows, Compute compute);
  // Writes the file if anything was packed, from the weights where they are.
  void save(ThreadPool& pool);

  // Whether there is a good file. Its weights need no memory that cannot be given back.
  bool is_mapped() const { return file_.has_value(); }

  // What happened, one sentence each; mapping a good file is no news.
  const std::vector<std::string>& messages() const { return messages_; }

 private:
  struct Kept {
    std::string name;
    CachedWeight weight;
    bool found = false;
  };

  struct InFile {
    CachedWeight weight;
    bool checked = false;  // against its checksum
  };

  void open(bool verify, ThreadPool& pool);
  void check_block_of(ThreadPool& pool, const std::string& name);
  std::unique_ptr<PackedWeight> find(const std::string& name, const WeightRows& rows,
                                     Compute compute);

  const Backend& backend_;
  std::filesystem::path path_;  // empty: no cache
  std::string key_;
  std::optional<MappedFile> file_;
  std::map<std::string_view, InFile> in_file_;  // without those that were found damaged
  std::vector<Kept> kept_;  // in the order of use, which is the order in the file
  std::vector<std::string> messages_;
};

}  // namespace fathom
