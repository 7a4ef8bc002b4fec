// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/matmul.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <numeric>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/dtype.h"
#include "base/error.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tile.h"

namespace fathom::cpu {
namespace {

constexpr size_t kMinPanelSize = 32768;  // n_in by columns
constexpr size_t kMaxPanelCols = 1024;

size_t round_up(size_t n, size_t multiple) { return divide_up(n, multiple) * multiple; }

// Columns of a panel. By n_out: few enough that small batches keep many threads busy, 12 to 32
// panels for common widths. By n_in: enough work for what a tile costs beside its product.
size_t panel_cols(size_t n_in, size_t n_out) {
  const size_t by_width = n_out <= 1024 ? 64 : n_out <= 4096 ? 128 : 256;
  const size_t by_work = round_up(divide_up(kMinPanelSize, n_in), kBlockCols);
  return std::min(std::max(by_width, std::min(by_work, kMaxPanelCols)),
                  round_up(n_out, kBlockCols));
}

// Memory for packed weights, not touched before the threads that pack fill it.
class RawMemory {
 public:
  RawMemory() = default;
  explicit RawMemory(size_t bytes) {
    constexpr size_t kHugePage = size_t{1} << 21;
    const size_t alignment = bytes >= kHugePage ? kHugePage : 64;
    data_.reset(static_cast<std::byte*>(std::aligned_alloc(alignment, round_up(bytes, alignment))));
    if (!data_) throw std::bad_alloc();
    // Weights are streamed through once per product: fewer, larger pages save address look-ups.
    if (alignment == kHugePage)
      ::madvise(data_.get(), bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  }
  std::byte* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
};

// Equal panels and perhaps a narrower one at the end.
class CpuWeight final : public PackedWeight {
 public:
  CpuWeight(size_t rows, size_t cols, Compute type);

  size_t n_panel() const { return divide_up(n_out, panel_cols_); }
  size_t first_col(size_t panel) const { return panel * panel_cols_; }
  size_t cols(size_t panel) const { return std::min(panel_cols_, n_out - first_col(panel)); }
  // Columns that multiply() computes and writes.
  size_t acc_cols(size_t panel) const { return is_last(panel) ? last_acc_cols_ : panel_cols_; }

  size_t n_block() const { return divide_up(n_out, kBlockCols); }
  std::byte* block(size_t index) const {
    const size_t per_panel = panel_cols_ / kBlockCols;
    return panel_data(index / per_panel) + index % per_panel * block_bytes_;
  }
  // (kBlockCols) of a block, or nullptr if the product needs none.
  int32_t* compensation(size_t index) const {
    if (product_ == nullptr || !product_->has_compensation()) return nullptr;
    const size_t per_panel = panel_cols_ / kBlockCols;
    const size_t panel = index / per_panel;
    std::byte* after = panel_data(panel) + divide_up(cols(panel), kBlockCols) * block_bytes_;
    return reinterpret_cast<int32_t*>(after) + index % per_panel * kBlockCols;
  }
  float* col_scale() { return col_scale_.data(); }
  const float* col_scale(size_t panel) const {
    return compute == Compute::kInt8 ? col_scale_.data() + first_col(panel) : nullptr;
  }

  void bind_panels();  // once all blocks are packed
  // acc: (rows, acc_cols(panel))
  void multiply(size_t panel, const void* x, size_t rows, void* acc) const;

 private:
  bool is_last(size_t panel) const { return panel + 1 == n_panel(); }
  const PanelProduct* product(size_t panel) const {
    return is_last(panel) ? last_product_ : product_;
  }
  std::byte* panel_data(size_t panel) const { return memory_.data() + panel * panel_bytes_; }

  size_t panel_cols_, last_acc_cols_, block_bytes_, panel_bytes_;
  const PanelProduct* product_ = nullptr;       // nullptr: our own
  const PanelProduct* last_product_ = nullptr;  // for the last panel
  RawMemory memory_;
  std::vector<PanelProduct::Weights> bound_;  // (n_panel) if oneDNN multiplies
  Buffer<float> col_scale_;                   // (n_out, rounded up to whole blocks), kInt8 only
};

CpuWeight::CpuWeight(size_t rows, size_t cols, Compute type) {
  n_out = rows;
  n_in = cols;
  compute = type;
  panel_cols_ = panel_cols(n_in, n_out);
  block_bytes_ = padded_units(compute, n_in) * kBlockCols * kUnitBytes;
  const size_t last_cols = this->cols(n_panel() - 1);
  last_acc_cols_ = std::max(round_up(last_cols, PanelProduct::kColPad), PanelProduct::kMinCols);
  product_ = PanelProduct::find(compute, n_in, panel_cols_);
  last_product_ = PanelProduct::find(compute, n_in, last_acc_cols_);
  if (product_ == nullptr || last_product_ == nullptr) {
    FATHOM_REQUIRE(compute == Compute::kF32, "this CPU has no ", name_of(compute),
                   " products of width ", n_in, "; use f32");
    product_ = last_product_ = nullptr;
    last_acc_cols_ = round_up(last_cols, kBlockCols);
  }
  const auto bytes_of = [&](size_t panel) {
    const size_t blocks = divide_up(this->cols(panel), kBlockCols) * block_bytes_;
    return product_ == nullptr ? blocks : std::max(blocks, product(panel)->packed_bytes());
  };
  panel_bytes_ = round_up(bytes_of(0), 64);
  bytes = (n_panel() - 1) * panel_bytes_ + bytes_of(n_panel() - 1);
  memory_ = RawMemory(bytes);
  if (compute == Compute::kInt8) {
    col_scale_.reserve_discard(round_up(n_out, kBlockCols));
    bytes += col_scale_.size() * sizeof(float);
  }
}

void CpuWeight::bind_panels() {
  if (product_ == nullptr) return;
  for (size_t p = 0; p < n_panel(); ++p) bound_.push_back(product(p)->bind(panel_data(p)));
}

void CpuWeight::multiply(size_t panel, const void* x, size_t rows, void* acc) const {
  if (product_ == nullptr) {
    multiply_f32(static_cast<const float*>(x), rows, n_in,
                 reinterpret_cast<const float*>(panel_data(panel)), acc_cols(panel),
                 static_cast<float*>(acc));
  } else {
    product(panel)->run(rows, x, bound_[panel], acc);
  }
}

// Packs output channels [64 index, 64 index + 64).
void pack_channels(ThreadPool& pool, const WeightRows& rows, CpuWeight& weight, size_t index) {
  thread_local Buffer<float> f32;         // (kBlockCols, n_in)
  thread_local Buffer<uint32_t> rounded;  // (kBlockCols, n_unit) in the type of the product
  const size_t begin = index * kBlockCols;
  const size_t end = std::min(begin + kBlockCols, rows.n_out);
  const size_t n_in = rows.n_in;
  f32.reserve_discard(kBlockCols * n_in);
  rows.read(begin, end, f32.data());

  const size_t per_unit = elements_per_unit(weight.compute);
  const size_t n_unit = divide_up(n_in, per_unit);
  const void* from = f32.data();
  if (weight.compute != Compute::kF32) {
    rounded.reserve_discard(kBlockCols * n_unit);
    if (n_in % per_unit != 0) std::ranges::fill(rounded.span().first(kBlockCols * n_unit), 0u);
    Operand out{.type = weight.compute, .data = rounded.data(), .rows = end - begin, .cols = n_in};
    out.stride = n_unit * per_unit;
    if (weight.compute == Compute::kInt8) out.scale = weight.col_scale() + begin;
    convert(pool, {f32.data(), end - begin, n_in}, Activation::kNone, out);
    from = rounded.data();
    if (int32_t* compensation = weight.compensation(index)) {
      std::fill_n(compensation, kBlockCols, 0);
      for (size_t row = 0; row < out.rows; ++row) {
        const auto* w = static_cast<const int8_t*>(out.data) + row * out.stride;
        compensation[row] = -128 * std::accumulate(w, w + n_in, int32_t{0});
      }
    }
  }
  pack_block(from, end - begin, n_unit, n_unit, padded_units(weight.compute, n_in),
             weight.block(index));
}

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

// Rows [begin, end) of an operand.
Operand slice(Operand x, size_t begin, size_t end) {
  x.data = static_cast<std::byte*>(x.data) + begin * x.stride * bytes_per_element(x.type);
  if (x.scale != nullptr) x.scale += begin;
  x.rows = end - begin;
  return x;
}

// The same rows, and the errors of exact ones, without gaps, in scratch of this thread.
Operand without_gaps(ThreadPool& pool, const Operand& x) {
  thread_local Buffer<std::byte> rows;
  const size_t row_bytes = x.cols * bytes_per_element(x.type);
  rows.reserve_discard(operand_rows(x.rows, x.exact.size()) * row_bytes);
  Operand dense = x;
  dense.data = rows.data();
  dense.stride = x.cols;
  for_rows(pool, x.rows + x.exact.size(), x.cols, [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      std::memcpy(slice(dense, r, r + 1).data, slice(x, r, r + 1).data, row_bytes);
    }
  });
  return dense;
}

// The exact rows within [begin, end), as a range of indices of x.exact.
std::pair<size_t, size_t> exact_between(const Operand& x, size_t begin, size_t end) {
  const auto at = [&x](size_t row) {
    return static_cast<size_t>(std::ranges::lower_bound(x.exact, row) - x.exact.begin());
  };
  return {at(begin), at(end)};
}

// Rows of `sums` (n, stride) are added to the rows of exact ones: acc is of rows from `first` on.
void add_errors(std::span<const uint32_t> exact, size_t first, const float* sums, size_t stride,
                size_t cols, float* acc, size_t acc_stride) {
  for (size_t i = 0; i < exact.size(); ++i) {
    float* row = acc + (exact[i] - first) * acc_stride;
    for (size_t c = 0; c < cols; ++c) row[c] += sums[i * stride + c];
  }
}

// The rounding errors of exact rows of a bf16 result: once more in f32, less what was stored.
void keep_errors(Tile tile, const Operand& next, size_t first_row, size_t first_col,
                 std::pair<size_t, size_t> exact) {
  thread_local Buffer<float> f32;
  f32.reserve_discard(tile.cols);
  const auto* sums = static_cast<const float*>(tile.acc);
  tile.rows = 1;
  tile.to = f32.data();
  tile.to_type = Compute::kF32;
  for (size_t i = exact.first; i < exact.second; ++i) {
    tile.acc = sums + (next.exact[i] - first_row) * tile.acc_stride;
    finish_tile(tile);
    BF16* const error = static_cast<BF16*>(next.data) + (next.rows + i) * next.stride + first_col;
    for (size_t c = 0; c < tile.cols; ++c) {
      error[c] = to_bf16(f32.data()[c] - to_f32(to_bf16(f32.data()[c])));
    }
  }
}

// A left side without gaps to y or, f32 and bf16, to next.
void multiply_tiles(ThreadPool& pool, const Operand& x, const CpuWeight& w, const ProductOut& out) {
  thread_local Buffer<float> error_sums;  // (n_exact, n_out) where there are several chunks
  const bool to_y = out.y.data() != nullptr;
  const size_t n_exact = x.exact.size();
  // The errors of exact rows ride along behind the last row where one chunk holds them all, and so
  // cost no second reading of the weights; else they are a product of their own.
  const bool together = n_exact > 0 && padded_rows(x.rows + n_exact) <= kMaxChunkRows;
  const size_t chunk =
      together ? x.rows : chunk_rows(padded_rows(x.rows), w.n_panel(), pool.size());
  const size_t n_chunk = divide_up(x.rows, chunk);
  if (n_exact > 0 && !together) {
    error_sums.reserve_discard(padded_rows(n_exact) * w.n_out);
    Operand errors = slice(x, x.rows, x.rows + n_exact);
    errors.exact = {};
    multiply_tiles(pool, errors, w, {.y = {error_sums.data(), n_exact, w.n_out}});
  }
  const float* const errors = error_sums.data();
  const auto tile_task = [&](size_t i) {
    thread_local Buffer<float> acc;
    const size_t panel = i / n_chunk, begin = i % n_chunk * chunk;
    const size_t end = std::min(begin + chunk, x.rows);
    const size_t first = w.first_col(panel), stride = w.acc_cols(panel);
    const Operand rows = slice(x, begin, end);
    const auto exact = exact_between(x, begin, end);
    acc.reserve_discard(kMaxChunkRows * stride);
    w.multiply(panel, rows.data, padded_rows(rows.rows + (together ? n_exact : 0)), acc.data());
    if (exact.first < exact.second) {
      const float* sums =
          together ? acc.data() + x.rows * stride : errors + exact.first * w.n_out + first;
      add_errors(x.exact.subspan(exact.first, exact.second - exact.first), begin, sums,
                 together ? stride : w.n_out, w.cols(panel), acc.data(), stride);
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
    if (!to_y && out.next.type == Compute::kBF16 && !out.next.exact.empty())
      keep_errors(tile, out.next, begin, first, exact_between(out.next, begin, end));
  };
  // All chunks of a panel before the next panel: weights, the larger side, are read once.
  pool.run(w.n_panel() * n_chunk, std::ref(tile_task));
}

// A scale per row needs the whole row: f32 first, as many rows at a time as stay in a cache.
void multiply_to_int8(ThreadPool& pool, const Operand& x, const CpuWeight& w,
                      const ProductOut& out) {
  thread_local Buffer<float> f32;
  const size_t piece = kMaxChunkRows * divide_up(pool.size(), 8);
  f32.reserve_discard(std::min(x.rows, piece) * w.n_out);
  for (size_t begin = 0; begin < x.rows; begin += piece) {
    const size_t end = std::min(begin + piece, x.rows);
    ProductOut part = out;
    part.y = {f32.data(), end - begin, w.n_out};
    multiply_tiles(pool, slice(x, begin, end), w, part);
    convert(pool, part.y, Activation::kNone, slice(out.next, begin, end));
  }
}

}  // namespace

bool supports(Compute compute) {
  return compute == Compute::kF32 || PanelProduct::find(compute, 256, kBlockCols) != nullptr;
}

std::unique_ptr<PackedWeight> pack(ThreadPool& pool, const WeightRows& rows, Compute compute) {
  FATHOM_ASSERT(rows.n_out > 0 && rows.n_in > 0);
  auto weight = std::make_unique<CpuWeight>(rows.n_out, rows.n_in, compute);
  pool.run(weight->n_block(), [&](size_t i) { pack_channels(pool, rows, *weight, i); });
  weight->bind_panels();
  return weight;
}

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
  FATHOM_ASSERT(x.exact.empty() || x.type == Compute::kBF16);
  const Operand dense = x.stride == x.cols ? x : without_gaps(pool, x);
  if (!to_y && out.next.type == Compute::kInt8) {
    multiply_to_int8(pool, dense, *weight, out);
  } else {
    multiply_tiles(pool, dense, *weight, out);
  }
}

std::string matmul_description() {
  std::string text = onednn_version();
  for (Compute compute : {Compute::kF32, Compute::kBF16, Compute::kInt8}) {
    const PanelProduct* product = PanelProduct::find(compute, 256, kBlockCols);
    text += concat(", ", name_of(compute), " ",
                   product != nullptr         ? product->implementation()
                   : compute == Compute::kF32 ? "own kernel"
                                              : "none");
  }
  return text;
}

}  // namespace fathom::cpu
