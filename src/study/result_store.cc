// SPDX-License-Identifier: Apache-2.0
#include "study/result_store.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/hash.h"

namespace fathom {

ResultStore::ResultStore(std::filesystem::path folder)
    : folder_(std::move(folder)), made_(folder_) {}

std::filesystem::path ResultStore::path_of(const std::string& name, const OrderedJson& key) const {
  const std::string text = dump_json(key);
  std::string file = name;
  std::ranges::replace_if(
      file, [](char c) { return c == ':' || c == '/' || c == '\0'; }, '-');
  if (file.size() > 80) file.resize(80);  // a long path of a policy file
  return folder_ / concat(file, "-", hash_text(text), ".json");
}

std::optional<OrderedJson> ResultStore::find(const std::string& name,
                                             const OrderedJson& key) const {
  std::ifstream in(path_of(name, key), std::ios::binary);
  if (!in) return std::nullopt;
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  OrderedJson part;
  try {
    part = parse_ordered_json(text);
  } catch (const Error&) {
    return std::nullopt;  // damaged: made again
  }
  if (!part.is_object() || !part.contains("key") || !part.contains("result") ||
      dump_json(part["key"]) != dump_json(key))
    return std::nullopt;
  return std::move(part["result"]);
}

void ResultStore::keep(const std::string& name, const OrderedJson& key,
                       const OrderedJson& result) const {
  write_file(path_of(name, key), dump_json(OrderedJson{{"key", key}, {"result", result}}) + "\n");
}

}  // namespace fathom
