// SPDX-License-Identifier: Apache-2.0
// CpuWeight: the weights of a product in panels of output channels, each in the layout that its
// inner product reads (kernels/cpu/onednn.h). Immutable once packed, and one piece of memory, which
// a cache can write down and map again:
//
//   panel 0, panel 1, ...   blocks of 64 channels, then, int8 only, -128 Σ w as int32 per channel of
//                           them; each panel starts on 64 bytes, the last one may be narrower
//   scales                  int8 only: f32 per output channel, rounded up to whole blocks
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/parallel.h"

namespace fathom::cpu {

// Counts the layouts of that memory: add one with every change to what pack() writes for the same
// weights, else caches made before would be believed.
inline constexpr int kBlobVersion = 2;

// Memory for packed weights, not touched before the threads that pack fill it.
class RawMemory {
 public:
  RawMemory() = default;
  explicit RawMemory(size_t bytes);  // throws std::bad_alloc
  std::byte* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
};

class CpuWeight final : public PackedWeight {
 public:
  // With memory of its own: pack() fills every block and then binds. Throws Error where this CPU
  // has no such products.
  CpuWeight(size_t n_out, size_t n_in, Compute compute);
  // On the blob of another; as Backend::adopt.
  CpuWeight(size_t n_out, size_t n_in, Compute compute, std::span<const std::byte> blob);

  size_t n_panel() const { return divide_up(n_out, panel_cols_); }
  size_t first_col(size_t panel) const { return panel * panel_cols_; }
  size_t cols(size_t panel) const { return std::min(panel_cols_, n_out - first_col(panel)); }
  // Columns that multiply() computes and writes.
  size_t acc_cols(size_t panel) const { return is_last(panel) ? last_acc_cols_ : panel_cols_; }
  // (acc_cols(panel)) of a panel; nullptr unless kInt8.
  const float* col_scale(size_t panel) const {
    if (compute != Compute::kInt8) return nullptr;
    return reinterpret_cast<const float*>(blob.data() + panels_bytes_) + first_col(panel);
  }
  // acc: (rows, acc_cols(panel)) = x w. Memory of x and acc for product_rows(rows) rows: what is
  // behind `rows` is read, and written, by oneDNN.
  void multiply(size_t panel, const void* x, size_t rows, void* acc) const;

  // Packs output channels [64 index, 64 index + 64), index < n_block(). Thread-safe for different
  // blocks.
  void pack_block(ThreadPool& pool, const WeightRows& rows, size_t index);
  size_t n_block() const { return divide_up(n_out, kBlockCols); }
  void bind_panels();  // once all blocks are packed

 private:
  void plan(size_t n_out, size_t n_in, Compute compute);
  bool is_last(size_t panel) const { return panel + 1 == n_panel(); }
  const PanelProduct* product(size_t panel) const {
    return is_last(panel) ? last_product_ : product_;
  }
  const std::byte* panel_data(size_t panel) const { return blob.data() + panel * panel_bytes_; }
  // Bytes of the blocks of a panel, behind which its compensation stands.
  size_t blocks_bytes(size_t panel) const {
    return divide_up(cols(panel), kBlockCols) * block_bytes_;
  }
  // Where block `index` is packed, with (kBlockCols) each, kInt8 only: compensation, scales.
  std::byte* block(size_t index) const;
  int32_t* compensation(size_t index) const;
  float* scales(size_t index) const;

  size_t panel_cols_ = 0, last_acc_cols_ = 0, block_bytes_ = 0;
  size_t panel_bytes_ = 0;   // from one panel to the next
  size_t panels_bytes_ = 0;  // of all panels
  // kF32 only, of all panels but the last, and of the last; nullptr: multiply_widening.
  const PanelProduct* product_ = nullptr;
  const PanelProduct* last_product_ = nullptr;
  RawMemory memory_;                          // empty if adopted
  std::vector<PanelProduct::Weights> bound_;  // (n_panel) if oneDNN multiplies
};

// As Backend::pack: reads 64 rows at a time on each thread. Throws Error where this CPU has no such
// products.
std::unique_ptr<PackedWeight> pack(ThreadPool& pool, const WeightRows& rows, Compute compute);

// As Backend::blob_layout.
std::string blob_layout();

}  // namespace fathom::cpu
