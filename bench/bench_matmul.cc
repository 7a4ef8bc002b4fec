// SPDX-License-Identifier: Apache-2.0
// Products of the CPU backend beside one plain oneDNN call on weights in oneDNN's own layout: the
// ceiling. Both stream through copies of the weights that together exceed the caches, as the layers
// of a model do. Compare rates within one run only: machines are shared.
//
//   bench_matmul --benchmark_filter='bf16/K:2048'          FLOP/s counts a multiply-add as two
#include <benchmark/benchmark.h>

#include <algorithm>
#include <dnnl.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/backend.h"

extern "C" void omp_set_num_threads(int);

namespace fathom {
namespace {

struct Case {
  Compute compute;
  size_t n_in, n_out, rows, threads;
  size_t bytes_per_element() const {
    return compute == Compute::kF32 ? 4 : compute == Compute::kBF16 ? 2 : 1;
  }
  size_t copies() const {
    constexpr size_t kBeyondCaches = size_t{96} << 20;
    return std::max<size_t>(1, kBeyondCaches / (n_in * n_out * bytes_per_element()));
  }
};

void count(benchmark::State& state, const Case& c) {
  const double flop = 2.0 * static_cast<double>(c.n_in) * static_cast<double>(c.n_out * c.rows);
  state.counters["FLOP/s"] =
      benchmark::Counter(flop, benchmark::Counter::kIsIterationInvariantRate);
  state.SetBytesProcessed(state.iterations() *
                          static_cast<int64_t>(c.n_in * c.n_out * c.bytes_per_element()));
}

enum class Form { kPlain, kReluSquaredNext };

void bench_fathom(benchmark::State& state, Case c, Form form) {
  ThreadPool pool(c.threads);
  const Backend& cpu = cpu_backend();
  const WeightRows source{c.n_out, c.n_in, [&](size_t begin, size_t end, float* out) {
                            for (size_t i = 0; i < (end - begin) * c.n_in; ++i) {
                              out[i] = static_cast<float>((begin + i) % 13) - 6;
                            }
                          }};
  std::vector<std::unique_ptr<PackedWeight>> weights;
  for (size_t i = 0; i < c.copies(); ++i) weights.push_back(cpu.pack(pool, source, c.compute));

  const size_t padded = padded_rows(c.rows);
  Buffer<float> x(padded * c.n_in), y(padded * c.n_out), scale(padded), next_scale(padded);
  for (size_t i = 0; i < x.size(); ++i) x.span()[i] = static_cast<float>(i % 11) - 5;
  Buffer<std::byte> left(padded * c.n_in * 4), next(padded * c.n_out * 4);
  const Operand operand{
      c.compute, left.data(), c.compute == Compute::kInt8 ? scale.data() : nullptr,
      c.rows,    c.n_in,      c.n_in};
  cpu.convert(pool, {x.data(), c.rows, c.n_in}, Activation::kNone, operand);
  ProductOut out;
  if (form == Form::kPlain) {
    out.y = {y.data(), c.rows, c.n_out};
  } else {
    out.next = {c.compute, next.data(), c.compute == Compute::kInt8 ? next_scale.data() : nullptr,
                c.rows,    c.n_out,     c.n_out};
    out.activation = Activation::kReluSquared;
  }
  size_t i = 0;
  for (auto _ : state) {
    cpu.matmul(pool, operand, *weights[i++ % weights.size()], out);
    benchmark::ClobberMemory();
  }
  count(state, c);
}

void bench_onednn(benchmark::State& state, Case c) {
  using dnnl::memory;
  omp_set_num_threads(static_cast<int>(c.threads));
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const auto type = c.compute == Compute::kF32    ? memory::data_type::f32
                    : c.compute == Compute::kBF16 ? memory::data_type::bf16
                                                  : memory::data_type::s8;
  const auto dim = [](size_t n) { return static_cast<memory::dim>(n); };
  const memory::desc x({dim(c.rows), dim(c.n_in)}, type, memory::format_tag::ab);
  const memory::desc w({dim(c.n_in), dim(c.n_out)}, type, memory::format_tag::any);
  const memory::desc y({dim(c.rows), dim(c.n_out)}, memory::data_type::f32, memory::format_tag::ab);
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::matmul::primitive_desc found(engine, x, w, y);
#else
  const dnnl::matmul::primitive_desc found(dnnl::matmul::desc(x, w, y), engine);
#endif
  const dnnl::matmul product(found);
  memory left(x, engine), right(y, engine);
  std::fill_n(static_cast<char*>(left.get_data_handle()), x.get_size(), char{1});
  std::vector<memory> weights;
  for (size_t i = 0; i < c.copies(); ++i) {
    weights.emplace_back(found.weights_desc(), engine);
    std::fill_n(static_cast<char*>(weights.back().get_data_handle()),
                found.weights_desc().get_size(), char{1});
  }
  size_t i = 0;
  for (auto _ : state) {
    product.execute(stream, {{DNNL_ARG_SRC, left},
                             {DNNL_ARG_WEIGHTS, weights[i++ % weights.size()]},
                             {DNNL_ARG_DST, right}});
    benchmark::ClobberMemory();
  }
  state.SetLabel(found.impl_info_str());
  count(state, c);
}

void register_all() {
  const size_t all = available_threads();
  for (Compute compute : {Compute::kF32, Compute::kBF16, Compute::kInt8}) {
    if (!cpu_backend().supports(compute)) continue;
    const std::pair<size_t, size_t> shapes[] = {{768, 768},   {768, 3072},  {1024, 1024},
                                                {2048, 2048}, {2048, 7168}, {7168, 2048},
                                                {2048, 160},  {32, 2048},   {64, 768}};
    for (const auto& [n_in, n_out] : shapes) {
      for (size_t rows : {1, 8, 16, 25, 32, 128, 512}) {
        for (size_t threads : {size_t{1}, all}) {
          if (threads == 1 && all == 1) continue;
          const Case c{compute, n_in, n_out, rows, threads};
          const std::string name = concat(name_of(compute), "/K:", n_in, "/N:", n_out, "/M:", rows,
                                          "/threads:", threads);
          const auto add = [&](const char* what, auto function, auto... more) {
            benchmark::RegisterBenchmark((name + what).c_str(), function, c, more...)
                ->UseRealTime()
                ->Unit(benchmark::kMicrosecond);
          };
          add("/onednn", bench_onednn);
          add("/fathom", bench_fathom, Form::kPlain);
          if (n_out > n_in && n_in >= 768) {
            add("/fathom_relu2_next", bench_fathom, Form::kReluSquaredNext);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace fathom

int main(int argc, char** argv) {
  fathom::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
