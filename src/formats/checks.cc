// SPDX-License-Identifier: Apache-2.0
#include "formats/checks.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "formats/byte_reader.h"

namespace fathom {

std::string excerpt(std::string_view text) {
  std::string out(text.substr(0, 60));
  for (char& c : out)
    if (c < ' ' || c > '~') c = '?';
  if (text.size() > out.size()) out += "...";
  return out;
}

std::string_view checked_name(std::string_view name, std::string_view what) {
  FATHOM_REQUIRE(!name.empty(), what, ": the name is empty");
  FATHOM_REQUIRE(name.size() <= kMaxNameBytes, what, ": a name of ", name.size(),
                 " bytes; at most ", kMaxNameBytes, " are accepted");
  const bool control = std::any_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  FATHOM_REQUIRE(!control && is_utf8(name), what, ": the name '", excerpt(name),
                 "' is not UTF-8 text");
  return name;
}

size_t shape_bytes(const std::string& name, StoredType dtype, std::span<const size_t> shape) {
  size_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) rows = checked_mul(rows, shape[i], name);
  return tensor_bytes(name, dtype, rows, shape.empty() ? 1 : shape.back());
}

void add_tensor(std::vector<Tensor>& tensors, Tensor tensor) {
  FATHOM_REQUIRE(tensors.size() < kMaxTensors, "more than ", kMaxTensors,
                 " tensors; no RWKV model has that many");
  tensors.push_back(std::move(tensor));
}

std::vector<uint32_t> sorted_by_name(std::span<const Tensor> tensors) {
  std::vector<uint32_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return tensors[a].name < tensors[b].name; });
  for (size_t i = 1; i < order.size(); ++i)
    FATHOM_REQUIRE(tensors[order[i - 1]].name != tensors[order[i]].name, "two tensors are named '",
                   tensors[order[i]].name, "'");
  return order;
}

void check_no_overlap(std::span<const Tensor> tensors) {
  std::vector<const Tensor*> order;
  order.reserve(tensors.size());
  for (const Tensor& t : tensors)
    if (!t.bytes.empty()) order.push_back(&t);
  std::sort(order.begin(), order.end(),
            [](const Tensor* a, const Tensor* b) { return a->bytes.data() < b->bytes.data(); });
  for (size_t i = 1; i < order.size(); ++i) {
    const Tensor &before = *order[i - 1], &after = *order[i];
    FATHOM_REQUIRE(before.bytes.data() + before.bytes.size() <= after.bytes.data(), after.name,
                   ": its bytes overlap those of ", before.name);
  }
}

}  // namespace fathom
