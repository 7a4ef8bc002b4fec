// SPDX-License-Identifier: Apache-2.0
// The recurrences of v4, v6 and v7 on every instruction set: against the reference, in pieces, in
// batches, on pools of any size (the last three to the last bit), and where numbers are extreme.
#include "kernels/ops_testing.h"

namespace fathom::testing::wkv_test {
namespace {

constexpr double kClose = 1e-12;  // NMSE

// Inputs of one version, its outputs, and how to run any of its sequences. kVersion: 4, 6 or 7.
template <int kVersion>
struct WkvCase {
  std::vector<size_t> offsets;
  size_t n, cols;          // head size, attention width
  bool one_decay = false;  // v5: the same decay for every token
  std::vector<Array> in;   // (T, A): v4 k v; v6 r k v w; v7 r w k v kk b
  Array w, u;              // (A): v4 both, v6 u
  Array y;
  std::vector<Array> states;  // one for each sequence

  WkvCase(std::vector<size_t> sequence_offsets, size_t heads, size_t n)
      : offsets(std::move(sequence_offsets)), n(n), cols(heads * n) {
    Numbers numbers(n);
    const size_t cells = offsets.back() * cols;
    const size_t n_in = kVersion == 4 ? 2 : kVersion == 6 ? 4 : 6;
    for (size_t i = 0; i < n_in; ++i) in.push_back(numbers.array(cells, -1, 1));
    u = numbers.array(cols, -1, 1);
    w = numbers.array(cols, -3, -0.001f);
    if (kVersion == 4) in[0] = numbers.array(cells, -20, 20);
    if (kVersion == 6) in[3] = numbers.array(cells, 0, 1);
    if (kVersion == 7) make_v7(numbers);
    for (size_t s = 0; s + 1 < offsets.size(); ++s) {
      states.push_back(numbers.array(state_size(), -1, 1));
      if (kVersion == 4) {  // bb is a sum of exponentials
        for (size_t c = cols; c < 2 * cols; ++c) states[s][c] = std::abs(states[s][c]) + 0.1f;
      }
    }
    y = Array(cells);
  }

  size_t state_size() const { return kVersion == 4 ? 3 * cols : cols * n; }

  // As prepare7 leaves them: w in (0.54, 1), kk of length 1 in every head, b = kk a with a in (0,
  // 1).
  void make_v7(Numbers& numbers) {
    in[1] = numbers.array(in[1].size(), 0.546f, 1);
    for (size_t first = 0; first < in[4].size(); first += n) {
      double square = 0;
      for (size_t j = 0; j < n; ++j) square += double{in[4][first + j]} * in[4][first + j];
      for (size_t j = 0; j < n; ++j) {
        in[4][first + j] = static_cast<float>(in[4][first + j] / std::sqrt(square));
        in[5][first + j] = in[4][first + j] * numbers.uniform(0, 1);
      }
    }
  }

  // Rows [begin, end) with these offsets (from `begin`) and states, by `run(args)`.
  template <class Run>
  void run_part(const Run& run, size_t begin, size_t end, std::span<const size_t> part_offsets,
                std::span<float* const> part_states) {
    const size_t rows = offsets.back();
    const auto m = [&](size_t i) {
      return Matrix<const float>(in[i].matrix(rows)).slice(begin, end);
    };
    const Matrix<float> out = y.matrix(rows).slice(begin, end);
    if constexpr (kVersion == 4) {
      run(Wkv4Args{m(0), m(1), w.span(), u.span(), part_offsets, part_states, out});
    } else if constexpr (kVersion == 6) {
      const Matrix<const float> decay =
          one_decay ? Matrix<const float>(in[3].data(), 1, cols) : m(3);
      run(Wkv6Args{m(0), m(1), m(2), decay, u.span(), n, part_offsets, part_states, out});
    } else {
      run(Wkv7Args{m(0), m(1), m(2), m(3), m(4), m(5), n, part_offsets, part_states, out});
    }
  }

  // All sequences; every third without a state of its own.
  template <class Run>
  void run(const Run& op, bool with_states = true) {
    std::vector<float*> pointers;
    for (size_t s = 0; s < states.size(); ++s) {
      pointers.push_back(s % 3 == 2 ? nullptr : states[s].data());
    }
    if (!with_states) pointers.clear();
    run_part(op, 0, offsets.back(), offsets, pointers);
  }

  void expect_close_to(const WkvCase& want, double max_nmse, const std::string& what) const {
    expect_close(y, want.y, max_nmse, what + " y");
    for (size_t s = 0; s < states.size(); ++s) {
      expect_close(states[s], want.states[s], max_nmse, concat(what, " state ", s));
    }
  }
  // Equal as numbers: 0 may be -0.
  bool equals(const WkvCase& want) const {
    for (size_t s = 0; s < states.size(); ++s) {
      if (!std::ranges::equal(states[s].span(), want.states[s].span())) return false;
    }
    return std::ranges::equal(y.span(), want.y.span());
  }
  bool operator==(const WkvCase& other) const { return y == other.y && states == other.states; }
};

// The operator of each version, on the CPU backend or the reference.
struct Fast {
  ThreadPool& pool;
  void operator()(const Wkv4Args& args) const { cpu::wkv4(pool, args); }
  void operator()(const Wkv6Args& args) const { cpu::wkv6(pool, args); }
  void operator()(const Wkv7Args& args) const { cpu::wkv7(pool, args); }
};
struct Slow {
  ThreadPool& pool;
  void operator()(const Wkv4Args& args) const { reference_backend().wkv4(pool, args); }
  void operator()(const Wkv6Args& args) const { reference_backend().wkv6(pool, args); }
  void operator()(const Wkv7Args& args) const { reference_backend().wkv7(pool, args); }
};

template <class Version>
class Wkv : public ::testing::Test {
 protected:
  using Case = WkvCase<Version::value>;
};
using Versions = ::testing::Types<std::integral_constant<int, 4>, std::integral_constant<int, 6>,
                                  std::integral_constant<int, 7>>;
struct VersionNames {
  template <class Version>
  static std::string GetName(int) {
    return concat("v", Version::value);
  }
};
TYPED_TEST_SUITE(Wkv, Versions, VersionNames);

TYPED_TEST(Wkv, MatchesReference) {
  ThreadPool pool(2);
  for_each_target([&] {
    for (size_t n : {1, 3, 8, 16, 20, 32, 48, 64, 80, 128, 130}) {
      for (bool with_states : {false, true}) {
        typename TestFixture::Case want(offsets_of({5, 1, 12, 2}), 2, n), got = want;
        want.run(Slow{pool}, with_states);
        got.run(Fast{pool}, with_states);
        got.expect_close_to(want, kClose, concat("head size ", n));
      }
    }
  });
}

TYPED_TEST(Wkv, LongSequencesStayClose) {
  ThreadPool pool(1);
  typename TestFixture::Case want(offsets_of({1500}), 1, 64), got = want;
  want.run(Slow{pool});
  got.run(Fast{pool});
  got.expect_close_to(want, kClose, "1500 tokens");
}

TYPED_TEST(Wkv, PiecesWithCarriedStateAreTheWhole) {
  ThreadPool pool(1);
  for_each_target([&] {
    for (size_t n : {20, 64, 128}) {
      typename TestFixture::Case whole(offsets_of({23}), 3, n), pieces = whole;
      whole.run(Fast{pool});
      size_t begin = 0;
      float* const state = pieces.states[0].data();
      for (size_t length : {1, 1, 7, 2, 12}) {
        const std::vector<size_t> offsets = {0, length};
        pieces.run_part(Fast{pool}, begin, begin + length, offsets, std::span(&state, 1));
        begin += length;
      }
      EXPECT_TRUE(pieces == whole) << "head size " << n;
    }
  });
}

TYPED_TEST(Wkv, ReferenceInPiecesIsTheWholeToo) {
  ThreadPool pool(1);
  typename TestFixture::Case whole(offsets_of({9}), 2, 8), pieces = whole;
  whole.run(Slow{pool});
  float* const state = pieces.states[0].data();
  for (size_t t = 0; t < 9; ++t) {
    pieces.run_part(Slow{pool}, t, t + 1, std::vector<size_t>{0, 1}, std::span(&state, 1));
  }
  EXPECT_TRUE(pieces == whole);
}

TYPED_TEST(Wkv, SequencesDoNotDependOnBatchOrPool) {
  ThreadPool one(1), two(2), three(3);
  for_each_target([&] {
    typename TestFixture::Case batch(offsets_of({3, 40, 1, 1, 9, 70, 2}), 6, 64);
    typename TestFixture::Case alone = batch, on_two = batch, on_three = batch;
    batch.run(Fast{one});
    on_two.run(Fast{two});
    on_three.run(Fast{three});
    EXPECT_TRUE(on_two == batch);
    EXPECT_TRUE(on_three == batch);
    for (size_t s = 0; s + 1 < alone.offsets.size(); ++s) {
      float* const state = s % 3 == 2 ? nullptr : alone.states[s].data();
      const size_t begin = alone.offsets[s], end = alone.offsets[s + 1];
      alone.run_part(Fast{one}, begin, end, std::vector<size_t>{0, end - begin},
                     std::span(&state, 1));
    }
    EXPECT_TRUE(alone == batch);
  });
}

TYPED_TEST(Wkv, EmptySequencesKeepTheirState) {
  ThreadPool pool(1);
  for_each_target([&] {
    typename TestFixture::Case data(offsets_of({0, 2, 0}), 1, 16);
    const typename TestFixture::Case before = data;
    data.run(Fast{pool});
    EXPECT_TRUE(data.states[0] == before.states[0]);
    EXPECT_FALSE(data.states[1] == before.states[1]);
  });
}

TEST(Wkv4, FreshStateGivesTheFirstValue) {
  ThreadPool pool(1);
  for_each_target([&] {
    WkvCase<4> data(offsets_of({1, 3}), 1, 37);
    data.run(Fast{pool}, false);
    for (size_t c = 0; c < 37; ++c) EXPECT_EQ(data.y[c], data.in[1][c]);
  });
}

// Keys far apart, and keys whose exponentials overflow: the running maximum holds.
TEST(Wkv4, ExtremeKeys) {
  ThreadPool pool(1);
  for_each_target([&] {
    for (float size : {1e-3f, 100.0f, 1e4f}) {
      WkvCase<4> want(offsets_of({40}), 1, 33);
      want.in[0] = Numbers(1).array(want.in[0].size(), -size, size);
      WkvCase<4> got = want;
      want.run(Slow{pool}, false);
      got.run(Fast{pool}, false);
      got.expect_close_to(want, 1e-10, concat("keys of ", size));
    }
  });
}

// A decay far below one unit of the running maximum: every token rounds it the same way, which must
// not add up.
TEST(Wkv4, SlowDecayDoesNotDrift) {
  ThreadPool pool(1);
  for_each_target([&] {
    const size_t rows = 3000, cols = 16;
    WkvCase<4> data(offsets_of({rows}), 1, cols);
    for (size_t c = 0; c < cols; ++c) data.w[c] = -1.7e-4f * static_cast<float>(c + 1);
    for (size_t i = 0; i < rows * cols; ++i) data.in[0][i] = i < cols ? 9.3f : 2.0f;
    data.run(Fast{pool}, false);
    for (size_t c = 0; c < cols; ++c) {
      // Shares of the first token's value at the end, by the closed form in double.
      const double w = data.w[c], u = data.u[c];
      double top = 0, bottom = 0;
      for (size_t t = 0; t < rows; ++t) {
        const bool last = t + 1 == rows;
        const double k = data.in[0][t * cols + c];
        const double share = std::exp(k + (last ? u : w * static_cast<double>(rows - 2 - t)));
        top += share * data.in[1][t * cols + c];
        bottom += share;
      }
      EXPECT_NEAR(data.y[(rows - 1) * cols + c], top / bottom,
                  2e-5 * std::abs(top / bottom) + 1e-6);
    }
  });
}

TEST(Wkv6, SmallIntegersAreExact) {
  ThreadPool pool(1);
  for_each_target([&] {
    for (size_t n : {5, 64}) {
      WkvCase<6> want(offsets_of({6, 3}), 2, n);
      Numbers numbers(1);
      for (size_t i = 0; i < 4; ++i) {
        want.in[i] = numbers.integers(want.in[i].size(), i == 3 ? 0 : -2, i == 3 ? 1 : 2);
      }
      want.u = numbers.integers(want.cols, -2, 2);
      for (Array& state : want.states) state = numbers.integers(want.state_size(), -3, 3);
      WkvCase<6> got = want;
      want.run(Slow{pool});
      got.run(Fast{pool});
      EXPECT_TRUE(got.equals(want)) << n;  // sums of integers are exact in f32, in any order
    }
  });
}

// Decays as decay6 makes them at its ends: exp(-403) = 0 forgets all, 1 forgets nothing.
TEST(Wkv6, ExtremeDecays) {
  ThreadPool pool(1);
  for_each_target([&] {
    WkvCase<6> want(offsets_of({50}), 1, 64);
    const float raw[] = {6.0f, -20.0f, 4.4f, -9.0f, 100.0f};
    for (size_t i = 0; i < want.in[3].size(); ++i) want.in[3][i] = raw[i % 5];
    WkvCase<6> got = want;
    reference_backend().decay6(pool, want.in[3].matrix(50));
    cpu::decay6(pool, got.in[3].matrix(50));
    want.run(Slow{pool}, false);
    got.run(Fast{pool}, false);
    got.expect_close_to(want, kClose, "extreme decays");
  });
}

TEST(Wkv6, OneDecayForAllTokensIsThatDecayRepeated) {
  ThreadPool pool(2);
  for_each_target([&] {
    WkvCase<6> repeated(offsets_of({4, 7}), 2, 32);
    for (size_t i = 0; i < repeated.in[3].size(); ++i) {
      repeated.in[3][i] = repeated.in[3][i % repeated.cols];
    }
    WkvCase<6> one = repeated, reference = repeated;
    one.one_decay = reference.one_decay = true;
    repeated.run(Fast{pool});
    one.run(Fast{pool});
    reference.run(Slow{pool});
    EXPECT_TRUE(one == repeated);
    one.expect_close_to(reference, kClose, "one decay");
  });
}

TEST(Wkv7, SmallIntegersAreExact) {
  ThreadPool pool(1);
  for_each_target([&] {
    for (size_t n : {5, 64}) {
      WkvCase<7> want(offsets_of({3, 2}), 2, n);
      Numbers numbers(1);
      for (Array& m : want.in) m = numbers.integers(m.size(), -1, 1);
      for (size_t i : {4, 5}) {  // sparse, so that the sums stay small
        for (size_t c = 0; c < want.in[i].size(); ++c) want.in[i][c] *= c % 16 == i % 2 ? 1 : 0;
      }
      for (Array& state : want.states) state = numbers.integers(want.state_size(), -3, 3);
      WkvCase<7> got = want;
      want.run(Slow{pool});
      got.run(Fast{pool});
      EXPECT_TRUE(got.equals(want)) << n;
    }
  });
}

struct PrepareCase {
  size_t rows, cols, n;
  Array w, k, a, kk, v, v_gate, v_first, k_k, k_a;

  PrepareCase(size_t rows, size_t heads, size_t n) : rows(rows), cols(heads * n), n(n) {
    Numbers numbers(n);
    for (Array* m : {&w, &a, &v_gate}) *m = numbers.array(rows * cols, -8, 8);
    for (Array* m : {&k, &v, &v_first}) *m = numbers.array(rows * cols);
    for (Array* m : {&k_k, &k_a}) *m = numbers.array(cols);
    kk = Array(rows * cols);
  }

  Prepare7Args args(bool first_block) {
    const auto empty = Matrix<const float>();
    return {w.matrix(rows),
            k.matrix(rows),
            a.matrix(rows),
            kk.matrix(rows),
            v.matrix(rows),
            first_block ? empty : v_gate.matrix(rows),
            first_block ? empty : v_first.matrix(rows),
            k_k.span(),
            k_a.span(),
            n};
  }
};

TEST(Prepare7, MatchesReference) {
  ThreadPool pool(2);
  for_each_target([&] {
    for (size_t n : {1, 8, 20, 64, 128}) {
      for (bool first_block : {false, true}) {
        PrepareCase got(3, 2, n), want = got;
        const Array v_before = got.v;
        cpu::prepare7(pool, got.args(first_block));
        reference_backend().prepare7(pool, want.args(first_block));
        expect_close(got.w, want.w, 1e-13, "w");
        expect_close(got.k, want.k, kClose, "k");
        expect_close(got.a, want.a, kClose, "b");
        expect_close(got.kk, want.kk, kClose, "kk");
        expect_close(got.v, want.v, kClose, "v");
        if (first_block) {
          EXPECT_TRUE(got.v == v_before);
        }
      }
    }
  });
}

TEST(Prepare7, ZeroNormGivesZeroAndDecayKeepsItsEnds) {
  ThreadPool pool(1);
  for_each_target([&] {
    PrepareCase data(1, 3, 64);
    for (size_t c = 0; c < 64; ++c) data.k[c] = 0;         // |k| = 0
    for (size_t c = 64; c < 128; ++c) data.k[c] = 1e-20f;  // below the floor of 1e-12
    data.w[0] = -200;
    data.w[1] = 200;
    const float below = data.k_k[70] * 1e-20f / 1e-12f;
    cpu::prepare7(pool, data.args(true));
    for (size_t c = 0; c < 64; ++c) {
      EXPECT_EQ(data.kk[c], 0);
      EXPECT_EQ(data.a[c], 0);
    }
    EXPECT_NEAR(data.kk[70], below, 1e-6 * std::abs(below));
    EXPECT_EQ(data.w[0], 1);
    EXPECT_NEAR(data.w[1], std::exp(-std::exp(-0.5)), 1e-7);
    double square = 0;
    for (size_t c = 128; c < 192; ++c) square += double{data.kk[c]} * data.kk[c];
    EXPECT_NEAR(square, 1, 1e-6);
  });
}

TEST(Prepare7, DoesNotDependOnPoolOrNeighbours) {
  ThreadPool one(1), three(3);
  for_each_target([&] {
    PrepareCase whole(40, 16, 64), parallel = whole, alone = whole;
    cpu::prepare7(one, whole.args(false));
    cpu::prepare7(three, parallel.args(false));
    Prepare7Args row = alone.args(false);
    for (auto* m : {&row.w, &row.k, &row.a, &row.kk, &row.v}) *m = m->slice(11, 12);
    for (auto* m : {&row.v_gate, &row.v_first}) *m = m->slice(11, 12);
    cpu::prepare7(one, row);
    for (const auto member :
         {&PrepareCase::w, &PrepareCase::k, &PrepareCase::a, &PrepareCase::kk, &PrepareCase::v}) {
      EXPECT_TRUE(parallel.*member == whole.*member);
      const auto of_row = [&](PrepareCase& c) { return (c.*member).matrix(40).row(11); };
      EXPECT_TRUE(std::ranges::equal(of_row(alone), of_row(whole)));
    }
  });
}

}  // namespace
}  // namespace fathom::testing::wkv_test
