// SPDX-License-Identifier: Apache-2.0
#include "serve/keys.h"

#include <algorithm>

#include "base/error.h"
#include "text/text_file.h"

namespace fathom::serve {
namespace {

constexpr size_t kMaxKey = 512;

// Looks at all bytes of both, whatever it has seen; the length of `given` alone decides how many.
bool equal_in_constant_time(std::string_view given, std::string_view key) {
  unsigned difference = given.size() == key.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i)
    difference |= static_cast<unsigned>(static_cast<unsigned char>(given[i]) ^
                                        static_cast<unsigned char>(key[i % key.size()]));
  return difference == 0;
}

}  // namespace

Keys::Keys(std::string file) : file_(std::move(file)) { reload(); }

void Keys::reload() {
  if (file_.empty()) return;
  std::vector<std::string> keys;
  const std::string content = read_text_file(file_);
  for (std::string_view line : split_lines(content)) {
    while (!line.empty() && (line.back() == ' ' || line.back() == '\t')) line.remove_suffix(1);
    if (line.empty() || line.front() == '#') continue;
    FATHOM_REQUIRE(line.size() <= kMaxKey, file_, ": expected keys of at most ", kMaxKey,
                   " bytes, got one of ", line.size());
    keys.emplace_back(line);
  }
  FATHOM_REQUIRE(!keys.empty(), file_, ": expected API keys, one a line, got none");
  const std::lock_guard lock(mutex_);
  keys_ = std::move(keys);
}

bool Keys::let_in(std::string_view authorization) const {
  if (!any()) return true;
  constexpr std::string_view kScheme = "bearer ";
  std::string scheme(authorization.substr(0, kScheme.size()));
  std::ranges::transform(scheme, scheme.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  });
  if (scheme != kScheme) return false;
  const std::string_view given = authorization.substr(kScheme.size());
  if (given.size() > kMaxKey) return false;
  const std::lock_guard lock(mutex_);
  bool found = false;
  for (const std::string& key : keys_) found |= equal_in_constant_time(given, key);
  return found;
}

size_t Keys::size() const {
  const std::lock_guard lock(mutex_);
  return keys_.size();
}

}  // namespace fathom::serve
