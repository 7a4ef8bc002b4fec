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
  product_ = PanelProduct::find(compute, n_in, panel_cols_);
  dot_kernel_ = replaces_onednn(compute, product_);  // which computes whole blocks
  last_acc_cols_ = std::max(round_up(last_cols, dot_kernel_ ? kBlockCols : PanelProduct::kColPad),
                            PanelProduct::kMinCols);
  last_product_ = PanelProduct::find(compute, n_in, last_acc_cols_);
  if (product_ == nullptr || last_product_ == nullptr) {
    FATHOM_REQUIRE(compute == Compute::kF32, "this CPU has no ", name_of(compute),
                   " products of width ", n_in, "; use f32");
    product_ = last_product_ = nullptr;
    last_acc_cols_ = round_up(last_cols, kBlockCols);
  }
  const auto bytes_of = [&](size_t panel) {
    const size_t blocks = divide_up(this->cols(panel), kBlockCols) * block_bytes_;
    return round_up(product_ ? std::max(blocks, product(panel)->packed_bytes()) : blocks,
                    kAlignment);
  };
  panel_bytes_ = bytes_of(0);
  panels_bytes_ = (n_panel() - 1) * panel_bytes_ + bytes_of(n_panel() - 1);
  bytes = panels_bytes_;
  if (compute == Compute::kInt8) bytes += round_up(n_out, kBlockCols) * sizeof(float);
}

CpuWeight::CpuWeight(size_t n_out, size_t n_in, Compute compute) {
  plan(n_out, n_in, compute);
  memory_ = RawMemory(bytes);
  image = {memory_.data(), bytes};
  // oneDNN asks for more behind the blocks than pack_block() fills.
  for (size_t p = 0; p < n_panel(); ++p) {
    const size_t blocks = divide_up(cols(p), kBlockCols) * block_bytes_;
    const size_t end = is_last(p) ? panels_bytes_ - p * panel_bytes_ : panel_bytes_;
    std::memset(memory_.data() + p * panel_bytes_ + blocks, 0, end - blocks);
  }
}

CpuWeight::CpuWeight(size_t n_out, size_t n_in, Compute compute, std::span<const std::byte> image) {
  plan(n_out, n_in, compute);
  FATHOM_REQUIRE(image.size() == bytes, "expected ", bytes, " bytes, got ", image.size());
  FATHOM_ASSERT(reinterpret_cast<uintptr_t>(image.data()) % kAlignment == 0);
  this->image = image;
  bind_panels();
}

void CpuWeight::bind_panels() {
  if (product_ == nullptr || dot_kernel_) return;
  for (size_t p = 0; p < n_panel(); ++p) bound_.push_back(product(p)->bind(panel_data(p)));
}

void CpuWeight::multiply(size_t panel, const void* x, size_t rows, void* acc) const {
  if (product_ == nullptr) {
    multiply_f32(static_cast<const float*>(x), product_rows(rows), n_in,
                 reinterpret_cast<const float*>(panel_data(panel)), acc_cols(panel),
                 static_cast<float*>(acc));
  } else if (dot_kernel_) {
    const size_t blocks = divide_up(cols(panel), kBlockCols) * block_bytes_;
    const auto* after = reinterpret_cast<const int32_t*>(panel_data(panel) + blocks);
    multiply_dot(compute, x, rows, n_in, panel_data(panel), acc_cols(panel),
                 product_->has_compensation() ? after : nullptr, acc);
  } else {
    product(panel)->run(product_rows(rows), x, bound_[panel], acc);
  }
}

std::byte* CpuWeight::block(size_t index) const {
  const size_t per_panel = panel_cols_ / kBlockCols;
  return memory_.data() + index / per_panel * panel_bytes_ + index % per_panel * block_bytes_;
}

int32_t* CpuWeight::compensation(size_t index) const {
  if (product_ == nullptr || !product_->has_compensation()) return nullptr;
  const size_t per_panel = panel_cols_ / kBlockCols, first = index / per_panel * per_panel;
  const size_t n_block_of_panel = divide_up(cols(index / per_panel), kBlockCols);
  auto* after = reinterpret_cast<int32_t*>(block(first) + n_block_of_panel * block_bytes_);
  return after + (index - first) * kBlockCols;
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
  if (int32_t* sums = compensation(index)) {
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

std::string image_layout() {
  return concat("panels ", kImageVersion, "; ", matmul_description(), "; ", instruction_set());
}

}  // namespace fathom::cpu
