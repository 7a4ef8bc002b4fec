// SPDX-License-Identifier: Apache-2.0
// Lists as people write them: "a,b,c" in, "a, b or c" out.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace fathom {

// The items between the commas, empty ones among them: "a,,b" has three, "" one.
inline std::vector<std::string_view> split_commas(std::string_view text) {
  std::vector<std::string_view> items;
  for (;;) {
    const size_t comma = text.find(',');
    items.push_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return items;
    text.remove_prefix(comma + 1);
  }
}

// The same without empty items: "a,,b," has two, "" none.
inline std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> items = split_commas(text);
  std::erase_if(items, [](std::string_view item) { return item.empty(); });
  return items;
}

// "a, b, c", or with last = " or ": "a, b or c".
template <class Names>
std::string join(const Names& names, std::string_view last = ", ") {
  std::string text;
  size_t left = std::size(names);
  for (const auto& name : names) {
    text += name;
    if (--left > 0) text += left == 1 ? last : ", ";
  }
  return text;
}

}  // namespace fathom
