// SPDX-License-Identifier: Apache-2.0
// Backend: the operators that model/ is written in. Two are built here:
//
//   reference   every operator as its formula, in plain loops: the ground truth for the others
//   cpu         oneDNN and own kernels for matrix products, Highway (run-time dispatch) for others
//
// A backend is immutable and may be used from many threads. An operator runs on the ThreadPool that
// the caller passes; one caller may use a pool at a time. Operators throw only std::bad_alloc:
// wrong shapes are bugs (FATHOM_ASSERT). Activations are f32, row-major and without gaps. A packed
// batch holds its sequences end to end: sequence s is rows [offsets[s], offsets[s + 1]). The result
// of a row depends only on that row and, through the recurrences, on the rows before it in its
// sequence. The number of rows, the other rows and the size of the pool do not matter.
//
// Legend: T tokens of the packed batch, C d_model, A attention width, H heads, N = A/H head size.
// Formulas: RWKV-4 (arXiv 2305.13048), RWKV-5/6 (2404.05892), RWKV-7 (2503.14456).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/matrix.h"
#include "base/thread_pool.h"

namespace fathom {

// Data type of matrix products. Sums are always f32.
enum class Compute : uint8_t {
  kF32,
  kBF16,  // weights and left-hand operands rounded to bf16
  kInt8,  // weights int8 per output channel, left-hand operands int8 per row, scales f32
};
std::string_view name_of(Compute compute);  // "f32", "bf16", "int8"

enum class Activation : uint8_t { kNone, kTanh, kSigmoid, kSilu, kReluSquared };

// Buffers of products have room for their rows rounded up to a multiple of this, so that few shapes
// occur. The contents of the extra rows are arbitrary.
inline constexpr size_t kRowPad = 16;
inline constexpr size_t padded_rows(size_t rows) {
  return (rows + kRowPad - 1) / kRowPad * kRowPad;
}
// Rows of room that the left-hand operand of a product needs: see Operand::compensated. Products
// read any range of the errors, rounded up like rows, so there is room behind the last one.
inline constexpr size_t operand_rows(size_t rows, size_t n_compensated) {
  return padded_rows(rows) + (n_compensated == 0 ? 0 : padded_rows(n_compensated) + kRowPad);
}

// The left-hand operand of a product, in the product's form; the operator before it writes it.
struct Operand {
  Compute type = Compute::kF32;  // that of Backend::operand_type()
  void* data = nullptr;    // (operand_rows(rows, compensated.size()), stride) float, BF16 or int8_t
  float* scale = nullptr;  // (padded_rows(rows)); kInt8 only: value = scale * integer
  size_t rows = 0, cols = 0;
  size_t stride = 0;  // elements from one row to the next, >= cols
  // Ascending; only of products in bf16. The rounding error of row compensated[i] is kept, in row
  // rows + i of data, and products add it, so that these rows are multiplied with 16 bits instead
  // of 8.
  std::span<const uint32_t> compensated = {};
};

// A weight matrix (n_out, n_in) in the layout its backend multiplies fastest. Immutable.
class PackedWeight {
 public:
  virtual ~PackedWeight() = default;
  size_t n_out = 0, n_in = 0;
  size_t bytes = 0;  // memory held, and read once per product
  Compute compute = Compute::kF32;
  // The packed blob that Backend::adopt() takes; empty if the backend has no such form.
  std::span<const std::byte> blob = {};
};

// Where a weight comes from: rows on demand, so that packing never holds a second whole copy.
struct WeightRows {
  size_t n_out = 0, n_in = 0;
  // Writes rows [begin, end) as f32 to out, (end - begin, n_in). Thread-safe.
  std::function<void(size_t begin, size_t end, float* out)> read = {};
  // What `read` converts, where that is f32 or bf16 without gaps: (n_out, n_in) of stored_type, at
  // any alignment. Packing for products of this type then takes the rows as they are. Else empty.
  std::span<const std::byte> stored = {};
  Compute stored_type = Compute::kF32;
};

// Where a product goes: y = activation(x wᵀ + bias), or y += x wᵀ.
struct ProductOut {
  Matrix<float> y = {};  // (T, n_out) f32, room for padded rows; or, if y.data() is null:
  Operand next = {};     // (T, n_out) the left-hand operand of a following product
  std::span<const float> bias = {};  // (n_out) or empty
  Activation activation = Activation::kNone;
  bool accumulate = false;  // only with y, no bias, no activation
};

// out = x + (previous - x) * (weight + dynamic): the previous token's row of x within the sequence.
struct Mix {
  const float* weight = nullptr;   // (C) share of the previous token
  const float* dynamic = nullptr;  // (T, C), added to weight; or nullptr
  Operand out = {};                // (T, C)
};
struct TokenShiftArgs {
  Matrix<const float> x = {};            // (T, C), output of ln1 or ln2
  std::span<const size_t> offsets = {};  // (n_sequence + 1)
  // (n_sequence) each (C): the row before the first; nullptr entry or empty span: zeros.
  std::span<const float* const> previous = {};
  std::span<const Mix> mixes = {};
};

struct Wkv4Args {
  Matrix<const float> k = {}, v = {};     // (T, A)
  std::span<const float> w = {}, u = {};  // (A): w = -exp(time_decay), u = time_first
  std::span<const size_t> offsets = {};   // (n_sequence + 1)
  // (n_sequence) each (3, A): aa, bb, pp, read and written; nullptr entry or empty span: fresh
  // state (aa = bb = 0, pp = -1e30), not kept.
  std::span<float* const> state = {};
  Matrix<float> y = {};  // (T, A): wkv, not yet multiplied by the receptance
};

struct Wkv6Args {  // v5 as well: there w and u do not depend on the token
  Matrix<const float> r = {}, k = {}, v = {};  // (T, A)
  Matrix<const float> w = {};     // (T, A) decay in [0, 1]; or (1, A), the same for every token
  std::span<const float> u = {};  // (A) bonus
  size_t head_size = 0;           // N
  std::span<const size_t> offsets = {};  // (n_sequence + 1)
  // (n_sequence) each (H, N key, N value), read and written; nullptr entry or empty span: zeros,
  // not kept.
  std::span<float* const> state = {};
  Matrix<float> y = {};  // (T, A)
};

// v7 before the recurrence; a0, w0, v0 and the LoRA products are already in w, a and v_gate.
struct Prepare7Args {
  Matrix<float> w = {};              // (T, A) in: z; out: exp(-exp(-1/2) sigmoid(z))
  Matrix<float> k = {};              // (T, A) in: k; out: k * (1 + (a - 1) * k_a)
  Matrix<float> a = {};              // (T, A) in: before the sigmoid; out: b = kk * a
  Matrix<float> kk = {};             // (T, A) out: kk = k * k_k / max(|k * k_k|_2 per head, 1e-12)
  Matrix<float> v = {};              // (T, A) in: v; out: v + (v_first - v) * sigmoid(v_gate)
  Matrix<const float> v_gate = {};   // (T, A); no rows in block 0: v stays
  Matrix<const float> v_first = {};  // (T, A); no rows in block 0
  std::span<const float> k_k = {}, k_a = {};  // (A)
  size_t head_size = 0;
};

struct Wkv7Args {
  Matrix<const float> r = {}, w = {}, k = {}, v = {}, kk = {},
                      b = {};  // (T, A); kk positive: the operator negates
  size_t head_size = 0;
  std::span<const size_t> offsets = {};
  std::span<float* const> state = {};  // each (H, N value, N key): transposed against v6
  Matrix<float> y = {};                // (T, A) = S r, with the updated S
};

// out = (group_norm(y) + bonus) * activation(gate)
struct GroupNormArgs {
  Matrix<const float> y = {};                     // (T, A)
  size_t head_size = 0;                           // one group per head
  std::span<const float> weight = {}, bias = {};  // (A)
  float eps = 0;
  // v7's bonus: (sum over the head of r * k * r_k) * v; no rows: none.
  Matrix<const float> r = {}, k = {}, v = {};  // (T, A)
  std::span<const float> r_k = {};             // (A)
  Matrix<const float> gate = {};               // (T, A); no rows: none
  Activation gate_activation = Activation::kNone;
  Operand out = {};  // (T, A)
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;
  // One line for `fathom info`: instruction set and how products are computed.
  virtual std::string description() const = 0;
  // How a left-hand operand for this kind of product is stored (the reference keeps f32 and rounds
  // later).
  virtual Compute operand_type(Compute compute) const = 0;
  // Whether this machine supports products of this type, and whether their rows are bit-identical
  // for any number of rows (docs/numerics.md).
  virtual bool supports(Compute compute) const = 0;
  virtual bool rows_are_exact(Compute compute) const = 0;

  virtual std::unique_ptr<PackedWeight> pack(ThreadPool& pool, const WeightRows& rows,
                                             Compute compute) const = 0;
  // What a packed blob depends on beside the weights: layout, library and instruction set. A blob
  // can be used if this string is the same. "": the backend has no blobs.
  virtual std::string blob_layout() const { return {}; }
  // A weight from the packed blob of an equal one. The blob is only read. It must outlive the
  // weight and be 64-byte aligned. Throws Error if its size is wrong.
  virtual std::unique_ptr<PackedWeight> adopt(size_t n_out, size_t n_in, Compute compute,
                                              std::span<const std::byte> blob) const;
  // x.cols == w.n_in. Throws nothing; the primitive for a new shape is made on first use.
  virtual void matmul(ThreadPool& pool, const Operand& x, const PackedWeight& w,
                      const ProductOut& out) const = 0;

  // f32 rows to the left-hand operand of a product, through an activation. x: (T, C).
  virtual void convert(ThreadPool& pool, Matrix<const float> x, Activation activation,
                       const Operand& out) const = 0;
  // y = (x - mean) / sqrt(variance + eps) * weight + bias per row, population variance. y may be x.
  virtual void layer_norm(ThreadPool& pool, Matrix<const float> x, std::span<const float> weight,
                          std::span<const float> bias, float eps, Matrix<float> y) const = 0;
  virtual void token_shift(ThreadPool& pool, const TokenShiftArgs& args) const = 0;
  virtual void wkv4(ThreadPool& pool, const Wkv4Args& args) const = 0;
  // d in place: exp(-exp(d)). Relative error of 1 - result and of the result at most 1e-6.
  virtual void decay6(ThreadPool& pool, Matrix<float> d) const = 0;
  virtual void wkv6(ThreadPool& pool, const Wkv6Args& args) const = 0;
  virtual void prepare7(ThreadPool& pool, const Prepare7Args& args) const = 0;
  virtual void wkv7(ThreadPool& pool, const Wkv7Args& args) const = 0;
  virtual void group_norm(ThreadPool& pool, const GroupNormArgs& args) const = 0;
  // out = activation(a) * b, elementwise; all (T, A).
  virtual void gate(ThreadPool& pool, Matrix<const float> a, Activation activation,
                    Matrix<const float> b, const Operand& out) const = 0;
  // x += sigmoid(r) * y, elementwise; all (T, C): the end of channel mix up to v6.
  virtual void gated_add(ThreadPool& pool, Matrix<const float> r, Matrix<const float> y,
                         Matrix<float> x) const = 0;

  // y[t] = x[t] (1, I) times w[t] (I, O), a matrix for every row: x (T, I), w (T, I O), y (T, O).
  virtual void row_products(ThreadPool& pool, Matrix<const float> x, Matrix<const float> w,
                            Matrix<float> y) const = 0;

  // Pooling. sum: (n_sequence, C). sum[s] += weight[t] * x[t] over its tokens, in their order and
  // in double, so that cutting a sequence into pieces changes nothing. weight: (T) or empty (all
  // 1).
  virtual void add_rows(ThreadPool& pool, Matrix<const float> x, std::span<const size_t> offsets,
                        std::span<const float> weight, Matrix<double> sum) const = 0;
  // max[s] = max(max[s], x[t]) over its tokens; (n_sequence, C).
  virtual void max_rows(ThreadPool& pool, Matrix<const float> x, std::span<const size_t> offsets,
                        Matrix<float> max) const = 0;
};

// "reference" or "cpu"; "" is $FATHOM_BACKEND, else "cpu". UsageError: another name or MAX_ISA.
const Backend& backend(std::string_view name = "");

// Made once, live forever. cpu: UsageError for a wrong $FATHOM_MAX_ISA (kernels/cpu/isa.h).
const Backend& reference_backend();
const Backend& cpu_backend();

}  // namespace fathom
