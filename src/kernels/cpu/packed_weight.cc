// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/packed_weight.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>
#include <numeric>

#include "base/buffer.h"
#include "base/error.h"
#include "kernels/cpu/dot_kernel.h"
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/tile.h"
#include "kernels/cpu/widening_kernel.h"

namespace fathom::cpu {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kMinPanelSize = 32768;  // n_in by columns
constexpr size_t kMaxPanelCols = 1024;

// Columns of a panel. By n_out: few enough that small batches keep many threads busy, 12 to 32
// panels for common widths. By n_in: enough work for what a tile costs beside its product.
size_t panel_cols(size_t n_in, size_t n_out) {
  const size_t by_width = n_out <= 1024 ? 64 : n_out <= 4096 ? 128 : 256;
  const size_t by_work = round_up(divide_up(kMinPanelSize, n_in), kBlockCols);
  return std::min(std::max(by_width, std::min(by_work, kMaxPanelCols)),
                  round_up(n_out, kBlockCols));
}

}  // namespace

RawMemory::RawMemory(size_t bytes) {
  constexpr size_t kHugePage = size_t{1} << 21;
  const size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(alignment, round_up(bytes, alignment))));
  if (!data_) throw std::bad_alloc();
  // Weights are streamed through once per product: fewer, larger pages save address look-ups.
  if (alignment == kHugePage) ::madvise(data_.get(), bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
}

void CpuWeight::plan(size_t rows, size_t cols, Compute type) {
  n_out = rows;
  n_in = cols;
  compute = type;
  panel_cols_ = panel_cols(n_in, n_out);
  block_bytes_ = padded_units(compute, n_in) * kBlockCols * kUnitBytes;
  const size_t last_cols = this->cols(n_panel() - 1);
  if (compute == Compute::kF32) {
    last_acc_cols_ = std::max(round_up(last_cols, PanelProduct::kColPad), PanelProduct::kMinCols);
    product_ = PanelProduct::find(n_in, panel_cols_);
    last_product_ = PanelProduct::find(n_in, last_acc_cols_);
    if (product_ == nullptr || last_product_ == nullptr) product_ = last_product_ = nullptr;
  } else {
    FATHOM_REQUIRE(has_dot_kernel(compute), "this CPU has no ", name_of(compute),
                   " products; use f32");
  }
  // Kernels of our own compute whole blocks.
  if (product_ == nullptr) last_acc_cols_ = round_up(last_cols, kBlockCols);
  const size_t compensation =
      compute == Compute::kInt8 ? kBlockCols * sizeof(int32_t) : 0;  // of a block
  const auto bytes_of = [&](size_t panel) {
    return blocks_bytes(panel) + divide_up(this->cols(panel), kBlockCols) * compensation;
  };
  static_assert(kBlockCols * sizeof(int32_t) % kAlignment == 0);  // so panels stay aligned
  panel_bytes_ = bytes_of(0);
  panels_bytes_ = (n_panel() - 1) * panel_bytes_ + bytes_of(n_panel() - 1);
  bytes = panels_bytes_;
  if (compute == Compute::kInt8) bytes += round_up(n_out, kBlockCols) * sizeof(float);
}

CpuWeight::CpuWeight(size_t n_out, size_t n_in, Compute compute) {
  plan(n_out, n_in, compute);
  memory_ = RawMemory(bytes);
  blob = {memory_.data(), bytes};
}

CpuWeight::CpuWeight(size_t n_out, size_t n_in, Compute compute, std::span<const std::byte> blob) {
  plan(n_out, n_in, compute);
  FATHOM_REQUIRE(blob.size() == bytes, "expected ", bytes, " bytes, got ", blob.size());
  FATHOM_ASSERT(reinterpret_cast<uintptr_t>(blob.data()) % kAlignment == 0);
  this->blob = blob;
  bind_panels();
}

void CpuWeight::bind_panels() {
  if (product_ == nullptr) return;
  for (size_t p = 0; p < n_panel(); ++p) {
    bound_.push_back(product(p)->bind(reinterpret_cast<const float*>(panel_data(p))));
  }
}

void CpuWeight::multiply(size_t panel, const void* x, size_t rows, void* acc) const {
  if (compute != Compute::kF32) {
    const auto* after = reinterpret_cast<const int32_t*>(panel_data(panel) + blocks_bytes(panel));
    multiply_dot(compute, x, rows, n_in, panel_data(panel), acc_cols(panel),
                 compute == Compute::kInt8 ? after : nullptr, acc);
  } else if (product_ == nullptr) {
    multiply_widening(compute, x, rows, n_in, panel_data(panel), acc_cols(panel), acc);
  } else {
    product(panel)->run(product_rows(rows), static_cast<const float*>(x), bound_[panel],
                        static_cast<float*>(acc));
  }
}

std::byte* CpuWeight::block(size_t index) const {
  const size_t per_panel = panel_cols_ / kBlockCols;
  return memory_.data() + index / per_panel * panel_bytes_ + index % per_panel * block_bytes_;
}

int32_t* CpuWeight::compensation(size_t index) const {
  const size_t per_panel = panel_cols_ / kBlockCols, panel = index / per_panel;
  std::byte* const after = memory_.data() + panel * panel_bytes_ + blocks_bytes(panel);
  return reinterpret_cast<int32_t*>(after) + index % per_panel * kBlockCols;
}

float* CpuWeight::scales(size_t index) const {
  return reinterpret_cast<float*>(memory_.data() + panels_bytes_) + index * kBlockCols;
}

void CpuWeight::pack_block(ThreadPool& pool, const WeightRows& rows, size_t index) {
  thread_local Buffer<float> f32;         // (kBlockCols, n_in)
  thread_local Buffer<uint32_t> rounded;  // (kBlockCols, n_unit) in the type of the product
  const size_t begin = index * kBlockCols;
  const size_t end = std::min(begin + kBlockCols, n_out);
  const size_t per_unit = elements_per_unit(compute);
  const size_t n_unit = divide_up(n_in, per_unit);
  const auto finish = [&](const void* from) {
    cpu::pack_block(from, end - begin, n_unit, n_unit, padded_units(compute, n_in), block(index));
  };
  if (!rows.stored.empty() && rows.stored_type == compute && n_in % per_unit == 0) {
    // Through a buffer: packing reads down the rows, which cold memory is slow at.
    rounded.reserve_discard(kBlockCols * n_unit);
    const size_t row_bytes = n_unit * kUnitBytes;
    std::memcpy(rounded.data(), rows.stored.data() + begin * row_bytes, (end - begin) * row_bytes);
    finish(rounded.data());
    return;
  }
  f32.reserve_discard(kBlockCols * n_in);
  rows.read(begin, end, f32.data());
  if (compute == Compute::kF32) {
    finish(f32.data());
    return;
  }
  rounded.reserve_discard(kBlockCols * n_unit);
  if (n_in % per_unit != 0) std::ranges::fill(rounded.span().first(kBlockCols * n_unit), 0u);
  Operand out{.type = compute, .data = rounded.data(), .rows = end - begin, .cols = n_in};
  out.stride = n_unit * per_unit;
  if (compute == Compute::kInt8) {
    out.scale = scales(index);
    std::fill_n(out.scale, kBlockCols, 0.0f);
  }
  convert(pool, {f32.data(), end - begin, n_in}, Activation::kNone, out);
  if (compute == Compute::kInt8) {
    int32_t* const sums = compensation(index);
    std::fill_n(sums, kBlockCols, 0);
    for (size_t row = 0; row < out.rows; ++row) {
      const auto* w = static_cast<const int8_t*>(out.data) + row * out.stride;
      sums[row] = -128 * std::accumulate(w, w + n_in, int32_t{0});
    }
  }
  finish(rounded.data());
}

std::unique_ptr<PackedWeight> pack(ThreadPool& pool, const WeightRows& rows, Compute compute) {
  FATHOM_ASSERT(rows.n_out > 0 && rows.n_in > 0);
  FATHOM_ASSERT(rows.stored.empty() ||
                (rows.stored_type != Compute::kInt8 &&
                 rows.stored.size() ==
                     rows.n_out * rows.n_in * kUnitBytes / elements_per_unit(rows.stored_type)));
  auto weight = std::make_unique<CpuWeight>(rows.n_out, rows.n_in, compute);
  pool.run(weight->n_block(), [&](size_t i) { weight->pack_block(pool, rows, i); });
  weight->bind_panels();
  return weight;
}

std::string blob_layout() {
  return concat("panels ", kBlobVersion, "; ", matmul_description(), "; ", instruction_set());
}

}  // namespace fathom::cpu
