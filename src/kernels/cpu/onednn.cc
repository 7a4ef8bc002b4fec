// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/onednn.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <dnnl.hpp>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/error.h"
#include "base/random.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/tile.h"

// Debian's oneDNN is built on GNU OpenMP; these two are libgomp's. Declared here because the header
// of another compiler's OpenMP would bring another runtime.
extern "C" {
int omp_get_max_threads(void);
void omp_set_num_threads(int);
}

namespace fathom::cpu {
namespace {

using dnnl::memory;

// What differs between oneDNN 2 and 3.
#if DNNL_VERSION_MAJOR >= 3
dnnl::matmul::primitive_desc describe_product(const memory::desc& x, const memory::desc& w,
                                              const memory::desc& y,
                                              const dnnl::primitive_attr& attributes,
                                              const dnnl::engine& engine) {
  return {engine, x, w, y, attributes, /*allow_empty=*/true};
}
const_dnnl_memory_desc_t handle_of(const memory::desc& desc) { return desc.get(); }
#else
dnnl::matmul::primitive_desc describe_product(const memory::desc& x, const memory::desc& w,
                                              const memory::desc& y,
                                              const dnnl::primitive_attr& attributes,
                                              const dnnl::engine& engine) {
  return {dnnl::matmul::desc(x, w, y), attributes, engine, /*allow_empty=*/true};
}
const dnnl_memory_desc_t* handle_of(const memory::desc& desc) { return &desc.data; }
#endif

// While it lives, oneDNN computes on the calling thread alone: the threads are Fathom's own.
class SingleThread {
 public:
  SingleThread() : before_(omp_get_max_threads()) {
    if (before_ != 1) omp_set_num_threads(1);
  }
  SingleThread(const SingleThread&) = delete;
  SingleThread& operator=(const SingleThread&) = delete;
  ~SingleThread() {
    if (before_ != 1) omp_set_num_threads(before_);
  }

 private:
  int before_;
};

// Before oneDNN's first product, which fixes what it uses. Without $FATHOM_MAX_ISA its own
// $ONEDNN_MAX_CPU_ISA counts.
void limit_instructions() {
  const std::optional<Isa> limit = max_isa();
  if (!limit) return;
  const auto isa = [&] {
    switch (*limit) {
      case Isa::kSse4:
        return dnnl::cpu_isa::sse41;
      case Isa::kAvx2:
        return dnnl::cpu_isa::avx2;
      case Isa::kAvxVnni:
        return dnnl::cpu_isa::avx2_vnni;
      case Isa::kAvx512:
        return dnnl::cpu_isa::avx512_core;
      case Isa::kAvx512Vnni:
        return dnnl::cpu_isa::avx512_core_vnni;
      case Isa::kAvx512Bf16:
        return dnnl::cpu_isa::avx512_core_bf16;
    }
    FATHOM_ASSERT(!"unknown Isa");
  }();
  if (dnnl::set_max_cpu_isa(isa) != dnnl::status::success) {
    throw Error(concat("FATHOM_MAX_ISA=", name_of(*limit), ": this oneDNN cannot be limited"));
  }
}

const dnnl::engine& cpu_engine() {
  static const auto& engine = *[] {
    limit_instructions();
    return new dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return engine;
}

memory::dim dim(size_t n) { return static_cast<memory::dim>(n); }

void check(dnnl_status_t status) {
  if (status == dnnl_out_of_memory) throw std::bad_alloc();
  FATHOM_ASSERT(status == dnnl_success);
}

}  // namespace

struct PanelProduct::Shape {
  memory::dim n_in, n_out;
  memory::desc weights;

  // nullopt: no implementation for these weights, or none of the right kind.
  std::optional<dnnl::matmul::primitive_desc> describe(size_t rows,
                                                       const memory::desc& weights_desc) const {
    constexpr auto kF32 = memory::data_type::f32;
    constexpr auto kDense = memory::format_tag::ab;
    const memory::desc x({dim(rows), n_in}, kF32, kDense), acc({dim(rows), n_out}, kF32, kDense);
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    auto found = describe_product(x, weights_desc, acc, attributes, cpu_engine());
    const bool usable = found && std::string_view(found.impl_info_str()).starts_with("brg");
    return usable ? std::optional(std::move(found)) : std::nullopt;
  }
};

struct PanelProduct::Primitive {
  dnnl::matmul primitive;
  memory::desc x, acc, scratchpad;
};

PanelProduct::PanelProduct(std::unique_ptr<Shape> shape, std::string implementation)
    : shape_(std::move(shape)), implementation_(std::move(implementation)) {}
PanelProduct::~PanelProduct() = default;

const PanelProduct* PanelProduct::find(size_t n_in, size_t n_out) {
  FATHOM_ASSERT(n_in > 0 && n_out >= kMinCols && n_out % kColPad == 0);
  static auto& mutex = *new std::mutex;
  static auto& known = *new std::map<std::pair<size_t, size_t>, std::unique_ptr<PanelProduct>>;
  const std::lock_guard lock(mutex);
  const auto at = known.find({n_in, n_out});
  if (at != known.end()) return at->second.get();
  auto made = make(n_in, n_out);
  if (made && made->implementation() != checked_implementation()) made.reset();
  return known.emplace(std::pair(n_in, n_out), std::move(made)).first->second.get();
}

// nullptr where oneDNN has none of the right kind, the same for every number of rows.
std::unique_ptr<PanelProduct> PanelProduct::make(size_t n_in, size_t n_out) {
  const SingleThread single_thread;
  auto shape = std::make_unique<Shape>(Shape{dim(n_in), dim(n_out), {}});
  const memory::dims dims{shape->n_in, shape->n_out};
  const memory::desc any(dims, memory::data_type::f32, memory::format_tag::any);
  shape->weights = memory::desc(dims, memory::data_type::f32, memory::format_tag::BA16a64b);
  // Only the layout that oneDNN would choose: on AVX2, 3.7.2 takes this one if told to, and
  // computes nonsense.
  const auto free = shape->describe(kRowPad, any);
  if (!free || free->weights_desc() != shape->weights) return nullptr;
  // It may like another one for another number of rows, so from here on it is told.
  std::string implementation;
  for (size_t rows = kFineRowPad; rows <= kMaxChunkRows; rows = product_rows(rows + 1)) {
    const auto found = shape->describe(rows, shape->weights);
    if (!found) return nullptr;
    if (implementation.empty()) implementation = found->impl_info_str();
    if (implementation != found->impl_info_str()) return nullptr;
  }
  return std::unique_ptr<PanelProduct>(new PanelProduct(std::move(shape), implementation));
}

namespace {

// Whether acc, (n_out), is the row x times w, (n_out, n_in), up to rounding.
bool is_product(const float* x, const std::vector<float>& w, size_t n_in, size_t n_out,
                const float* acc) {
  for (size_t c = 0; c < n_out; ++c) {
    double sum = 0, size = 0;
    for (size_t k = 0; k < n_in; ++k) {
      const double product = double{x[k]} * w[c * n_in + k];
      sum += product;
      size += std::abs(product);
    }
    if (!(std::abs(acc[c] - sum) <= 1e-6 * size)) return false;
  }
  return true;
}

}  // namespace

// The implementation that passed; "" if none did. About 3 ms, once.
const std::string& PanelProduct::checked_implementation() {
  static const std::string& name = *new std::string([]() -> std::string {
    // Neither side fills its last unit, strip or block of whatever size.
    constexpr size_t kIn = 1357, kOut = 96;
    static const PanelProduct* const product = make(kIn, kOut).release();  // as all others, forever
    if (product == nullptr) return "";
    Random random(1);
    const auto number = [&] { return static_cast<float>(random.below(1 << 20)) * 0x1p-19f - 1; };
    std::vector<float> w(kIn * kOut);
    std::ranges::generate(w, number);
    Buffer<float> x(kMaxChunkRows * kIn), all(kMaxChunkRows * kOut), some(all.size());
    std::ranges::generate(x.span(), number);
    const size_t n_unit = padded_units(Compute::kF32, kIn);
    Buffer<float> panel(n_unit * padded_rows(kOut + kBlockCols));
    for (size_t c = 0; c < kOut; c += kBlockCols)
      pack_block(w.data() + c * kIn, std::min(kBlockCols, kOut - c), kIn, kIn, n_unit,
                 panel.data() + c * n_unit);
    const Weights weights = product->bind(panel.data());
    product->run(kMaxChunkRows, x.data(), weights, all.data());
    for (size_t row : {size_t{0}, size_t{77}, kMaxChunkRows - 1}) {
      if (!is_product(x.data() + row * kIn, w, kIn, kOut, all.data() + row * kOut)) return "";
    }
    for (size_t rows : {size_t{4}, size_t{20}, size_t{48}}) {
      const size_t first = kMaxChunkRows - rows;
      product->run(rows, x.data() + first * kIn, weights, some.data());
      if (std::memcmp(some.data(), all.data() + first * kOut, rows * kOut * sizeof(float)) != 0)
        return "";
    }
    return product->implementation();
  }());
  return name;
}

const PanelProduct::Primitive& PanelProduct::primitive(size_t rows) const {
  FATHOM_ASSERT(rows > 0 && rows == product_rows(rows) && rows <= kMaxChunkRows);
  auto& slot = primitives_[rows / kFineRowPad - 1];
  if (const Primitive* ready = slot.load(std::memory_order_acquire)) return *ready;
  const std::lock_guard lock(mutex_);
  if (const Primitive* ready = slot.load(std::memory_order_acquire)) return *ready;
  const auto found = shape_->describe(rows, shape_->weights);
  FATHOM_ASSERT(found);
  const auto* made = new Primitive{dnnl::matmul(*found), found->src_desc(), found->dst_desc(),
                                   found->scratchpad_desc()};
  slot.store(made, std::memory_order_release);
  return *made;
}

void PanelProduct::FreeMemory::operator()(dnnl_memory* memory) const {
  dnnl_memory_destroy(memory);
}

PanelProduct::Weights PanelProduct::bind(const float* packed) const {
  const SingleThread single_thread;
  // oneDNN writes zeros to the padding of memory that it is given, and this may be a read-only
  // mapping. So it is told that there is none: executing looks at the address alone.
  const auto n_in = dim(padded_units(Compute::kF32, static_cast<size_t>(shape_->n_in)));
  const auto n_out = (shape_->n_out + dim(kBlockCols) - 1) / dim(kBlockCols) * dim(kBlockCols);
  const memory::desc desc({n_in, n_out}, memory::data_type::f32, memory::format_tag::BA16a64b);
  dnnl_memory_t made = nullptr;
  check(dnnl_memory_create(&made, handle_of(desc), cpu_engine().get(), const_cast<float*>(packed)));
  return Weights(made);
}

namespace {

// What a thread needs to execute primitives: making these anew costs as much as a small product.
struct ThreadObjects {
  struct Arguments {
    memory x, acc, scratchpad;
  };
  dnnl::stream stream{cpu_engine()};
  Buffer<std::byte> scratchpad;
  std::unordered_map<const void*, Arguments> arguments;  // by primitive
};

}  // namespace

void PanelProduct::run(size_t rows, const float* x, const Weights& weights, float* acc) const {
  const SingleThread single_thread;
  const Primitive& p = primitive(rows);
  thread_local ThreadObjects own;
  auto at = own.arguments.find(&p);
  if (at == own.arguments.end()) {
    const auto empty = [](const memory::desc& desc) {
      return memory(desc, cpu_engine(), DNNL_MEMORY_NONE);
    };
    at = own.arguments
             .emplace(&p, ThreadObjects::Arguments{empty(p.x), empty(p.acc), empty(p.scratchpad)})
             .first;
    own.scratchpad.reserve_discard(p.scratchpad.get_size());
  }
  const ThreadObjects::Arguments& a = at->second;
  check(dnnl_memory_set_data_handle(a.x.get(), const_cast<float*>(x)));
  check(dnnl_memory_set_data_handle(a.acc.get(), acc));
  check(dnnl_memory_set_data_handle(a.scratchpad.get(), own.scratchpad.data()));
  const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, a.x.get()},
                                       {DNNL_ARG_WEIGHTS, weights.get()},
                                       {DNNL_ARG_DST, a.acc.get()},
                                       {DNNL_ARG_SCRATCHPAD, a.scratchpad.get()}};
  check(dnnl_primitive_execute(p.primitive.get(), own.stream.get(),
                               static_cast<int>(std::size(arguments)), arguments));
}

std::string onednn_version() {
  const dnnl_version_t& v = *dnnl_version();
  return concat("oneDNN ", v.major, ".", v.minor, ".", v.patch);
}

}  // namespace fathom::cpu
