// SPDX-License-Identifier: Apache-2.0
// The reference backend: every operator as its formula, in the order of the paper, without tricks.
//
// It is the ground truth for the other backends, so everything within an operator is computed in
// double, dot products too. Results are rounded to f32 once: activations, and the WKV state after
// every token, so that cutting a sequence into pieces changes nothing here either. Left-hand
// operands stay f32 and are rounded inside the product: to bf16, or to int8 with one scale per row.
// Weights are rounded when they are packed, int8 with one scale per output channel.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/buffer.h"
#include "base/dtype.h"
#include "kernels/backend.h"

namespace fathom {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double activate(Activation activation, double x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kSigmoid:
      return sigmoid(x);
    case Activation::kSilu:
      return x * sigmoid(x);
    case Activation::kReluSquared:
      return x < 0 ? 0 : x * x;
  }
  FATHOM_ASSERT(!"unknown Activation");
}

// Symmetric int8: integers (n) and the scale that turns them back. See cpu/ops.h for odd rows.
float quantise(std::span<const float> x, int8_t* integers) {
  float largest = 0;
  bool finite = true;
  for (float v : x) {
    largest = std::max(largest, std::abs(v));
    finite = finite && std::isfinite(v);
  }
  const bool usable = finite && largest >= 1e-36f;
  const float factor = usable ? 127.0f / largest : 0.0f;
  for (size_t c = 0; c < x.size(); ++c) {
    integers[c] = usable ? static_cast<int8_t>(std::lrint(x[c] * factor)) : 0;
  }
  if (!finite) return std::numeric_limits<float>::quiet_NaN();
  return usable ? largest / 127.0f : 0.0f;
}

void store_row(const Operand& out, size_t t, std::span<const float> row) {
  FATHOM_ASSERT(t < out.rows && row.size() == out.cols && out.stride >= out.cols);
  const size_t at = t * out.stride;
  switch (out.type) {
    case Compute::kF32:
      std::copy(row.begin(), row.end(), static_cast<float*>(out.data) + at);
      return;
    case Compute::kBF16:
      std::transform(row.begin(), row.end(), static_cast<BF16*>(out.data) + at, to_bf16);
      return;
    case Compute::kInt8:
      out.scale[t] = quantise(row, static_cast<int8_t*>(out.data) + at);
      return;
  }
}

void check_offsets(std::span<const size_t> offsets, size_t rows) {
  FATHOM_ASSERT(!offsets.empty() && offsets.front() == 0 && offsets.back() == rows);
  FATHOM_ASSERT(std::is_sorted(offsets.begin(), offsets.end()));
}

// ---------------------------------------------------------------------------------------- products

// The numbers that are multiplied, as f32: rounded to bf16, or integers of int8 with their scale.
void round_for(Compute compute, std::span<float> row, double* scale) {
  *scale = 1;
  if (compute == Compute::kBF16) {
    for (float& v : row) v = to_f32(to_bf16(v));
  } else if (compute == Compute::kInt8) {
    std::vector<int8_t> integers(row.size());
    *scale = quantise(row, integers.data());
    std::copy(integers.begin(), integers.end(), row.begin());
  }
}

struct ReferenceWeight final : PackedWeight {
  Buffer<float> values;       // (n_out, n_in), as round_for() leaves them
  std::vector<double> scale;  // (n_out)
};

std::unique_ptr<PackedWeight> pack_rows(const WeightRows& rows, Compute compute) {
  auto packed = std::make_unique<ReferenceWeight>();
  packed->n_out = rows.n_out;
  packed->n_in = rows.n_in;
  packed->compute = compute;
  packed->values.reserve_discard(rows.n_out * rows.n_in);
  packed->scale.resize(rows.n_out);
  packed->bytes = rows.n_out * (rows.n_in * sizeof(float) + sizeof(double));
  for (size_t o = 0; o < rows.n_out; ++o) {
    const std::span<float> row(packed->values.data() + o * rows.n_in, rows.n_in);
    rows.read(o, o + 1, row.data());
    round_for(compute, row, &packed->scale[o]);
  }
  return packed;
}

double dot(std::span<const float> a, const float* b) {
  double sum = 0;
  for (size_t c = 0; c < a.size(); ++c) sum += double{a[c]} * b[c];
  return sum;
}

void product_row(const Operand& x, const ReferenceWeight& w, const ProductOut& out, size_t t) {
  const float* from = static_cast<const float*>(x.data) + t * x.stride;
  std::vector<float> left(from, from + x.cols), result(w.n_out);
  double left_scale = 1;
  // The error of a compensated row's rounding would be added: here the row is not rounded at all.
  if (!std::ranges::binary_search(x.compensated, t)) round_for(w.compute, left, &left_scale);
  for (size_t o = 0; o < w.n_out; ++o) {
    double sum = dot(left, w.values.data() + o * w.n_in) * left_scale * w.scale[o];
    if (!out.bias.empty()) sum += out.bias[o];
    if (out.accumulate) sum += out.y.row(t)[o];
    result[o] = static_cast<float>(activate(out.activation, sum));
  }
  if (out.y.data()) {
    std::copy(result.begin(), result.end(), out.y.row(t).begin());
  } else {
    store_row(out.next, t, result);
  }
}

// ------------------------------------------------------------------------------------ recurrences

// Calls f(sequence) for each.
template <class F>
void for_each_sequence(ThreadPool& pool, std::span<const size_t> offsets, const F& f) {
  pool.run(offsets.size() - 1, f);
}

// The state of a sequence, or a fresh one in `own`.
float* state_of(std::span<float* const> states, size_t sequence, std::vector<float>& own) {
  return states.empty() || !states[sequence] ? own.data() : states[sequence];
}

void wkv4_sequence(const Wkv4Args& args, size_t sequence) {
  const size_t cols = args.k.cols();
  std::vector<float> own(3 * cols);
  std::fill(own.begin() + 2 * cols, own.end(), -1e30f);
  float* state = state_of(args.state, sequence, own);
  for (size_t t = args.offsets[sequence]; t < args.offsets[sequence + 1]; ++t) {
    for (size_t c = 0; c < cols; ++c) {
      float &aa = state[c], &bb = state[cols + c], &pp = state[2 * cols + c];
      const double k = args.k.row(t)[c], v = args.v.row(t)[c], w = args.w[c], u = args.u[c];
      double q = std::max(double{pp}, u + k);
      double e1 = std::exp(pp - q), e2 = std::exp(u + k - q);
      args.y.row(t)[c] = static_cast<float>((e1 * aa + e2 * v) / (e1 * bb + e2));
      // pp is kept in f32, so the exponents are taken against what is kept.
      q = static_cast<float>(std::max(pp + w, k));
      e1 = std::exp(pp + w - q);
      e2 = std::exp(k - q);
      aa = static_cast<float>(e1 * aa + e2 * v);
      bb = static_cast<float>(e1 * bb + e2);
      pp = static_cast<float>(q);
    }
  }
}

void wkv6_sequence(const Wkv6Args& args, size_t sequence) {
  const size_t n = args.head_size, cols = args.r.cols();
  std::vector<float> own(cols * n);
  float* state = state_of(args.state, sequence, own);
  for (size_t t = args.offsets[sequence]; t < args.offsets[sequence + 1]; ++t) {
    const auto r = args.r.row(t), k = args.k.row(t), v = args.v.row(t);
    const auto w = args.w.row(args.w.rows() == 1 ? 0 : t);
    for (size_t first = 0; first < cols; first += n) {  // heads
      std::vector<double> y(n);
      for (size_t i = 0; i < n; ++i) {    // key channel: row of S
        for (size_t j = 0; j < n; ++j) {  // value channel: column of S
          const double kv = double{k[first + i]} * v[first + j];
          float& s = state[(first + i) * n + j];
          y[j] += r[first + i] * (args.u[first + i] * kv + s);
          s = static_cast<float>(double{w[first + i]} * s + kv);
        }
      }
      for (size_t j = 0; j < n; ++j) args.y.row(t)[first + j] = static_cast<float>(y[j]);
    }
  }
}

void wkv7_sequence(const Wkv7Args& args, size_t sequence) {
  const size_t n = args.head_size, cols = args.r.cols();
  std::vector<float> own(cols * n);
  float* state = state_of(args.state, sequence, own);
  for (size_t t = args.offsets[sequence]; t < args.offsets[sequence + 1]; ++t) {
    const auto r = args.r.row(t), w = args.w.row(t), k = args.k.row(t), v = args.v.row(t);
    const auto kk = args.kk.row(t), b = args.b.row(t);
    for (size_t first = 0; first < cols; first += n) {  // heads
      for (size_t i = 0; i < n; ++i) {                  // value channel: row of S
        float* s = state + (first + i) * n;
        double sa = 0, y = 0;
        for (size_t j = 0; j < n; ++j) sa += double{s[j]} * -kk[first + j];
        for (size_t j = 0; j < n; ++j) {  // key channel: column of S
          const size_t c = first + j;
          s[j] = static_cast<float>(double{s[j]} * w[c] + sa * b[c] + double{v[first + i]} * k[c]);
          y += double{s[j]} * r[c];
        }
        args.y.row(t)[first + i] = static_cast<float>(y);
      }
    }
  }
}

// ----------------------------------------------------------------------------------- rows and
// heads

// out[c] = (x[c] - mean) / sqrt(variance + eps) * weight[c] + bias[c]
void normalise(std::span<const float> x, const float* weight, const float* bias, double eps,
               double* out) {
  double mean = 0, variance = 0;
  for (float v : x) mean += v;
  mean /= static_cast<double>(x.size());
  for (float v : x) variance += (v - mean) * (v - mean);
  variance /= static_cast<double>(x.size());
  for (size_t c = 0; c < x.size(); ++c) {
    out[c] = (x[c] - mean) / std::sqrt(variance + eps) * weight[c] + bias[c];
  }
}

void prepare7_row(const Prepare7Args& args, size_t t) {
  const size_t n = args.head_size;
  const auto w = args.w.row(t), k = args.k.row(t), a = args.a.row(t), kk = args.kk.row(t);
  for (size_t first = 0; first < k.size(); first += n) {  // heads
    double square = 0;
    for (size_t c = first; c < first + n; ++c) {
      square += double{k[c]} * args.k_k[c] * k[c] * args.k_k[c];
    }
    const double norm = std::max(std::sqrt(square), 1e-12);
    for (size_t c = first; c < first + n; ++c) {
      const double rate = sigmoid(a[c]), direction = double{k[c]} * args.k_k[c] / norm;
      w[c] = static_cast<float>(std::exp(-std::exp(-0.5) * sigmoid(w[c])));
      kk[c] = static_cast<float>(direction);
      a[c] = static_cast<float>(direction * rate);
      k[c] = static_cast<float>(k[c] * (1 + (rate - 1) * args.k_a[c]));
    }
  }
  if (args.v_first.rows() == 0) return;
  const auto v = args.v.row(t);
  for (size_t c = 0; c < v.size(); ++c) {
    const double share = sigmoid(args.v_gate.row(t)[c]);
    v[c] = static_cast<float>(v[c] + (double{args.v_first.row(t)[c]} - v[c]) * share);
  }
}

void group_norm_row(const GroupNormArgs& args, size_t t) {
  const size_t n = args.head_size;
  std::vector<double> z(n);
  std::vector<float> out(args.y.cols());
  for (size_t first = 0; first < out.size(); first += n) {  // heads
    normalise(args.y.row(t).subspan(first, n), &args.weight[first], &args.bias[first], args.eps,
              z.data());
    double bonus = 0;
    if (args.r.rows()) {
      for (size_t c = first; c < first + n; ++c) {
        bonus += double{args.r.row(t)[c]} * args.k.row(t)[c] * args.r_k[c];
      }
    }
    for (size_t c = first; c < first + n; ++c) {
      double value = z[c - first];
      if (args.r.rows()) value += bonus * args.v.row(t)[c];
      if (args.gate.rows()) value *= activate(args.gate_activation, args.gate.row(t)[c]);
      out[c] = static_cast<float>(value);
    }
  }
  store_row(args.out, t, out);
}

class ReferenceBackend final : public Backend {
 public:
  std::string_view name() const override { return "reference"; }
  std::string description() const override { return "plain loops, sums in double"; }
  Compute operand_type(Compute) const override { return Compute::kF32; }
  bool supports(Compute) const override { return true; }
  bool rows_are_exact(Compute) const override { return true; }

  std::unique_ptr<PackedWeight> pack(ThreadPool&, const WeightRows& rows,
                                     Compute compute) const override {
    return pack_rows(rows, compute);
  }

  void matmul(ThreadPool& pool, const Operand& x, const PackedWeight& w,
              const ProductOut& out) const override {
    FATHOM_ASSERT(x.type == Compute::kF32 && x.cols == w.n_in && x.stride >= x.cols);
    FATHOM_ASSERT(out.bias.empty() || out.bias.size() == w.n_out);
    FATHOM_ASSERT(!out.accumulate ||
                  (out.y.data() && out.bias.empty() && out.activation == Activation::kNone));
    const auto& weight = static_cast<const ReferenceWeight&>(w);
    pool.run(x.rows, [&](size_t t) { product_row(x, weight, out, t); });
  }

  void convert(ThreadPool&, Matrix<const float> x, Activation activation,
               const Operand& out) const override {
    std::vector<float> row(x.cols());
    for (size_t t = 0; t < x.rows(); ++t) {
      for (size_t c = 0; c < row.size(); ++c) {
        row[c] = static_cast<float>(activate(activation, x.row(t)[c]));
      }
      store_row(out, t, row);
    }
  }

  void layer_norm(ThreadPool&, Matrix<const float> x, std::span<const float> weight,
                  std::span<const float> bias, float eps, Matrix<float> y) const override {
    FATHOM_ASSERT(weight.size() == x.cols() && bias.size() == x.cols());
    std::vector<double> row(x.cols());
    for (size_t t = 0; t < x.rows(); ++t) {
      normalise(x.row(t), weight.data(), bias.data(), eps, row.data());
      std::copy(row.begin(), row.end(), y.row(t).begin());
    }
  }

  void token_shift(ThreadPool&, const TokenShiftArgs& args) const override {
    check_offsets(args.offsets, args.x.rows());
    const size_t cols = args.x.cols();
    std::vector<float> row(cols);
    const std::vector<float> zeros(cols);
    for (size_t s = 0; s + 1 < args.offsets.size(); ++s) {
      const float* carried = args.previous.empty() ? nullptr : args.previous[s];
      for (size_t t = args.offsets[s]; t < args.offsets[s + 1]; ++t) {
        const float* previous = carried ? carried : zeros.data();
        if (t > args.offsets[s]) previous = args.x.row(t - 1).data();
        for (const Mix& mix : args.mixes) {
          for (size_t c = 0; c < cols; ++c) {
            const double x = args.x.row(t)[c];
            double share = mix.weight[c];
            if (mix.dynamic) share += mix.dynamic[t * cols + c];
            row[c] = static_cast<float>(x + (previous[c] - x) * share);
          }
          store_row(mix.out, t, row);
        }
      }
    }
  }

  void wkv4(ThreadPool& pool, const Wkv4Args& args) const override {
    check_offsets(args.offsets, args.k.rows());
    for_each_sequence(pool, args.offsets, [&](size_t s) { wkv4_sequence(args, s); });
  }

  void decay6(ThreadPool&, Matrix<float> d) const override {
    for (size_t t = 0; t < d.rows(); ++t) {
      for (float& v : d.row(t)) v = static_cast<float>(std::exp(-std::exp(double{v})));
    }
  }

  void wkv6(ThreadPool& pool, const Wkv6Args& args) const override {
    check_offsets(args.offsets, args.r.rows());
    for_each_sequence(pool, args.offsets, [&](size_t s) { wkv6_sequence(args, s); });
  }

  void prepare7(ThreadPool&, const Prepare7Args& args) const override {
    for (size_t t = 0; t < args.k.rows(); ++t) prepare7_row(args, t);
  }

  void wkv7(ThreadPool& pool, const Wkv7Args& args) const override {
    check_offsets(args.offsets, args.r.rows());
    for_each_sequence(pool, args.offsets, [&](size_t s) { wkv7_sequence(args, s); });
  }

  void group_norm(ThreadPool&, const GroupNormArgs& args) const override {
    for (size_t t = 0; t < args.y.rows(); ++t) group_norm_row(args, t);
  }

  void gate(ThreadPool&, Matrix<const float> a, Activation activation, Matrix<const float> b,
            const Operand& out) const override {
    std::vector<float> row(a.cols());
    for (size_t t = 0; t < a.rows(); ++t) {
      for (size_t c = 0; c < row.size(); ++c) {
        row[c] = static_cast<float>(activate(activation, a.row(t)[c]) * b.row(t)[c]);
      }
      store_row(out, t, row);
    }
  }

  void gated_add(ThreadPool&, Matrix<const float> r, Matrix<const float> y,
                 Matrix<float> x) const override {
    for (size_t t = 0; t < x.rows(); ++t) {
      for (size_t c = 0; c < x.cols(); ++c) {
        x.row(t)[c] = static_cast<float>(x.row(t)[c] + sigmoid(r.row(t)[c]) * y.row(t)[c]);
      }
    }
  }

  void row_products(ThreadPool&, Matrix<const float> x, Matrix<const float> w,
                    Matrix<float> y) const override {
    for (size_t t = 0; t < y.rows(); ++t) {
      for (size_t o = 0; o < y.cols(); ++o) {
        double sum = 0;
        for (size_t i = 0; i < x.cols(); ++i)
          sum += double{x.row(t)[i]} * w.row(t)[i * y.cols() + o];
        y.row(t)[o] = static_cast<float>(sum);
      }
    }
  }

  void add_rows(ThreadPool&, Matrix<const float> x, std::span<const size_t> offsets,
                std::span<const float> weight, Matrix<double> sum) const override {
    check_offsets(offsets, x.rows());
    for (size_t s = 0; s + 1 < offsets.size(); ++s) {
      for (size_t t = offsets[s]; t < offsets[s + 1]; ++t) {
        const double weight_t = weight.empty() ? 1 : weight[t];
        for (size_t c = 0; c < x.cols(); ++c) sum.row(s)[c] += weight_t * x.row(t)[c];
      }
    }
  }

  void max_rows(ThreadPool&, Matrix<const float> x, std::span<const size_t> offsets,
                Matrix<float> max) const override {
    check_offsets(offsets, x.rows());
    for (size_t s = 0; s + 1 < offsets.size(); ++s) {
      for (size_t t = offsets[s]; t < offsets[s + 1]; ++t) {
        for (size_t c = 0; c < x.cols(); ++c) {
          max.row(s)[c] = std::max(max.row(s)[c], x.row(t)[c]);
        }
      }
    }
  }
};

}  // namespace

const Backend& reference_backend() {
  static const ReferenceBackend backend;
  return backend;
}

}  // namespace fathom
