// SPDX-License-Identifier: Apache-2.0
// Stored results, one JSON file each. A file appears whole or not at all, so killed work resumes
// after the last one.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/output_set.h"

namespace fathom {

// May be shared by threads, and by processes: what two of them keep is the same.
class ResultStore {
 public:
  // Made if missing; removed again if nothing was kept in it. Throws Error.
  explicit ResultStore(std::filesystem::path folder);

  // name: "mrpc-exit:entropy", a part of the file's name; key: all that the result depends on. A
  // file with another key, or one that is damaged, is no result.
  std::optional<OrderedJson> find(const std::string& name, const OrderedJson& key) const;
  // Throws Error: cannot be written.
  void keep(const std::string& name, const OrderedJson& key, const OrderedJson& result) const;

  // Where it stands.
  std::filesystem::path path_of(const std::string& name, const OrderedJson& key) const;

 private:
  std::filesystem::path folder_;
  MadeFolder made_;
};

}  // namespace fathom
