// SPDX-License-Identifier: Apache-2.0
#include "formats/write_safetensors.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "formats/checks.h"

namespace fathom {
namespace {

// Indices of the tensors in the order of their data.
std::vector<size_t> data_order(std::span<const TensorToWrite> tensors) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return dtype_info(tensors[a].dtype).block_bytes > dtype_info(tensors[b].dtype).block_bytes;
  });
  return order;
}

std::string header_of(std::span<const TensorToWrite> tensors, std::span<const size_t> order,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<size_t> begin(tensors.size());
  size_t n_byte = 0;
  for (size_t i : order) {
    begin[i] = n_byte;
    n_byte += shape_bytes(tensors[i].name, tensors[i].dtype, tensors[i].shape);
  }
  OrderedJson header = OrderedJson::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorToWrite& t = tensors[i];
    FATHOM_ASSERT(!is_quantised(t.dtype) && !header.contains(t.name));
    const size_t end = begin[i] + shape_bytes(t.name, t.dtype, t.shape);
    header[t.name] = {
        {"dtype", name_of(t.dtype)}, {"shape", t.shape}, {"data_offsets", {begin[i], end}}};
  }
  std::string text = dump_json(header);
  text.append((8 - text.size() % 8) % 8, ' ');  // the data starts aligned
  return text;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::vector<size_t> order = data_order(tensors);
  const std::string header = header_of(tensors, order, metadata);
  AtomicFile file(path);
  const uint64_t n_header = header.size();
  write_bytes(file.stream(), std::as_bytes(std::span(&n_header, 1)));
  write_text(file.stream(), header);
  for (size_t i : order) {
    write_data(file.stream(), tensors[i]);
    if (!file.stream()) break;  // commit() reports it
  }
  file.commit();
}

}  // namespace fathom
