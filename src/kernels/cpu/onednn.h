// SPDX-License-Identifier: Apache-2.0
// oneDNN's matmul primitive for the f32 products of one weight panel: (rows, n_in) · (n_in, n_out)
// on the calling thread. The only file that knows oneDNN, 2.6 (Debian 12) or 3 (Debian 13).
//
// Used are oneDNN's "brg" implementations alone (brg: in 2.6 and 3.1, brg_matmul: in 3.7), on the
// layout that oneDNN itself would choose: there every row was measured to be bit-identical for any
// number of rows (the K loop is never split over threads and runs in order). That is measured anew
// in every process, at the first product, values included; an implementation that fails is not used
// (docs/numerics.md). They take left and right sides without gaps only, and write results without
// gaps.
//
// bf16 and int8 are kernels of our own (kernels/cpu/dot_kernel.h): with AMX, oneDNN 2.6 changes the
// bits of a row with the number of rows from n_in = 4096 on, all versions change implementations
// with the number of rows where a panel is narrow, and oneDNN 3 has no public way to describe the
// layout that int8 needs without AMX.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>

#include "kernels/backend.h"

struct dnnl_memory;

namespace fathom::cpu {

// Weights are packed in blocks of kBlockCols output channels. A unit is what the instructions
// multiply at once along n_in: 1 f32, 2 bf16 or 4 int8, always 4 bytes. A block is
// (padded_units(n_in), kBlockCols) units; what n_in and n_out do not fill is zero. A panel is one
// or more blocks (oneDNN's BA16a64b, BA16a64b2a and BA16a64b4a).
inline constexpr size_t kBlockCols = 64;
inline constexpr size_t kUnitBytes = 4;
inline constexpr size_t elements_per_unit(Compute c) {
  return c == Compute::kF32 ? 1 : c == Compute::kBF16 ? 2 : 4;
}
inline constexpr size_t padded_units(Compute compute, size_t n_in) {
  const size_t per_tile = 16 * elements_per_unit(compute);
  return (n_in + per_tile - 1) / per_tile * 16;
}

// Rows of one call are rounded up so that few shapes occur, more finely where one row more is felt:
// a sentence alone. Never beyond padded_rows(rows).
inline constexpr size_t kFineRowPad = 4, kFineRows = 32;
inline constexpr size_t product_rows(size_t rows) {
  if (rows > kFineRows) return padded_rows(rows);
  return (rows + kFineRowPad - 1) / kFineRowPad * kFineRowPad;
}
// At most this many. More rows gain less than 2 % (measured).
inline constexpr size_t kMaxChunkRows = 128;

// One shape of f32 panel. Immutable but for the primitives, which are made at the first product of
// their number of rows. Thread-safe; lives forever.
class PanelProduct {
 public:
  static constexpr size_t kColPad = 16;
  static constexpr size_t kMinCols = 32;  // the narrowest that was measured

  // n_out: a multiple of kColPad, at least kMinCols. nullptr where oneDNN has no such
  // implementation on this CPU, or not the same one for every number of rows.
  static const PanelProduct* find(size_t n_in, size_t n_out);

  ~PanelProduct();

  // As oneDNN names it, e.g. "brg:avx512_core".
  const std::string& implementation() const { return implementation_; }

  // oneDNN's handle for a panel at `packed`, 64-byte aligned, its padding zero; only reads it.
  struct FreeMemory {
    void operator()(dnnl_memory* memory) const;
  };
  using Weights = std::unique_ptr<dnnl_memory, FreeMemory>;
  Weights bind(const float* packed) const;

  // acc = x w. x: (rows, n_in); acc: (rows, n_out). rows: as product_rows() gives them, at most
  // kMaxChunkRows.
  void run(size_t rows, const float* x, const Weights& weights, float* acc) const;

 private:
  struct Shape;
  struct Primitive;
  explicit PanelProduct(std::unique_ptr<Shape> shape, std::string implementation);
  static std::unique_ptr<PanelProduct> make(size_t n_in, size_t n_out);
  static const std::string& checked_implementation();
  const Primitive& primitive(size_t rows) const;

  std::unique_ptr<Shape> shape_;
  std::string implementation_;
  mutable std::mutex mutex_;  // held while a primitive is made
  mutable std::array<std::atomic<const Primitive*>, kMaxChunkRows / kFineRowPad> primitives_{};
};

// e.g. "oneDNN 2.6.3".
std::string onednn_version();

}  // namespace fathom::cpu
