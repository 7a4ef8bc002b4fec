// SPDX-License-Identifier: Apache-2.0
#include "text/byte_trie.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace fathom {
namespace {

struct SortedKey {
  uint64_t head;  // the first 8 bytes, big-endian: most comparisons end there
  std::string_view text;
  uint32_t index;

  bool operator<(const SortedKey& other) const {
    return head != other.head ? head < other.head : text < other.text;
  }
};

uint64_t head_of(std::string_view text) {
  uint64_t head = 0;
  for (size_t i = 0; i < 8; ++i)
    head = (head << 8) | (i < text.size() ? static_cast<unsigned char>(text[i]) : 0u);
  return head;
}

std::vector<SortedKey> sorted(std::span<const std::string_view> keys, const std::string& name) {
  FATHOM_REQUIRE(keys.size() < UINT32_MAX, name, ": too many entries");
  std::vector<SortedKey> out;
  out.reserve(keys.size());
  for (uint32_t i = 0; i < keys.size(); ++i)
    if (!keys[i].empty()) out.push_back({head_of(keys[i]), keys[i], i});
  std::sort(out.begin(), out.end());
  const auto twin = std::adjacent_find(
      out.begin(), out.end(), [](const auto& a, const auto& b) { return a.text == b.text; });
  if (twin != out.end())
    throw Error(concat(name, ": entries ", std::min(twin[0].index, twin[1].index), " and ",
                       std::max(twin[0].index, twin[1].index), " are the same"));
  return out;
}

}  // namespace

// Places the nodes in breadth-first order. A node is a range of the sorted keys that share their
// first `depth` bytes.
class ByteTrie::Builder {
 public:
  Builder(std::vector<SortedKey> keys, const std::string& name)
      : keys_(std::move(keys)), name_(name) {}

  std::vector<Slot> build() {
    slots_.resize(256);
    std::vector<Node> level = {{0, 0, static_cast<uint32_t>(keys_.size())}};
    for (size_t depth = 0; !level.empty(); ++depth) {
      std::vector<Node> next;
      for (const Node& node : level) place_children(node, depth, next);
      level = std::move(next);
    }
    slots_.shrink_to_fit();
    return std::move(slots_);
  }

 private:
  struct Node {
    uint32_t slot;
    uint32_t begin, end;  // its keys
  };

  void place_children(Node node, size_t depth, std::vector<Node>& next) {
    if (node.begin < node.end && keys_[node.begin].text.size() == depth)
      slots_[node.slot].key = keys_[node.begin++].index;
    if (node.begin == node.end) return;
    const size_t first = next.size();
    labels_.clear();
    for (uint32_t i = node.begin; i < node.end;) {
      const auto label = static_cast<unsigned char>(keys_[i].text[depth]);
      const uint32_t begin = i;
      while (i < node.end && static_cast<unsigned char>(keys_[i].text[depth]) == label) ++i;
      labels_.push_back(label);
      next.push_back({0, begin, i});
    }
    const uint32_t base = find_base();
    slots_[node.slot].base = base;
    for (size_t i = 0; i < labels_.size(); ++i) {
      next[first + i].slot = base + labels_[i];
      slots_[base + labels_[i]].parent = node.slot;
    }
  }

  // A base for which the slots of all labels_ are free: first fit, but after kTries places the end
  // of the array, and the places tried are left to nodes with one child, which fit anywhere. So the
  // time to build is linear in the number of nodes, whatever the keys.
  uint32_t find_base() {
    constexpr size_t kTries = 128;
    size_t& start = labels_.size() == 1 ? start_single_ : start_several_;
    size_t slot = std::max<size_t>(start, labels_[0]);
    for (size_t tries = 0; !fits(slot); ++slot, ++tries) {
      if (labels_.size() == 1) {
        start = slot;
      } else if (tries == kTries) {
        start += kTries;
        slot = used_end_;
      }
    }
    reserve_slots(slot + 256);
    used_end_ = std::max(used_end_, slot - labels_[0] + labels_.back() + 1);
    return static_cast<uint32_t>(slot - labels_[0]);
  }

  // Whether the first label may take this slot and the others the ones that follow from it.
  bool fits(size_t slot) const {
    return std::all_of(labels_.begin(), labels_.end(), [&](unsigned char label) {
      const size_t other = slot - labels_[0] + label;
      return other != 0 && (other >= slots_.size() || slots_[other].parent == kNone);
    });
  }

  void reserve_slots(size_t size) {
    FATHOM_REQUIRE(size < kNone, name_, ": too large");
    if (size > slots_.size()) slots_.resize(size);
  }

  std::vector<SortedKey> keys_;
  const std::string& name_;
  std::vector<Slot> slots_;
  std::vector<unsigned char> labels_;  // bytes by which the node being placed goes on
  size_t start_single_ = 0, start_several_ = 0;
  size_t used_end_ = 1;  // 1 + the last slot in use
};

ByteTrie::ByteTrie(std::span<const std::string_view> keys, const std::string& name)
    : slots_(Builder(sorted(keys, name), name).build()) {}

}  // namespace fathom
