// SPDX-License-Identifier: Apache-2.0
// TimedBackend: every operator reaches the same operator of the other backend with the same
// arguments, is counted as itself and nothing else, and products are counted exactly.
#include "kernels/timed_backend.h"

#include <functional>
#include <set>

#include "kernels/ops_testing.h"

namespace fathom::testing::timed_backend_test {
namespace {

constexpr size_t kRows = 5, kCols = 24, kHead = 8;

// One call of one operator on fixed numbers; what it wrote.
using Call = std::function<std::vector<float>(const Backend&, ThreadPool&)>;

std::vector<float> values(const Array& a) { return {a.data(), a.data() + a.size()}; }

// Inputs and outputs of a call, the same numbers every time.
struct Things {
  Numbers numbers{7};
  std::vector<size_t> offsets = offsets_of({3, 2});
  Array y{kRows * kCols};
  OutOperand next{Compute::kF32, kRows, kCols};

  Array rows(float low = -1, float high = 1) { return numbers.array(kRows * kCols, low, high); }
  Array vector() { return numbers.array(kCols); }
};

std::vector<float> wkv(const Backend& b, ThreadPool& pool, int version) {
  Things t;
  const Array r = t.rows(), k = t.rows(), v = t.rows(), w = t.rows(0.1f, 0.9f), kk = t.rows(),
              x = t.rows(), u = t.vector();
  const auto in = [](const Array& a) { return a.matrix(kRows); };
  if (version == 4)
    b.wkv4(pool, {.k = in(k),
                  .v = in(v),
                  .w = u.span(),
                  .u = u.span(),
                  .offsets = t.offsets,
                  .y = t.y.matrix(kRows)});
  else if (version == 6)
    b.wkv6(pool, {.r = in(r),
                  .k = in(k),
                  .v = in(v),
                  .w = in(w),
                  .u = u.span(),
                  .head_size = kHead,
                  .offsets = t.offsets,
                  .y = t.y.matrix(kRows)});
  else
    b.wkv7(pool, {.r = in(r),
                  .w = in(w),
                  .k = in(k),
                  .v = in(v),
                  .kk = in(kk),
                  .b = in(x),
                  .head_size = kHead,
                  .offsets = t.offsets,
                  .y = t.y.matrix(kRows)});
  return values(t.y);
}

std::vector<float> layer_norm(const Backend& b, ThreadPool& pool) {
  Things t;
  const Array x = t.rows(), weight = t.vector(), bias = t.vector();
  b.layer_norm(pool, x.matrix(kRows), weight.span(), bias.span(), 1e-5f, t.y.matrix(kRows));
  return values(t.y);
}

std::vector<float> token_shift(const Backend& b, ThreadPool& pool) {
  Things t;
  const Array x = t.rows(), weight = t.vector();
  const Mix mixes[] = {{weight.data(), nullptr, t.next.operand()}};
  b.token_shift(pool, {x.matrix(kRows), t.offsets, {}, mixes});
  return t.next.values();
}

std::vector<float> prepare7(const Backend& b, ThreadPool& pool) {
  Things t;
  Array w = t.rows(), k = t.rows(), a = t.rows(), v = t.rows();
  const Array k_k = t.vector(), k_a = t.vector();
  b.prepare7(pool, {.w = w.matrix(kRows),
                    .k = k.matrix(kRows),
                    .a = a.matrix(kRows),
                    .kk = t.y.matrix(kRows),
                    .v = v.matrix(kRows),
                    .k_k = k_k.span(),
                    .k_a = k_a.span(),
                    .head_size = kHead});
  std::vector<float> all = values(t.y);
  for (const Array* more : {&w, &k, &a, &v}) {
    const std::vector<float> part = values(*more);
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

std::vector<float> group_norm(const Backend& b, ThreadPool& pool) {
  Things t;
  const Array y = t.rows(), weight = t.vector(), bias = t.vector();
  b.group_norm(pool, {.y = y.matrix(kRows),
                      .head_size = kHead,
                      .weight = weight.span(),
                      .bias = bias.span(),
                      .eps = 1e-3f,
                      .out = t.next.operand()});
  return t.next.values();
}

struct Case {
  Operator op;
  Call call;
};

const std::vector<Case>& elementwise_cases() {
  static const std::vector<Case> cases = {
      {Operator::kConvert,
       [](const Backend& b, ThreadPool& pool) {
         Things t;
         const Array x = t.rows();
         b.convert(pool, x.matrix(kRows), Activation::kTanh, t.next.operand());
         return t.next.values();
       }},
      {Operator::kDecay6,
       [](const Backend& b, ThreadPool& pool) {
         Things t;
         Array d = t.rows();
         b.decay6(pool, d.matrix(kRows));
         return values(d);
       }},
      {Operator::kGate,
       [](const Backend& b, ThreadPool& pool) {
         Things t;
         const Array x = t.rows(), y = t.rows();
         b.gate(pool, x.matrix(kRows), Activation::kSilu, y.matrix(kRows), t.next.operand());
         return t.next.values();
       }},
      {Operator::kGatedAdd,
       [](const Backend& b, ThreadPool& pool) {
         Things t;
         const Array r = t.rows(), y = t.rows();
         Array x = t.rows();
         b.gated_add(pool, r.matrix(kRows), y.matrix(kRows), x.matrix(kRows));
         return values(x);
       }},
      {Operator::kRowProducts,
       [](const Backend& b, ThreadPool& pool) {
         Things t;
         const Array x = t.rows(), w = t.numbers.array(kRows * kCols * 3);
         std::vector<float> y(kRows * 3);
         b.row_products(pool, x.matrix(kRows), w.matrix(kRows), {y.data(), kRows, 3});
         return y;
       }},
      {Operator::kAddRows,
       [](const Backend& b, ThreadPool& pool) {
         Things t;
         const Array x = t.rows();
         std::vector<double> sum(2 * kCols, 0);
         b.add_rows(pool, x.matrix(kRows), t.offsets, {}, {sum.data(), 2, kCols});
         return std::vector<float>(sum.begin(), sum.end());
       }},
      {Operator::kMaxRows,
       [](const Backend& b, ThreadPool& pool) {
         Things t;
         const Array x = t.rows();
         std::vector<float> max(2 * kCols, -9);
         b.max_rows(pool, x.matrix(kRows), t.offsets, {max.data(), 2, kCols});
         return max;
       }},
  };
  return cases;
}

std::vector<Case> all_but_matmul() {
  std::vector<Case> cases = elementwise_cases();
  cases.push_back({Operator::kLayerNorm, layer_norm});
  cases.push_back({Operator::kTokenShift, token_shift});
  cases.push_back({Operator::kPrepare7, prepare7});
  cases.push_back({Operator::kGroupNorm, group_norm});
  for (const auto& [op, version] :
       {std::pair(Operator::kWkv4, 4), {Operator::kWkv6, 6}, {Operator::kWkv7, 7}})
    cases.push_back(
        {op, [v = version](const Backend& b, ThreadPool& pool) { return wkv(b, pool, v); }});
  return cases;
}

TEST(TimedBackend, EveryOperatorIsPassedOnAndCountedAsItself) {
  ThreadPool pool(2);
  const std::vector<Case> cases = all_but_matmul();
  EXPECT_EQ(cases.size() + 1, kOperatorCount);  // matmul: below
  for (const Backend* inner : {&reference_backend(), &cpu_backend()}) {
    TimedBackend timed(*inner);
    for (const Case& c : cases) {
      SCOPED_TRACE(std::string(inner->name()) + " " + std::string(name_of(c.op)));
      timed.reset();
      EXPECT_EQ(c.call(timed, pool), c.call(*inner, pool));
      c.call(timed, pool);
      for (size_t i = 0; i < kOperatorCount; ++i) {
        const bool called = static_cast<Operator>(i) == c.op;
        EXPECT_EQ(timed.tallies()[i].n_call, called ? 2u : 0u) << i;
        EXPECT_EQ(timed.tallies()[i].seconds > 0, called) << i;
      }
      EXPECT_TRUE(timed.products().empty());
    }
  }
}

TEST(TimedBackend, ProductsAreTheOtherBackendsAndCountedExactly) {
  constexpr size_t kOut = 70;
  ThreadPool pool(2);
  Numbers numbers(3);
  const Array weights = numbers.array(kOut * kCols), x = numbers.array(kRows * kCols);
  const WeightRows source{kOut, kCols, [&](size_t begin, size_t end, float* out) {
                            std::copy_n(weights.data() + begin * kCols, (end - begin) * kCols, out);
                          }};
  TimedBackend timed(cpu_backend());
  const auto w = timed.pack(pool, source, Compute::kF32);
  std::vector<float> left(padded_rows(kRows) * kCols);
  std::copy_n(x.data(), x.size(), left.data());
  const auto multiply = [&](const Backend& b, size_t rows) {
    std::vector<float> y(padded_rows(kRows) * kOut, 1);
    const Operand operand{Compute::kF32, left.data(), nullptr, rows, kCols, kCols};
    b.matmul(pool, operand, *w, {.y = {y.data(), rows, kOut}, .accumulate = true});
    return y;
  };
  EXPECT_EQ(multiply(timed, kRows), multiply(cpu_backend(), kRows));
  multiply(timed, 3);
  ASSERT_EQ(timed.products().size(), 2u);
  EXPECT_EQ(timed.products()[0].weight, w.get());
  EXPECT_EQ(timed.products()[0].rows, kRows);
  EXPECT_EQ(timed.products()[0].flop(), 2 * kRows * kCols * kOut);  // not of 16 padded rows
  EXPECT_EQ(timed.products()[1].flop(), 2 * 3 * kCols * kOut);
  const auto& tally = timed.tallies()[static_cast<size_t>(Operator::kMatmul)];
  EXPECT_EQ(tally.n_call, 2u);
  EXPECT_DOUBLE_EQ(tally.seconds, timed.products()[0].seconds + timed.products()[1].seconds);
  if (!w->blob.empty()) {
    EXPECT_EQ(timed.adopt(kOut, kCols, Compute::kF32, w->blob)->blob.data(), w->blob.data());
  }
  timed.reset();
  EXPECT_TRUE(timed.products().empty());
  EXPECT_EQ(timed.tallies()[0].n_call, 0u);
}

TEST(TimedBackend, SaysWhatTheOtherBackendSays) {
  for (const Backend* inner : {&reference_backend(), &cpu_backend()}) {
    const TimedBackend timed(*inner);
    EXPECT_EQ(timed.name(), inner->name());
    EXPECT_EQ(timed.description(), inner->description());
    EXPECT_EQ(timed.blob_layout(), inner->blob_layout());
    EXPECT_EQ(&timed.inner(), inner);
    for (Compute c : {Compute::kF32, Compute::kBF16, Compute::kInt8}) {
      EXPECT_EQ(timed.operand_type(c), inner->operand_type(c));
      EXPECT_EQ(timed.supports(c), inner->supports(c));
      EXPECT_EQ(timed.rows_are_exact(c), inner->rows_are_exact(c));
    }
  }
}

TEST(TimedBackend, OperatorsHaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < kOperatorCount; ++i) names.insert(name_of(static_cast<Operator>(i)));
  EXPECT_EQ(names.size(), kOperatorCount);
  EXPECT_EQ(part_of(Operator::kMatmul), Part::kProducts);
  EXPECT_EQ(part_of(Operator::kWkv7), Part::kWkv);
  EXPECT_EQ(part_of(Operator::kGroupNorm), Part::kMixing);
  EXPECT_EQ(part_of(Operator::kMaxRows), Part::kPooling);
}

}  // namespace
}  // namespace fathom::testing::timed_backend_test
