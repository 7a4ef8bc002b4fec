// SPDX-License-Identifier: Apache-2.0
// API keys from a file, one a line. The time of a comparison does not depend on where keys differ.
// Any thread may call any function.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace fathom::serve {

class Keys {
 public:
  // "": no keys, and everybody is let in. Throws Error naming the file: it cannot be read, or has
  // no key.
  explicit Keys(std::string file);
  // Reads the file again. Throws as the constructor; the keys then stay as they were.
  void reload();
  // authorization: the header's value, "Bearer KEY".
  bool let_in(std::string_view authorization) const;
  bool any() const { return !file_.empty(); }
  size_t size() const;

 private:
  std::string file_;
  mutable std::mutex mutex_;
  std::vector<std::string> keys_;
};

}  // namespace fathom::serve
