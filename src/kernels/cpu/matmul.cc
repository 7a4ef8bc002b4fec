// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/matmul.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include "base/buffer.h"
#include "base/dtype.h"
#include "base/error.h"
#include "kernels/cpu/dot_kernel.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/packed_weight.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tile.h"

namespace fathom::cpu {
namespace {

// Rows of a tile: as many as pay, but few enough that there are two tiles per thread where rows
// allow. Below 32 rows the inner product itself would suffer.
size_t chunk_rows(size_t padded, size_t n_panel, size_t n_thread) {
  constexpr size_t kMinChunkRows = 32;
  const size_t wanted = n_thread == 1 ? 1 : divide_up(2 * n_thread, n_panel);
  const size_t chunks = std::max(divide_up(padded, kMaxChunkRows),
                                 std::min(wanted, divide_up(padded, kMinChunkRows)));
  return round_up(divide_up(padded, chunks), kRowPad);
}

size_t bytes_per_element(Compute compute) { return kUnitBytes / elements_per_unit(compute); }

// Rows [begin, end) of an operand, none of them compensated: those are known by their place in the whole.
Operand slice(Operand x, size_t begin, size_t end) {
  x.data = static_cast<std::byte*>(x.data) + begin * x.stride * bytes_per_element(x.type);
  if (x.scale != nullptr) x.scale += begin;
  x.rows = end - begin;
  x.compensated = {};
  return x;
}

// The same rows, and the errors of compensated ones, without gaps, in scratch of this thread.
Operand without_gaps(ThreadPool& pool, const Operand& x) {
  thread_local Buffer<std::byte> rows;
  const size_t row_bytes = x.cols * bytes_per_element(x.type);
  rows.reserve_discard(operand_rows(x.rows, x.compensated.size()) * row_bytes);
  Operand dense = x;
  dense.data = rows.data();
  dense.stride = x.cols;
  for_rows(pool, x.rows + x.compensated.size(), x.cols, [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      std::memcpy(slice(dense, r, r + 1).data, slice(x, r, r + 1).data, row_bytes);
    }
  });
  return dense;
}

// The compensated rows within [begin, end), as a range of indices of x.compensated.
std::pair<size_t, size_t> compensated_between(const Operand& x, size_t begin, size_t end) {
  const auto at = [&x](size_t row) {
    return static_cast<size_t>(std::ranges::lower_bound(x.compensated, row) -
                               x.compensated.begin());
  };
  return {at(begin), at(end)};
}

// Rows of `sums` are added to the rows of compensated ones; acc is of rows from `first` on. Both of
// `stride` columns.
void add_errors(std::span<const uint32_t> compensated, size_t first, const float* sums,
                size_t stride, float* acc) {
  for (size_t i = 0; i < compensated.size(); ++i) {
    float* row = acc + (compensated[i] - first) * stride;
    for (size_t c = 0; c < stride; ++c) row[c] += sums[i * stride + c];
  }
}

// The rounding errors of compensated rows of a bf16 result: once more in f32, less what was stored.
void keep_errors(Tile tile, const Operand& next, size_t first_row, size_t first_col,
                 std::pair<size_t, size_t> compensated) {
  thread_local Buffer<float> f32;
  f32.reserve_discard(tile.cols);
  const auto* sums = static_cast<const float*>(tile.acc);
  tile.rows = 1;
  tile.to = f32.data();
  tile.to_type = Compute::kF32;
  for (size_t i = compensated.first; i < compensated.second; ++i) {
    tile.acc = sums + (next.compensated[i] - first_row) * tile.acc_stride;
    finish_tile(tile);
    BF16* const error = static_cast<BF16*>(next.data) + (next.rows + i) * next.stride + first_col;
    for (size_t c = 0; c < tile.cols; ++c) {
      error[c] = to_bf16(f32.data()[c] - to_f32(to_bf16(f32.data()[c])));
    }
  }
}

// Whether whole rows of f32 sums are the result: a narrow product of a small model. Copying them would
// take a tenth of its time.
bool is_sums_alone(const ProductOut& out, const CpuWeight& w) {
  return out.y.data() != nullptr && w.compute == Compute::kF32 && w.n_panel() == 1 &&
         w.acc_cols(0) == out.y.cols() && !out.accumulate && out.bias.empty() &&
         out.activation == Activation::kNone &&
         reinterpret_cast<uintptr_t>(out.y.data()) % 64 == 0 && out.y.cols() % 16 == 0;
}

// A left-hand operand without gaps to y or, f32 and bf16, to next.
void multiply_tiles(ThreadPool& pool, const Operand& x, const CpuWeight& w, const ProductOut& out) {
  const bool to_y = out.y.data() != nullptr;
  const size_t chunk = chunk_rows(padded_rows(x.rows), w.n_panel(), pool.size());
  const size_t n_chunk = divide_up(x.rows, chunk);
  const auto tile_task = [&](size_t i) {
    thread_local Buffer<float> acc;
    const size_t panel = i / n_chunk, begin = i % n_chunk * chunk;
    const size_t end = std::min(begin + chunk, x.rows);
    const size_t first = w.first_col(panel), stride = w.acc_cols(panel);
    const Operand rows = slice(x, begin, end);
    const auto compensated = compensated_between(x, begin, end);
    const size_t n_compensated = compensated.second - compensated.first;
    if (is_sums_alone(out, w) && product_rows(rows.rows) == rows.rows) {
      w.multiply(panel, rows.data, rows.rows, out.y.row(begin).data());
      return;
    }
    acc.reserve_discard((kMaxChunkRows + product_rows(n_compensated)) * stride);
    w.multiply(panel, rows.data, rows.rows, acc.data());
    if (n_compensated > 0) {
      // At once, while the panel is in a cache.
      float* const sums = acc.data() + kMaxChunkRows * stride;
      w.multiply(panel, slice(x, x.rows + compensated.first, x.rows + compensated.second).data,
                 n_compensated, sums);
      add_errors(x.compensated.subspan(compensated.first, n_compensated), begin, sums, stride,
                 acc.data());
    }
    Tile tile{.acc = acc.data(), .rows = rows.rows, .cols = w.cols(panel)};
    tile.acc_stride = stride;
    tile.row_scale = rows.scale;
    tile.col_scale = w.col_scale(panel);
    tile.bias = out.bias.empty() ? nullptr : out.bias.data() + first;
    tile.activation = out.activation;
    tile.accumulate = out.accumulate;
    tile.to_type = to_y ? Compute::kF32 : out.next.type;
    tile.stride = to_y ? out.y.cols() : out.next.stride;
    tile.to = static_cast<std::byte*>(to_y ? out.y.data() : out.next.data) +
              (begin * tile.stride + first) * bytes_per_element(tile.to_type);
    finish_tile(tile);
    if (!to_y && out.next.type == Compute::kBF16 && !out.next.compensated.empty())
      keep_errors(tile, out.next, begin, first, compensated_between(out.next, begin, end));
  };
  // All chunks of a panel before the next panel: weights, the larger side, are read once.
  pool.run(w.n_panel() * n_chunk, std::ref(tile_task));
}

// A scale per row needs the whole row: f32 first, as many rows at a time as stay in a cache.
void multiply_to_int8(ThreadPool& pool, const Operand& x, const CpuWeight& w,
                      const ProductOut& out) {
  thread_local Buffer<float> f32;
  // Compensated rows are known by their place in x, so that x stays whole then.
  const size_t piece = x.compensated.empty() ? kMaxChunkRows * divide_up(pool.size(), 8)
                                             : std::max<size_t>(x.rows, 1);
  f32.reserve_discard(std::min(x.rows, piece) * w.n_out);
  for (size_t begin = 0; begin < x.rows; begin += piece) {
    const size_t end = std::min(begin + piece, x.rows);
    ProductOut part = out;
    part.y = {f32.data(), end - begin, w.n_out};
    multiply_tiles(pool, x.compensated.empty() ? slice(x, begin, end) : x, w, part);
    convert(pool, part.y, Activation::kNone, slice(out.next, begin, end));
  }
}

}  // namespace

bool supports(Compute compute) { return compute == Compute::kF32 || has_dot_kernel(compute); }

void matmul(ThreadPool& pool, const Operand& x, const PackedWeight& w, const ProductOut& out) {
  const auto* weight = dynamic_cast<const CpuWeight*>(&w);
  const bool to_y = out.y.data() != nullptr;
  FATHOM_ASSERT(weight != nullptr);
  FATHOM_ASSERT(x.type == w.compute && x.cols == w.n_in && x.stride >= x.cols);
  FATHOM_ASSERT((to_y ? out.y.rows() : out.next.rows) == x.rows);
  FATHOM_ASSERT((to_y ? out.y.cols() : out.next.cols) == w.n_out);
  FATHOM_ASSERT(to_y || (out.next.stride >= w.n_out && !out.accumulate));
  FATHOM_ASSERT(out.bias.empty() || out.bias.size() == w.n_out);
  if (x.rows == 0) return;
  FATHOM_ASSERT((x.type == Compute::kInt8) == (x.scale != nullptr));
  FATHOM_ASSERT(x.compensated.empty() || x.type == Compute::kBF16);
  const Operand dense = x.stride == x.cols ? x : without_gaps(pool, x);
  if (!to_y && out.next.type == Compute::kInt8) {
    multiply_to_int8(pool, dense, *weight, out);
  } else {
    multiply_tiles(pool, dense, *weight, out);
  }
}

std::string matmul_description() {
  const PanelProduct* f32 = PanelProduct::find(256, kBlockCols);
  std::string text =
      concat(onednn_version(), ", f32 ", f32 == nullptr ? "own kernel" : f32->implementation());
  for (Compute compute : {Compute::kBF16, Compute::kInt8}) {
    text += concat(", ", name_of(compute), " ", name_of(dot_kernel(compute)));
  }
  return text;
}

}  // namespace fathom::cpu
