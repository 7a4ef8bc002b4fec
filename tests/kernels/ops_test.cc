// SPDX-License-Identifier: Apache-2.0
// Operators on rows (elementwise, norms, token shift, pooling) on every instruction set against the
// reference: odd widths, misaligned rows, every kind of left-hand operand, and independence of rows, pool
// and neighbours to the last bit.
#include <bit>

#include "kernels/ops_testing.h"

namespace fathom::testing::ops_test {
namespace {

constexpr double kClose = 1e-12;  // NMSE
constexpr Compute kTypes[] = {Compute::kF32, Compute::kBF16, Compute::kInt8};
constexpr Activation kActivations[] = {Activation::kNone, Activation::kTanh, Activation::kSigmoid,
                                       Activation::kSilu, Activation::kReluSquared};
constexpr size_t kWidths[] = {1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 64, 65, 127, 200};

// Runs an operator that writes operands, `run(backend or cpu, outputs)`, for one type of left-hand operand
// on both, and compares. A value that lies on the edge between two roundings may fall to either
// side: one unit of bf16 or of int8.
void expect_same_operand(const OutOperand& got, const OutOperand& want, Compute type, size_t rows,
                         size_t cols, const std::string& what) {
  EXPECT_TRUE(got.gaps_hold()) << what << " was written outside its rows";
  if (type == Compute::kF32) return expect_close(got.values(), want.values(), kClose, what);
  for (size_t t = 0; t < rows; ++t) {
    if (type == Compute::kInt8) {
      ASSERT_NEAR(got.scale(t), want.scale(t), 1e-6 * want.scale(t)) << what << " row " << t;
    }
    for (size_t c = 0; c < cols; ++c) {
      if (type == Compute::kInt8) {
        ASSERT_LE(std::abs(got.integer(t, c) - want.integer(t, c)), 1)
            << what << " " << t << " " << c;
      } else {
        const float w = want.value(t, c);
        ASSERT_NEAR(got.value(t, c), w, std::abs(w) * 0x1p-7f + 1e-37f)
            << what << " " << t << " " << c;
      }
    }
  }
}

TEST(Convert, MatchesReference) {
  ThreadPool pool(2);
  for_each_target([&] {
    for (size_t cols : kWidths) {
      const size_t rows = 3;
      const Array x = Numbers(cols).array(rows * cols, -4, 4);
      for (Compute type : kTypes) {
        for (Activation activation : kActivations) {
          OutOperand got(type, rows, cols), want(type, rows, cols);
          cpu::convert(pool, x.matrix(rows), activation, got.operand());
          reference_backend().convert(pool, x.matrix(rows), activation, want.operand());
          expect_same_operand(got, want, type, rows, cols, concat("convert to ", cols, " columns"));
          if (activation == Activation::kNone) {
            EXPECT_TRUE(got == want) << "rounding alone must agree to the bit";
          }
        }
      }
    }
  });
}

TEST(Convert, RoundsToBF16AsDTypeDoes) {
  ThreadPool pool(1);
  std::vector<float> x;
  for (uint32_t high :
       {0u, 1u, 0x7fu, 0x80u, 0x3f80u, 0x3f81u, 0x7f7fu, 0x7f80u, 0x7fc0u, 0x7fffu}) {
    for (uint32_t low : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      x.push_back(std::bit_cast<float>(high << 16 | low));
      x.push_back(std::bit_cast<float>(0x80000000u | high << 16 | low));
    }
  }
  for_each_target([&] {
    OutOperand got(Compute::kBF16, 1, x.size());
    cpu::convert(pool, {x.data(), 1, x.size()}, Activation::kNone, got.operand());
    for (size_t c = 0; c < x.size(); ++c) {
      EXPECT_EQ(got.bits(0, c), to_bf16(x[c]).bits) << std::bit_cast<uint32_t>(x[c]);
    }
  });
}

TEST(Convert, QuantisesRowsThatAreOdd) {
  ThreadPool pool(1);
  const float inf = std::numeric_limits<float>::infinity();
  const size_t cols = 35;
  const std::vector<float> first = {0, 1e-37f, 1, inf, kNaN, 3.4e38f, 127};
  std::vector<float> x;
  for (float v : first) {
    x.push_back(v);
    for (size_t c = 1; c < cols; ++c) x.push_back(v == 127 ? static_cast<float>(c) - 17.5f : 0.0f);
  }
  for_each_target([&] {
    OutOperand got(Compute::kInt8, first.size(), cols), want(Compute::kInt8, first.size(), cols);
    cpu::convert(pool, {x.data(), first.size(), cols}, Activation::kNone, got.operand());
    reference_backend().convert(pool, {x.data(), first.size(), cols}, Activation::kNone,
                                want.operand());
    EXPECT_EQ(got.scale(0), 0);
    EXPECT_EQ(got.scale(1), 0);
    EXPECT_EQ(got.integer(1, 0), 0);
    EXPECT_EQ(got.scale(2), 1 / 127.0f);
    EXPECT_EQ(got.integer(2, 0), 127);
    EXPECT_TRUE(std::isnan(got.scale(3)));
    EXPECT_EQ(got.integer(3, 0), 0);
    EXPECT_TRUE(std::isnan(got.scale(4)));
    EXPECT_EQ(got.integer(5, 0), 127);
    EXPECT_TRUE(std::isfinite(got.value(5, 0)));
    EXPECT_EQ(got.scale(6), 1);  // so that -16.5, -15.5, ... are ties: to even
    EXPECT_EQ(got.integer(6, 1), -16);
    EXPECT_EQ(got.integer(6, 2), -16);
    EXPECT_EQ(got.integer(6, 3), -14);
    for (size_t t = 0; t < first.size(); ++t) {
      for (size_t c = 0; c < cols; ++c) EXPECT_EQ(got.integer(t, c), want.integer(t, c)) << t;
    }
  });
}

TEST(Convert, NaNPassesThroughEveryActivation) {
  ThreadPool pool(1);
  for_each_target([&] {
    for (Activation activation : kActivations) {
      for (Compute type : kTypes) {
        const std::vector<float> x(5, kNaN);
        OutOperand got(type, 1, 5);
        cpu::convert(pool, {x.data(), 1, 5}, activation, got.operand());
        EXPECT_TRUE(std::isnan(got.value(0, 4)));
      }
    }
  });
}

TEST(Gate, MatchesReference) {
  ThreadPool pool(2);
  for_each_target([&] {
    for (size_t cols : kWidths) {
      const size_t rows = 2;
      Numbers numbers(cols);
      const Array a = numbers.array(rows * cols, -9, 9), b = numbers.array(rows * cols);
      for (Compute type : kTypes) {
        for (Activation activation : kActivations) {
          OutOperand got(type, rows, cols), want(type, rows, cols);
          cpu::gate(pool, a.matrix(rows), activation, b.matrix(rows), got.operand());
          reference_backend().gate(pool, a.matrix(rows), activation, b.matrix(rows),
                                   want.operand());
          expect_same_operand(got, want, type, rows, cols, concat("gate of ", cols, " columns"));
        }
      }
    }
  });
}

TEST(GatedAdd, MatchesReference) {
  ThreadPool pool(2);
  for_each_target([&] {
    for (size_t cols : kWidths) {
      Numbers numbers(cols);
      const Array r = numbers.array(2 * cols, -9, 9), y = numbers.array(2 * cols);
      Array got = numbers.array(2 * cols), want = got;
      cpu::gated_add(pool, r.matrix(2), y.matrix(2), got.matrix(2));
      reference_backend().gated_add(pool, r.matrix(2), y.matrix(2), want.matrix(2));
      expect_close(got, want, kClose, "gated_add");
    }
  });
}

TEST(RowProducts, MatchesReference) {
  ThreadPool pool(2);
  for_each_target([&] {
    for (size_t n_out : kWidths) {
      for (size_t n_in : {1, 3, 32}) {
        const size_t rows = 3;
        Numbers numbers(n_out + n_in);
        const Array x = numbers.array(rows * n_in), w = numbers.array(rows * n_in * n_out);
        Array got(rows * n_out), want(rows * n_out);
        cpu::row_products(pool, x.matrix(rows), w.matrix(rows), got.matrix(rows));
        reference_backend().row_products(pool, x.matrix(rows), w.matrix(rows), want.matrix(rows));
        expect_close(got, want, kClose, "row_products");
        EXPECT_TRUE(got.guards_hold());
      }
    }
  });
}

TEST(Decay6, MatchesReference) {
  ThreadPool pool(2);
  for_each_target([&] {
    for (size_t cols : kWidths) {
      Array got = Numbers(cols).array(2 * cols, -12, 6), want = got;
      cpu::decay6(pool, got.matrix(2));
      reference_backend().decay6(pool, want.matrix(2));
      expect_close(got, want, 1e-14, "decay6");
    }
  });
}

TEST(LayerNorm, MatchesReferenceInPlaceAsWell) {
  ThreadPool pool(2);
  for_each_target([&] {
    for (size_t cols : kWidths) {
      Numbers numbers(cols);
      const size_t rows = 3;
      const Array x = numbers.array(rows * cols), weight = numbers.array(cols),
                  bias = numbers.array(cols);
      Array got(rows * cols), want(rows * cols), in_place = x;
      const auto norm = [&](Matrix<const float> from, Array& to) {
        cpu::layer_norm(pool, from, weight.span(), bias.span(), 1e-5f, to.matrix(rows));
      };
      norm(x.matrix(rows), got);
      norm(in_place.matrix(rows), in_place);
      reference_backend().layer_norm(pool, x.matrix(rows), weight.span(), bias.span(), 1e-5f,
                                     want.matrix(rows));
      expect_close(got, want, kClose, concat("layer_norm of ", cols, " columns"));
      EXPECT_TRUE(in_place == got);
    }
  });
}

// Late layers have |mean| >> standard deviation, and constant rows have no deviation at all.
TEST(LayerNorm, LargeMeans) {
  ThreadPool pool(1);
  const size_t cols = 777;
  const std::vector<float> ones(cols, 1.0f), zeros(cols, 0.0f);
  for_each_target([&] {
    for (float mean : {0.0f, 1.0f, -1e3f, 1e5f, 3e6f}) {
      Array x = Numbers(7).array(cols);
      for (size_t c = 0; c < cols; ++c) x[c] += mean;
      Array got(cols), want(cols);
      cpu::layer_norm(pool, x.matrix(1), ones, zeros, 1e-5f, got.matrix(1));
      reference_backend().layer_norm(pool, x.matrix(1), ones, zeros, 1e-5f, want.matrix(1));
      expect_close(got, want, kClose, concat("mean ", mean));
      for (size_t c = 0; c < cols; ++c) x[c] = mean;
      cpu::layer_norm(pool, x.matrix(1), ones, zeros, 1e-5f, got.matrix(1));
      for (size_t c = 0; c < cols; ++c) ASSERT_NEAR(got[c], 0, 1e-6) << "constant row of " << mean;
    }
  });
}

struct GroupNormCase {
  size_t rows, heads, n;
  Array y, weight, bias, r, k, v, r_k, gate;

  GroupNormCase(size_t rows, size_t heads, size_t n) : rows(rows), heads(heads), n(n) {
    Numbers numbers(n);
    const size_t cols = heads * n;
    for (Array* m : {&y, &r, &k, &v}) *m = numbers.array(rows * cols);
    for (Array* m : {&weight, &bias, &r_k}) *m = numbers.array(cols);
    gate = numbers.array(rows * cols, -6, 6);
  }

  GroupNormArgs args(bool bonus, bool gated, Activation activation, OutOperand& out) const {
    GroupNormArgs args;
    args.y = y.matrix(rows);
    args.head_size = n;
    args.weight = weight.span();
    args.bias = bias.span();
    args.eps = 64e-5f;
    if (bonus) {
      args.r = r.matrix(rows);
      args.k = k.matrix(rows);
      args.v = v.matrix(rows);
      args.r_k = r_k.span();
    }
    if (gated) args.gate = gate.matrix(rows);
    args.gate_activation = activation;
    args.out = out.operand();
    return args;
  }
};

TEST(GroupNorm, MatchesReference) {
  ThreadPool pool(2);
  for_each_target([&] {
    for (size_t n : {1, 2, 3, 8, 16, 20, 32, 64, 80, 128}) {
      const size_t rows = 2, heads = 3;
      const GroupNormCase data(rows, heads, n);
      for (Compute type : kTypes) {
        for (bool bonus : {false, true}) {
          for (Activation activation : kActivations) {
            const bool gated = activation != Activation::kTanh;
            OutOperand got(type, rows, heads * n), want(type, rows, heads * n);
            cpu::group_norm(pool, data.args(bonus, gated, activation, got));
            reference_backend().group_norm(pool, data.args(bonus, gated, activation, want));
            expect_same_operand(got, want, type, rows, heads * n, concat("group norm of ", n));
          }
        }
      }
    }
  });
}

// At the first token all of y is c * v: its variance may lie far below eps, or be zero.
TEST(GroupNorm, SmallVariance) {
  ThreadPool pool(1);
  for_each_target([&] {
    for (float size : {0.0f, 1e-20f, 1e-4f, 1e4f}) {
      GroupNormCase data(1, 2, 64);
      for (size_t c = 0; c < data.y.size(); ++c) data.y[c] *= size;
      OutOperand got(Compute::kF32, 1, 128), want(Compute::kF32, 1, 128);
      cpu::group_norm(pool, data.args(false, false, Activation::kNone, got));
      reference_backend().group_norm(pool, data.args(false, false, Activation::kNone, want));
      expect_close(got.values(), want.values(), kClose, concat("size ", size));
    }
  });
}

struct ShiftCase {
  std::vector<size_t> offsets;
  size_t rows, cols;
  Array x, carried, weights, dynamic;
  std::vector<const float*> previous;

  ShiftCase(std::vector<size_t> sequence_offsets, size_t cols, bool integers)
      : offsets(std::move(sequence_offsets)), rows(offsets.back()), cols(cols) {
    Numbers numbers(cols);
    const auto make = [&](size_t n) {
      return integers ? numbers.integers(n, -9, 9) : numbers.array(n);
    };
    x = make(rows * cols);
    carried = make(offsets.size() * cols);
    weights = make(6 * cols);
    dynamic = make(6 * rows * cols);
    for (size_t s = 0; s + 1 < offsets.size(); ++s) {
      previous.push_back(s % 3 == 1 ? nullptr : carried.data() + s * cols);
    }
  }

  template <class Run>
  void run(const Run& op, bool with_previous, bool with_dynamic, std::vector<OutOperand>& outs) {
    std::vector<Mix> mixes;
    for (size_t m = 0; m < outs.size(); ++m) {
      mixes.push_back({weights.data() + m * cols,
                       with_dynamic && m != 1 ? dynamic.data() + m * rows * cols : nullptr,
                       outs[m].operand()});
    }
    TokenShiftArgs args;
    args.x = x.matrix(rows);
    args.offsets = offsets;
    if (with_previous) args.previous = previous;
    args.mixes = mixes;
    op(args);
  }
};

TEST(TokenShift, MatchesReference) {
  ThreadPool pool(2);
  const auto fast = [&](const TokenShiftArgs& args) { cpu::token_shift(pool, args); };
  const auto reference = [&](const TokenShiftArgs& args) {
    reference_backend().token_shift(pool, args);
  };
  for_each_target([&] {
    for (size_t cols : {1, 7, 16, 33, 100}) {
      ShiftCase data(offsets_of({1, 4, 1, 1, 9}), cols, false);
      for (size_t n_mix : {1, 2, 5, 6}) {
        for (bool with_previous : {false, true}) {
          for (bool with_dynamic : {false, true}) {
            std::vector<OutOperand> got, want;  // types mixed
            for (size_t m = 0; m < n_mix; ++m) got.emplace_back(kTypes[m % 3], data.rows, cols);
            want = got;
            data.run(fast, with_previous, with_dynamic, got);
            data.run(reference, with_previous, with_dynamic, want);
            for (size_t m = 0; m < n_mix; ++m) {
              expect_same_operand(got[m], want[m], kTypes[m % 3], data.rows, cols,
                                  concat("token shift of ", cols, " columns, mix ", m));
            }
          }
        }
      }
    }
  });
}

TEST(TokenShift, SmallIntegersAreExactAndSequencesStartAfresh) {
  ThreadPool pool(1);
  for_each_target([&] {
    const size_t cols = 21;
    ShiftCase data(offsets_of({3, 1, 2}), cols, true);
    std::vector<OutOperand> out = {{Compute::kF32, data.rows, cols}};
    data.run([&](const TokenShiftArgs& args) { cpu::token_shift(pool, args); }, true, false, out);
    for (size_t t = 0; t < data.rows; ++t) {
      for (size_t c = 0; c < cols; ++c) {
        const float x = data.x[t * cols + c], w = data.weights[c];
        float previous = t > 0 ? data.x[(t - 1) * cols + c] : 0;
        if (t == 0) previous = data.carried[c];
        if (t == 3) previous = 0;  // the second sequence has none
        if (t == 4) previous = data.carried[2 * cols + c];
        EXPECT_EQ(out[0].value(t, c), x + (previous - x) * w) << t << " " << c;
      }
    }
  });
}

TEST(AddRows, IsExactlyTheReferenceAndPiecesAddUp) {
  ThreadPool pool(3);
  for_each_target([&] {
    for (size_t cols : {1, 3, 17, 511, 1030}) {
      const auto offsets = offsets_of({1, 7, 20, 2});
      const size_t rows = offsets.back();
      Numbers numbers(cols);
      const Array x = numbers.array(rows * cols), weight = numbers.array(rows);
      for (std::span<const float> weights : {std::span<const float>(), weight.span()}) {
        std::vector<double> got(4 * cols, 0.5), want = got, pieces = got;
        const auto matrix = [&](std::vector<double>& v) {
          return Matrix<double>(v.data(), 4, cols);
        };
        cpu::add_rows(pool, x.matrix(rows), offsets, weights, matrix(got));
        reference_backend().add_rows(pool, x.matrix(rows), offsets, weights, matrix(want));
        EXPECT_EQ(got, want);
        for (size_t s = 0; s < 4; ++s) {
          for (size_t t = offsets[s]; t < offsets[s + 1]; ++t) {
            cpu::add_rows(pool, x.matrix(rows).slice(t, t + 1), offsets_of({1}),
                          weights.empty() ? weights : weights.subspan(t, 1),
                          matrix(pieces).slice(s, s + 1));
          }
        }
        EXPECT_EQ(pieces, got);
      }
    }
  });
}

TEST(MaxRows, IsExactlyTheReference) {
  ThreadPool pool(3);
  for_each_target([&] {
    for (size_t cols : {1, 3, 17, 511, 1030}) {
      const auto offsets = offsets_of({1, 7, 20});
      const size_t rows = offsets.back();
      const Array x = Numbers(cols).array(rows * cols);
      Array got = Numbers(1).array(3 * cols, -2, 1), want = got;
      cpu::max_rows(pool, x.matrix(rows), offsets, got.matrix(3));
      reference_backend().max_rows(pool, x.matrix(rows), offsets, want.matrix(3));
      EXPECT_TRUE(got.guards_hold() && got == want) << cols;
    }
  });
}

// Large enough to be cut into many tasks: every operator gives the same bits for any pool, and for
// each row alone as for the row among others.
TEST(Rows, DoNotDependOnPoolOrNeighbours) {
  const size_t rows = 61, heads = 24, n = 64, cols = heads * n;
  const GroupNormCase data(rows, heads, n);
  const auto run = [&](ThreadPool& pool, size_t begin, size_t end, Compute type) {
    const size_t count = end - begin;
    std::vector<OutOperand> outs(3, OutOperand(type, count, cols));
    Array norm(count * cols), decay(count * cols), sum(count * cols), products(count * n);
    const auto part = [&](const Array& m) { return m.matrix(rows).slice(begin, end); };
    cpu::convert(pool, part(data.y), Activation::kTanh, outs[0].operand());
    cpu::gate(pool, part(data.gate), Activation::kSilu, part(data.y), outs[1].operand());
    GroupNormArgs args = data.args(true, true, Activation::kSigmoid, outs[2]);
    for (auto* m : {&args.y, &args.r, &args.k, &args.v, &args.gate}) *m = m->slice(begin, end);
    cpu::group_norm(pool, args);
    cpu::layer_norm(pool, part(data.y), data.weight.span(), data.bias.span(), 1e-5f,
                    norm.matrix(count));
    std::copy_n(part(data.gate).data(), decay.size(), decay.data());
    cpu::decay6(pool, decay.matrix(count));
    std::copy_n(part(data.v).data(), sum.size(), sum.data());
    cpu::gated_add(pool, part(data.gate), part(data.r), sum.matrix(count));
    // A matrix (heads, n) for every row; y's first numbers by it.
    const Array left = Numbers(3).array(rows * heads);
    cpu::row_products(pool, left.matrix(rows).slice(begin, end), part(data.y),
                      products.matrix(count));
    std::vector<std::vector<float>> results;
    for (const OutOperand& out : outs) results.push_back(out.values());
    for (const Array* m : {&norm, &decay, &sum, &products}) {
      results.emplace_back(m->span().begin(), m->span().end());
    }
    return results;
  };
  ThreadPool one(1), two(2), three(3);
  for_each_target([&] {
    for (Compute type : kTypes) {
      const auto whole = run(one, 0, rows, type);
      EXPECT_EQ(run(two, 0, rows, type), whole);
      EXPECT_EQ(run(three, 0, rows, type), whole);
      for (size_t t : {size_t{0}, size_t{17}, rows - 1}) {
        const auto alone = run(one, t, t + 1, type);
        for (size_t i = 0; i < whole.size(); ++i) {
          const size_t width = whole[i].size() / rows;
          const auto row = std::span(whole[i]).subspan(t * width, width);
          EXPECT_TRUE(std::ranges::equal(alone[i], row)) << "operator " << i << " row " << t;
        }
      }
    }
  });
}

TEST(Rows, TokenShiftDoesNotDependOnThePool) {
  ThreadPool one(1), three(3);
  ShiftCase data(offsets_of({1, 40, 2, 25}), 1500, false);
  for_each_target([&] {
    std::vector<OutOperand> serial(2, OutOperand(Compute::kBF16, data.rows, data.cols));
    std::vector<OutOperand> parallel = serial;
    data.run([&](const TokenShiftArgs& a) { cpu::token_shift(one, a); }, true, true, serial);
    data.run([&](const TokenShiftArgs& a) { cpu::token_shift(three, a); }, true, true, parallel);
    EXPECT_TRUE(serial == parallel);
  });
}

TEST(Rows, NoneIsFine) {
  ThreadPool pool(2);
  const std::vector<float> weight(4, 1.0f);
  OutOperand out(Compute::kBF16, 0, 4);
  cpu::convert(pool, {nullptr, 0, 4}, Activation::kNone, out.operand());
  cpu::layer_norm(pool, {nullptr, 0, 4}, weight, weight, 1e-5f, {nullptr, 0, 4});
  cpu::decay6(pool, {nullptr, 0, 4});
  std::vector<double> sum(4, 1);
  cpu::add_rows(pool, {nullptr, 0, 4}, std::vector<size_t>{0, 0}, {}, {sum.data(), 1, 4});
  EXPECT_EQ(sum, std::vector<double>(4, 1));
}

}  // namespace
}  // namespace fathom::testing::ops_test
