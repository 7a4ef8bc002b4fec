// SPDX-License-Identifier: Apache-2.0
// Time, FLOP/s and bytes/s of every operator but the products, at the sizes of an RWKV 1.6B layer:
// 512 tokens, d_model 2048, 32 heads of 64, left-hand operands in bf16. Bytes are what has to be read and
// written once. The last group is a whole layer: what remains of it when the products are taken
// away.
//
//   bench_ops                      everything, on 1 and on all threads
//   bench_ops --benchmark_filter=layer6
//   FATHOM_BENCH_REFERENCE=1 bench_ops     the reference backend beside it (slow)
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/dtype.h"
#include "base/random.h"
#include "kernels/backend.h"

namespace fathom {
namespace {

constexpr size_t kTokens = 512, kWidth = 2048, kHeadSize = 64, kHeads = kWidth / kHeadSize;
constexpr size_t kCells = kTokens * kWidth;             // numbers of one activation
constexpr double kF = 4.0 * kCells, kB = 2.0 * kCells;  // bytes of one in f32, in bf16

// Activations and parameters, all distinct, so that the caches see what a layer shows them.
class Layer {
 public:
  Layer() {
    for (Buffer<float>& m : activations_) fill(m, kCells);
    for (Buffer<float>& v : vectors_) fill(v, kWidth);
    for (Buffer<BF16>& o : operands_) o.reserve_discard(kCells);
    fill(decay_, kCells);
    for (float& w : decay_.span()) w = 0.99f + 0.005f * w;
    fill(direction_, kCells);
    for (float& d : direction_.span()) d *= 0.125f;
    zeros_.reserve_discard(kWidth);
    sum_.reserve_discard(kWidth);
  }

  Matrix<float> m(size_t i) { return {activations_[i].data(), kTokens, kWidth}; }
  Matrix<float> decay() { return {decay_.data(), kTokens, kWidth}; }
  std::span<const float> vector(size_t i) { return vectors_[i].span().first(kWidth); }
  Operand operand(size_t i) {
    return {Compute::kBF16, operands_[i].data(), nullptr, kTokens, kWidth, kWidth};
  }
  Matrix<float> direction() { return {direction_.data(), kTokens, kWidth}; }
  std::span<const float> zeros() { return zeros_.span().first(kWidth); }
  Matrix<double> sum() { return {sum_.data(), 1, kWidth}; }
  std::span<const size_t> offsets() { return offsets_; }

  // Mixes `first` .. `first + n - 1`, with dynamic weights where they are wanted.
  std::vector<Mix> mixes(size_t n, bool dynamic) {
    std::vector<Mix> mixes(n);
    for (size_t i = 0; i < n; ++i) {
      mixes[i] = {vectors_[i].data(), dynamic ? activations_[6 + i].data() : nullptr, operand(i)};
    }
    return mixes;
  }

 private:
  void fill(Buffer<float>& to, size_t n) {
    to.reserve_discard(n);
    for (float& v : to.span()) v = static_cast<float>(random_.below(65536)) / 32768.0f - 1.0f;
  }

  Random random_{1};
  Buffer<float> activations_[12];  // (T, C)
  Buffer<float> decay_;            // (T, C) in (0.98, 1)
  Buffer<float> direction_;        // (T, C), of a length below 1 in every head
  Buffer<float> vectors_[8];       // (C)
  Buffer<float> zeros_;            // (C)
  Buffer<BF16> operands_[8];       // (T, C)
  Buffer<double> sum_;             // (1, C)
  std::vector<size_t> offsets_ = {0, kTokens};
};

struct Case {
  std::string name;
  double flops, bytes;
  std::function<void(const Backend&, ThreadPool&, Layer&)> run;
};

void wkv6(const Backend& b, ThreadPool& pool, Layer& l) {
  b.wkv6(pool,
         {l.m(0), l.m(1), l.m(2), l.decay(), l.vector(0), kHeadSize, l.offsets(), {}, l.m(3)});
}

void wkv7(const Backend& b, ThreadPool& pool, Layer& l) {
  b.wkv7(pool, {l.m(0),
                l.decay(),
                l.m(1),
                l.m(2),
                l.direction(),
                l.direction(),
                kHeadSize,
                l.offsets(),
                {},
                l.m(5)});
}

void group_norm(const Backend& b, ThreadPool& pool, Layer& l) {
  GroupNormArgs args;
  args.y = l.m(3);
  args.head_size = kHeadSize;
  args.weight = l.vector(0);
  args.bias = l.vector(1);
  args.eps = 64e-5f;
  args.gate = l.m(4);
  args.gate_activation = Activation::kSilu;
  args.out = l.operand(0);
  b.group_norm(pool, args);
}

void token_shift(const Backend& b, ThreadPool& pool, Layer& l, size_t n, bool dynamic) {
  const std::vector<Mix> mixes = l.mixes(n, dynamic);
  b.token_shift(pool, {l.m(1), l.offsets(), {}, mixes});
}

// In place, again and again: with k_a = 0, k stays.
void prepare7(const Backend& b, ThreadPool& pool, Layer& l) {
  b.prepare7(pool, {l.decay(), l.m(1), l.m(2), l.m(3), l.m(4), l.m(5), l.m(6), l.vector(0),
                    l.zeros(), kHeadSize});
}

void layer_norm(const Backend& b, ThreadPool& pool, Layer& l) {
  b.layer_norm(pool, l.m(0), l.vector(0), l.vector(1), 1e-5f, l.m(1));
}

// All of a v6 layer but its products.
void layer6(const Backend& b, ThreadPool& pool, Layer& l) {
  layer_norm(b, pool, l);
  token_shift(b, pool, l, 1, false);
  token_shift(b, pool, l, 5, true);
  b.decay6(pool, l.decay());
  wkv6(b, pool, l);
  group_norm(b, pool, l);
  layer_norm(b, pool, l);
  token_shift(b, pool, l, 2, false);
  b.gated_add(pool, l.m(2), l.m(3), l.m(0));
}

std::vector<Case> cases() {
  const double state = double{kTokens} * kHeads * kHeadSize * kHeadSize;
  std::vector<Case> cases;
  const auto add = [&](std::string name, double flops, double bytes, auto run) {
    cases.push_back({std::move(name), flops, bytes, run});
  };
  add("layer_norm", 8 * kCells, 2 * kF, layer_norm);
  add("token_shift/1", 3 * kCells, kF + kB,
      [](const Backend& b, ThreadPool& pool, Layer& l) { token_shift(b, pool, l, 1, false); });
  add("token_shift/2", 6 * kCells, kF + 2 * kB,
      [](const Backend& b, ThreadPool& pool, Layer& l) { token_shift(b, pool, l, 2, false); });
  add("token_shift/6", 18 * kCells, kF + 6 * kB,
      [](const Backend& b, ThreadPool& pool, Layer& l) { token_shift(b, pool, l, 6, false); });
  add("token_shift/5_dynamic", 20 * kCells, 6 * kF + 5 * kB,
      [](const Backend& b, ThreadPool& pool, Layer& l) { token_shift(b, pool, l, 5, true); });
  add("decay6", 60 * kCells, 2 * kF,
      [](const Backend& b, ThreadPool& pool, Layer& l) { b.decay6(pool, l.decay()); });
  add("wkv4", 60 * kCells, 3 * kF, [](const Backend& b, ThreadPool& pool, Layer& l) {
    b.wkv4(pool, {l.m(0), l.m(1), l.vector(0), l.vector(1), l.offsets(), {}, l.m(2)});
  });
  add("wkv6", 5 * state, 5 * kF, wkv6);
  add("prepare7", 80 * kCells, 12 * kF, prepare7);
  add("wkv7", 9 * state, 7 * kF, wkv7);
  add("group_norm_silu", 35 * kCells, 2 * kF + kB, group_norm);
  add("convert_relu_squared", 2 * kCells, kF + kB,
      [](const Backend& b, ThreadPool& pool, Layer& l) {
        b.convert(pool, l.m(0), Activation::kReluSquared, l.operand(0));
      });
  add("gate", kCells, 2 * kF + kB, [](const Backend& b, ThreadPool& pool, Layer& l) {
    b.gate(pool, l.m(0), Activation::kNone, l.m(1), l.operand(0));
  });
  add("gated_add", 25 * kCells, 4 * kF, [](const Backend& b, ThreadPool& pool, Layer& l) {
    b.gated_add(pool, l.m(2), l.m(3), l.m(0));
  });
  add("add_rows", 2 * kCells, kF, [](const Backend& b, ThreadPool& pool, Layer& l) {
    b.add_rows(pool, l.m(0), l.offsets(), {}, l.sum());
  });
  add("max_rows", kCells, kF, [](const Backend& b, ThreadPool& pool, Layer& l) {
    b.max_rows(pool, l.m(0), l.offsets(), {l.m(5).data(), 1, kWidth});
  });
  double flops = 0, bytes = 0;
  for (const Case& c : cases) {
    const double times = c.name == "layer_norm" ? 2 : 1;
    for (const char* part :
         {"layer_norm", "token_shift/1", "token_shift/2", "token_shift/5_dynamic", "decay6", "wkv6",
          "group_norm_silu", "gated_add"}) {
      if (c.name == part) flops += times * c.flops, bytes += times * c.bytes;
    }
  }
  add("layer6_without_products", flops, bytes, layer6);
  return cases;
}

void run(benchmark::State& bench, const Backend& backend, const Case& c, size_t n_thread) {
  ThreadPool pool(n_thread);
  Layer layer;
  for (auto _ : bench) {
    c.run(backend, pool, layer);
    benchmark::ClobberMemory();
  }
  bench.counters["FLOP/s"] =
      benchmark::Counter(c.flops, benchmark::Counter::kIsIterationInvariantRate);
  bench.counters["bytes/s"] =
      benchmark::Counter(c.bytes, benchmark::Counter::kIsIterationInvariantRate);
}

void register_all() {
  std::vector<const Backend*> backends = {&cpu_backend()};
  if (std::getenv("FATHOM_BENCH_REFERENCE")) backends.push_back(&reference_backend());
  std::vector<size_t> threads = {1};
  if (available_threads() > 1) threads.push_back(available_threads());
  for (const Case& c : cases()) {
    for (const Backend* backend : backends) {
      for (size_t n_thread : threads) {
        const std::string name = concat(c.name, "/", backend->name(), "/threads:", n_thread);
        benchmark::RegisterBenchmark(
            name.c_str(), [=](benchmark::State& bench) { run(bench, *backend, c, n_thread); })
            ->Unit(benchmark::kMillisecond)
            ->UseRealTime();
      }
    }
  }
}

}  // namespace
}  // namespace fathom

int main(int argc, char** argv) {
  fathom::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
