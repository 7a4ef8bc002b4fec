// SPDX-License-Identifier: Apache-2.0
// The reference backend, which judges the others, against the formulas of the papers written once
// more here: in double, one head, without its data structures. Products against hand-made numbers.
#include <functional>

#include "kernels/ops_testing.h"

namespace fathom::testing::reference_test {
namespace {

const Backend& reference() { return reference_backend(); }

using Rows = std::vector<std::vector<double>>;

Rows rows_of(const Array& m, size_t n) {
  Rows rows(m.size() / n, std::vector<double>(n));
  for (size_t i = 0; i < m.size(); ++i) rows[i / n][i % n] = m[i];
  return rows;
}

void expect_rows_near(const Array& got, const Rows& want, double tolerance) {
  for (size_t i = 0; i < got.size(); ++i) {
    const size_t n = want[0].size();
    ASSERT_NEAR(got[i], want[i / n][i % n], tolerance) << i;
  }
}

// RWKV-4 as the sum that its recurrence stands for (arXiv 2305.13048, equation 14):
// wkv_t = (Σ_{i<t} e^{-(t-1-i)|w| + k_i} v_i + e^{u + k_t} v_t) / (the same without v).
TEST(Reference, Wkv4IsTheWeightedMeanOfThePaper) {
  const size_t n_token = 7, cols = 3;
  Numbers numbers(4);
  const Array k = numbers.array(n_token * cols, -3, 3), v = numbers.array(n_token * cols);
  const Array w = numbers.array(cols, -2, -0.1f), u = numbers.array(cols);
  Array y(n_token * cols), state(3 * cols);
  for (size_t c = 0; c < cols; ++c) state[c] = state[cols + c] = 0, state[2 * cols + c] = -1e30f;
  float* const kept = state.data();
  ThreadPool pool(1);
  reference().wkv4(pool, {k.matrix(n_token), v.matrix(n_token), w.span(), u.span(),
                          offsets_of({n_token}), std::span(&kept, 1), y.matrix(n_token)});
  Rows want(n_token, std::vector<double>(cols));
  for (size_t t = 0; t < n_token; ++t) {
    for (size_t c = 0; c < cols; ++c) {
      double top = 0, bottom = 0;
      for (size_t i = 0; i <= t; ++i) {
        const double decay = double(t) - 1 - double(i);
        const double share = std::exp((i < t ? decay * w[c] : u[c]) + double{k[i * cols + c]});
        top += share * v[i * cols + c];
        bottom += share;
      }
      want[t][c] = top / bottom;
    }
  }
  expect_rows_near(y, want, 1e-6);
  // The state holds the sums for the next token, over e^pp.
  for (size_t c = 0; c < cols; ++c) {
    double bottom = 0;
    for (size_t i = 0; i < n_token; ++i) {
      bottom += std::exp(double(n_token - 1 - i) * w[c] + k[i * cols + c]);
    }
    EXPECT_NEAR(state[cols + c] * std::exp(state[2 * cols + c]), bottom, 1e-5 * bottom);
  }
}

// RWKV-6 as a sum over all earlier tokens (arXiv 2404.05892):
// y_t = r_t (diag(u) k_t v_t + Σ_{i<t} diag(w_{i+1} ... w_{t-1}) k_i v_i).
TEST(Reference, Wkv6IsTheSumOfThePaper) {
  const size_t n_token = 6, n = 4;
  Numbers numbers(6);
  const Array r = numbers.array(n_token * n), k = numbers.array(n_token * n);
  const Array v = numbers.array(n_token * n), w = numbers.array(n_token * n, 0, 1);
  const Array u = numbers.array(n);
  Array y(n_token * n);
  ThreadPool pool(1);
  reference().wkv6(pool, {r.matrix(n_token),
                          k.matrix(n_token),
                          v.matrix(n_token),
                          w.matrix(n_token),
                          u.span(),
                          n,
                          offsets_of({n_token}),
                          {},
                          y.matrix(n_token)});
  const Rows R = rows_of(r, n), K = rows_of(k, n), V = rows_of(v, n), W = rows_of(w, n);
  Rows want(n_token, std::vector<double>(n));
  for (size_t t = 0; t < n_token; ++t) {
    for (size_t j = 0; j < n; ++j) {
      for (size_t c = 0; c < n; ++c) {  // key channel
        double sum = u[c] * K[t][c] * V[t][j];
        for (size_t i = 0; i < t; ++i) {
          double decay = 1;
          for (size_t l = i + 1; l < t; ++l) decay *= W[l][c];
          sum += decay * K[i][c] * V[i][j];
        }
        want[t][j] += R[t][c] * sum;
      }
    }
  }
  expect_rows_near(y, want, 1e-6);
}

// RWKV-7 as products of matrices (arXiv 2503.14456):
// S_t = S_{t-1} (diag(w_t) - kk_t^T (kk_t * a_t)) + v_t^T k_t,  y_t = S_t r_t.
TEST(Reference, Wkv7IsTheMatrixProductOfThePaper) {
  const size_t n_token = 6, n = 4;
  Numbers numbers(7);
  std::vector<Array> in;
  for (int i = 0; i < 6; ++i) in.push_back(numbers.array(n_token * n, i == 1 ? 0.5f : -1, 1));
  Array y(n_token * n), state = numbers.array(n * n);
  Rows S = rows_of(state, n);  // (value, key)
  float* const kept = state.data();
  ThreadPool pool(1);
  const auto m = [&](int i) { return Matrix<const float>(in[i].matrix(n_token)); };
  reference().wkv7(pool, {m(0), m(1), m(2), m(3), m(4), m(5), n, offsets_of({n_token}),
                          std::span(&kept, 1), y.matrix(n_token)});
  std::vector<Rows> x;
  for (const Array& array : in) x.push_back(rows_of(array, n));
  Rows want(n_token, std::vector<double>(n));
  for (size_t t = 0; t < n_token; ++t) {
    const auto &r = x[0][t], &w = x[1][t], &k = x[2][t], &v = x[3][t], &kk = x[4][t], &b = x[5][t];
    Rows transition(n, std::vector<double>(n)), next(n, std::vector<double>(n));
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) transition[i][j] = (i == j ? w[j] : 0) - kk[i] * b[j];
    }
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) {
        for (size_t l = 0; l < n; ++l) next[i][j] += S[i][l] * transition[l][j];
        next[i][j] += v[i] * k[j];
        want[t][i] += next[i][j] * r[j];
      }
    }
    S = next;
  }
  expect_rows_near(y, want, 2e-6);
  expect_rows_near(state, S, 2e-6);
}

TEST(Reference, Prepare7IsTheFormula) {
  const size_t n = 4;
  Numbers numbers(9);
  Array z = numbers.array(n, -3, 3), k = numbers.array(n), a = numbers.array(n, -3, 3), kk(n);
  Array v = numbers.array(n);
  const Array gate = numbers.array(n), first = numbers.array(n);
  const Array k_k = numbers.array(n), k_a = numbers.array(n);
  const Array z0 = z, k0 = k, a0 = a, v0 = v;
  ThreadPool pool(1);
  reference().prepare7(pool, {z.matrix(1), k.matrix(1), a.matrix(1), kk.matrix(1), v.matrix(1),
                              gate.matrix(1), first.matrix(1), k_k.span(), k_a.span(), n});
  const auto softplus = [](double x) { return std::log1p(std::exp(x)); };
  double square = 0;
  for (size_t c = 0; c < n; ++c) square += std::pow(double{k0[c]} * k_k[c], 2);
  for (size_t c = 0; c < n; ++c) {
    // The other form of the decay: exp(-exp(-softplus(-z) - 1/2)).
    EXPECT_NEAR(z[c], std::exp(-std::exp(-softplus(-z0[c]) - 0.5)), 1e-7);
    const double rate = 1 / (1 + std::exp(-double{a0[c]}));
    EXPECT_NEAR(kk[c], k0[c] * k_k[c] / std::sqrt(square), 1e-7);
    EXPECT_NEAR(a[c], k0[c] * k_k[c] / std::sqrt(square) * rate, 1e-7);
    EXPECT_NEAR(k[c], k0[c] + k0[c] * k_a[c] * (rate - 1), 1e-7);
    const double share = 1 / (1 + std::exp(-double{gate[c]}));
    EXPECT_NEAR(v[c], (1 - share) * v0[c] + share * first[c], 1e-7);
  }
}

TEST(Reference, NormsActivationsAndGates) {
  ThreadPool pool(1);
  const std::vector<float> x = {1, 2, 3, 6}, weight = {1, 1, 2, 2}, bias = {0, 0, 0, 1};
  const double scale = 1 / std::sqrt(3.5 + 0.5);  // mean 3, variance 3.5
  Array y(4);
  reference().layer_norm(pool, {x.data(), 1, 4}, weight, bias, 0.5f, y.matrix(1));
  expect_rows_near(y, {{-2 * scale, -1 * scale, 0, 6 * scale + 1}}, 1e-7);

  // Two heads of two: (1, 2) and (3, 6), variances 1/4 and 9/4; bonus and gate by hand.
  const std::vector<float> one = {1, 1, 1, 1}, r = {1, 2, 0, 0}, v = {5, 7, 5, 7};
  const std::vector<float> gate = {2, -1, 0, 3};
  OutOperand out(Compute::kF32, 1, 4);
  GroupNormArgs args;
  args.y = {x.data(), 1, 4};
  args.head_size = 2;
  args.weight = weight;
  args.bias = bias;
  args.r = {r.data(), 1, 4};
  args.k = {one.data(), 1, 4};
  args.v = {v.data(), 1, 4};
  args.r_k = one;
  args.gate = {gate.data(), 1, 4};
  args.gate_activation = Activation::kReluSquared;
  args.out = out.operand();
  reference().group_norm(pool, args);
  EXPECT_EQ(out.values(), (std::vector<float>{(-1 + 15) * 4.0f, 0, 0, (2 + 1) * 9.0f}));

  const std::vector<float> half = {0.5f};
  const std::vector<std::pair<Activation, double>> expected = {
      {Activation::kNone, 0.5},
      {Activation::kTanh, std::tanh(0.5)},
      {Activation::kSigmoid, 1 / (1 + std::exp(-0.5))},
      {Activation::kSilu, 0.5 / (1 + std::exp(-0.5))},
      {Activation::kReluSquared, 0.25}};
  for (const auto& [activation, want] : expected) {
    OutOperand result(Compute::kF32, 1, 1);
    reference().convert(pool, {half.data(), 1, 1}, activation, result.operand());
    EXPECT_NEAR(result.value(0, 0), want, 1e-7);
    reference().gate(pool, {half.data(), 1, 1}, activation, {weight.data() + 2, 1, 1},
                     result.operand());
    EXPECT_NEAR(result.value(0, 0), 2 * want, 1e-7);
  }
  float sum = 1;
  reference().gated_add(pool, {half.data(), 1, 1}, {v.data(), 1, 1}, {&sum, 1, 1});
  EXPECT_NEAR(sum, 1 + 5 / (1 + std::exp(-0.5)), 1e-6);
  // (1, 2) times ((1, 2, 3), (4, 5, 6)), and (3, -1) times another.
  const std::vector<float> rows = {1, 2, 3, -1}, w = {1, 2, 3, 4, 5, 6, 0, 1, 0, 2, 0, 5};
  std::vector<float> products(6);
  reference().row_products(pool, {rows.data(), 2, 2}, {w.data(), 2, 6}, {products.data(), 2, 3});
  EXPECT_EQ(products, (std::vector<float>{9, 12, 15, -2, 3, -5}));
  float decay = -1;
  reference().decay6(pool, {&decay, 1, 1});
  EXPECT_NEAR(decay, std::exp(-std::exp(-1.0)), 1e-7);
}

TEST(Reference, TokenShiftTakesTheSharesOfThePreviousToken) {
  ThreadPool pool(1);
  const std::vector<float> x = {1, 10, 100}, weight = {0.5f}, dynamic = {0, 0.25f, -0.5f};
  const float before = 3;
  const std::vector<const float*> previous = {&before, nullptr};
  const auto offsets = offsets_of({2, 1});
  OutOperand plain(Compute::kF32, 3, 1), shifted(Compute::kF32, 3, 1);
  const std::vector<Mix> mixes = {{weight.data(), nullptr, plain.operand()},
                                  {weight.data(), dynamic.data(), shifted.operand()}};
  reference().token_shift(pool, {{x.data(), 3, 1}, offsets, previous, mixes});
  EXPECT_EQ(plain.values(), (std::vector<float>{2, 5.5f, 50}));
  EXPECT_EQ(shifted.values(), (std::vector<float>{2, 3.25f, 100}));
}

TEST(Reference, PoolingKeepsWhatWasThere) {
  ThreadPool pool(1);
  const std::vector<float> x = {1, 2, 3, 4, 5, 6}, weight = {1, 2, 3};
  const auto offsets = offsets_of({2, 1});
  std::vector<double> sum = {10, 20, 30, 40};
  reference().add_rows(pool, {x.data(), 3, 2}, offsets, weight, {sum.data(), 2, 2});
  EXPECT_EQ(sum, (std::vector<double>{10 + 1 + 6, 20 + 2 + 8, 30 + 15, 40 + 18}));
  std::vector<float> max = {2.5f, 2.5f, 9, -9};
  reference().max_rows(pool, {x.data(), 3, 2}, offsets, {max.data(), 2, 2});
  EXPECT_EQ(max, (std::vector<float>{3, 4, 9, 6}));
}

// ---------------------------------------------------------------------------------------- products

class Product : public ::testing::Test {
 protected:
  // (2, 3) and (2, 3): two rows of x, two output channels.
  std::vector<float> x_ = {1, -2, 4, 0.5f, 1.0f / 3, -1};
  std::vector<float> w_ = {2, 1, 0.125f, -1, 1.0f / 3, 3};
  ThreadPool pool_{2};

  std::unique_ptr<PackedWeight> pack(Compute compute) {
    return reference().pack(pool_,
                            {2, 3,
                             [&](size_t begin, size_t end, float* out) {
                               std::copy(w_.begin() + 3 * begin, w_.begin() + 3 * end, out);
                             }},
                            compute);
  }
  Operand left() { return {Compute::kF32, x_.data(), nullptr, 2, 3, 3}; }

  // x and w rounded by `round`, multiplied in double.
  std::vector<double> expected(const std::function<std::vector<double>(std::span<float>)>& round) {
    std::vector<double> y;
    for (size_t t = 0; t < 2; ++t) {
      for (size_t o = 0; o < 2; ++o) {
        const auto a = round(std::span(x_).subspan(3 * t, 3));
        const auto b = round(std::span(w_).subspan(3 * o, 3));
        y.push_back(a[0] * b[0] + a[1] * b[1] + a[2] * b[2]);
      }
    }
    return y;
  }
};

TEST_F(Product, RoundsWhatItMultiplies) {
  const auto f32 = [](std::span<float> v) { return std::vector<double>(v.begin(), v.end()); };
  const auto bf16 = [](std::span<float> v) {
    std::vector<double> out;
    for (float f : v) out.push_back(to_f32(to_bf16(f)));
    return out;
  };
  const auto int8 = [](std::span<float> v) {
    double largest = 0;
    for (float f : v) largest = std::max(largest, std::abs(double{f}));
    std::vector<double> out;
    for (float f : v) out.push_back(std::round(f * 127 / largest) * largest / 127);
    return out;
  };
  const std::vector<std::pair<Compute, std::vector<double>>> cases = {
      {Compute::kF32, expected(f32)},
      {Compute::kBF16, expected(bf16)},
      {Compute::kInt8, expected(int8)}};
  for (const auto& [compute, want] : cases) {
    const auto weight = pack(compute);
    EXPECT_EQ(weight->n_out, 2u);
    EXPECT_EQ(weight->n_in, 3u);
    EXPECT_EQ(weight->compute, compute);
    EXPECT_GT(weight->bytes, 0u);
    EXPECT_TRUE(reference().supports(compute) && reference().rows_are_exact(compute));
    EXPECT_EQ(reference().operand_type(compute), Compute::kF32);
    Array y(4);
    ProductOut out;
    out.y = y.matrix(2);
    reference().matmul(pool_, left(), *weight, out);
    for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(y[i], want[i], 1e-6) << i;
  }
  EXPECT_GT(std::abs(cases[0].second[3] - cases[1].second[3]), 1e-4);  // they do differ
  EXPECT_GT(std::abs(cases[1].second[3] - cases[2].second[3]), 1e-4);
}

TEST_F(Product, BiasActivationAccumulateAndNext) {
  const auto weight = pack(Compute::kF32);
  const std::vector<double> plain =
      expected([](std::span<float> v) { return std::vector<double>(v.begin(), v.end()); });
  const std::vector<float> bias = {0.25f, -1};
  Array y(4);
  ProductOut out;
  out.y = y.matrix(2);
  out.bias = bias;
  out.activation = Activation::kSigmoid;
  reference().matmul(pool_, left(), *weight, out);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(y[i], 1 / (1 + std::exp(-(plain[i] + bias[i % 2]))), 1e-6);
  }

  OutOperand next(Compute::kF32, 2, 2);
  ProductOut to_next;
  to_next.next = next.operand();
  to_next.activation = Activation::kReluSquared;
  reference().matmul(pool_, left(), *weight, to_next);
  for (size_t i = 0; i < 4; ++i) {
    const double want = std::pow(std::max(plain[i], 0.0), 2);
    EXPECT_NEAR(next.value(i / 2, i % 2), want, 1e-7 * want);
  }
  EXPECT_TRUE(next.gaps_hold());

  ProductOut more;
  more.y = y.matrix(2);
  more.accumulate = true;
  for (size_t i = 0; i < 4; ++i) y[i] = 100;
  reference().matmul(pool_, left(), *weight, more);
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(y[i], 100 + plain[i], 1e-5);
}

TEST_F(Product, ZeroAndBrokenRows) {
  const auto weight = pack(Compute::kInt8);
  x_ = {0, 0, 0, 1, kNaN, 2};
  Array y(4);
  ProductOut out;
  out.y = y.matrix(2);
  reference().matmul(pool_, left(), *weight, out);
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(y[1], 0);
  EXPECT_TRUE(std::isnan(y[2]) && std::isnan(y[3]));
}

TEST(Reference, IsMadeOnce) {
  EXPECT_EQ(&reference_backend(), &reference_backend());
  EXPECT_EQ(reference().name(), "reference");
  EXPECT_FALSE(reference().description().empty());
}

}  // namespace
}  // namespace fathom::testing::reference_test
