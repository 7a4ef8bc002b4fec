// SPDX-License-Identifier: Apache-2.0
#include "formats/write_safetensors.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

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

// The bytes in front of the data, and where in the file each tensor begins.
struct Layout {
  std::string head;
  std::vector<size_t> begin;
  size_t n_byte = 0;  // of the data
};

Layout layout_of(std::span<const TensorToWrite> tensors, std::span<const size_t> order,
                 const std::map<std::string, std::string>& metadata) {
  Layout layout{{}, std::vector<size_t>(tensors.size()), 0};
  for (size_t i : order) {
    layout.begin[i] = layout.n_byte;
    layout.n_byte += shape_bytes(tensors[i].name, tensors[i].dtype, tensors[i].shape);
  }
  OrderedJson header = OrderedJson::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorToWrite& t = tensors[i];
    FATHOM_ASSERT(!is_quantised(t.dtype) && !header.contains(t.name));
    const size_t begin = layout.begin[i], end = begin + shape_bytes(t.name, t.dtype, t.shape);
    header[t.name] = {
        {"dtype", name_of(t.dtype)}, {"shape", t.shape}, {"data_offsets", {begin, end}}};
  }
  std::string text = dump_json(header);
  text.append((8 - text.size() % 8) % 8, ' ');  // the data starts aligned
  const uint64_t n_header = text.size();
  layout.head.assign(reinterpret_cast<const char*>(&n_header), sizeof(n_header));
  layout.head += text;
  for (size_t& begin : layout.begin) begin += layout.head.size();
  return layout;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  AtomicFile file(path);
  write_safetensors(file, tensors, metadata);
  file.commit();
}

void write_safetensors(AtomicFile& file, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::vector<size_t> order = data_order(tensors);
  const Layout layout = layout_of(tensors, order, metadata);
  file.reserve(layout.head.size() + layout.n_byte);
  write_text(file.stream(), layout.head);
  for (size_t i : order) write_data(file.stream(), tensors[i]);
}

SafetensorsWriter::SafetensorsWriter(AtomicFile& file, std::span<const TensorToWrite> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : file_(file) {
  Layout layout = layout_of(tensors, data_order(tensors), metadata);
  file_.reserve(layout.head.size() + layout.n_byte);
  file_.write_at(0, std::as_bytes(std::span(layout.head)));
  begin_ = std::move(layout.begin);
  n_left_ = layout.n_byte;
}

void SafetensorsWriter::write(size_t tensor, size_t first, std::span<const std::byte> bytes) {
  FATHOM_ASSERT(bytes.size() <= n_left_);
  n_left_ -= bytes.size();
  file_.write_at(begin_.at(tensor) + first, bytes);
}

void SafetensorsWriter::finish() { FATHOM_ASSERT(n_left_ == 0); }

}  // namespace fathom
