// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/onednn.h"

#include <algorithm>
#include <dnnl.hpp>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/buffer.h"
#include "base/error.h"

// Debian's oneDNN is built on GNU OpenMP; these two are libgomp's. Declared here because the header
// of another compiler's OpenMP would bring another runtime.
extern "C" {
int omp_get_max_threads(void);
void omp_set_num_threads(int);
}

namespace fathom::cpu {
namespace {

using dnnl::memory;

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

const dnnl::engine& cpu_engine() {
  static const auto& engine = *new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

memory::data_type type_of(Compute compute) {
  switch (compute) {
    case Compute::kF32:
      return memory::data_type::f32;
    case Compute::kBF16:
      return memory::data_type::bf16;
    case Compute::kInt8:
      return memory::data_type::s8;
  }
  FATHOM_ASSERT(!"unknown Compute");
}

memory::format_tag blocked_tag(Compute compute) {
  switch (compute) {
    case Compute::kF32:
      return memory::format_tag::BA16a64b;
    case Compute::kBF16:
      return memory::format_tag::BA16a64b2a;
    case Compute::kInt8:
      return memory::format_tag::BA16a64b4a;
  }
  FATHOM_ASSERT(!"unknown Compute");
}

void check(dnnl_status_t status) {
  if (status == dnnl_out_of_memory) throw std::bad_alloc();
  FATHOM_ASSERT(status == dnnl_success);
}

}  // namespace

struct PanelProduct::Shape {
  Compute compute;
  memory::dim n_in, n_out;
  memory::desc weights;

  memory::desc x(size_t rows) const {
    return {{static_cast<memory::dim>(rows), n_in}, type_of(compute), memory::format_tag::ab};
  }
  memory::desc acc(size_t rows) const {
    const auto type = compute == Compute::kInt8 ? memory::data_type::s32 : memory::data_type::f32;
    return {{static_cast<memory::dim>(rows), n_out}, type, memory::format_tag::ab};
  }
  // nullopt: no implementation for these weights, or not a "brg:" one.
  std::optional<dnnl::matmul::primitive_desc> describe(size_t rows,
                                                       const memory::desc& weights_desc) const {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::matmul::desc desc(x(rows), weights_desc, acc(rows));
    dnnl::matmul::primitive_desc found(desc, attr, cpu_engine(), /*allow_empty=*/true);
    const bool usable = found && std::string_view(found.impl_info_str()).starts_with("brg:");
    return usable ? std::optional(std::move(found)) : std::nullopt;
  }
};

struct PanelProduct::Primitive {
  dnnl::matmul primitive;
  memory::desc x, acc, scratchpad;
};

PanelProduct::PanelProduct(std::unique_ptr<Shape> shape) : shape_(std::move(shape)) {}
PanelProduct::~PanelProduct() = default;

const PanelProduct* PanelProduct::find(Compute compute, size_t n_in, size_t n_out) {
  FATHOM_ASSERT(n_in > 0 && n_out >= kMinCols && n_out % kColPad == 0);
  static auto& mutex = *new std::mutex;
  static auto& known =
      *new std::map<std::tuple<Compute, size_t, size_t>, std::unique_ptr<PanelProduct>>;
  const std::lock_guard lock(mutex);
  const auto [at, is_new] = known.try_emplace({compute, n_in, n_out});
  if (!is_new) return at->second.get();

  const SingleThread single_thread;
  auto shape = std::make_unique<Shape>(
      Shape{compute, static_cast<memory::dim>(n_in), static_cast<memory::dim>(n_out), {}});
  const memory::dims dims{shape->n_in, shape->n_out};
  const auto free =
      shape->describe(kRowPad, memory::desc(dims, type_of(compute), memory::format_tag::any));
  if (!free) return nullptr;
  // oneDNN may like another layout for one number of rows, so the layout is not left to it. What it
  // wants beside the weights (compensation) is.
  shape->weights = memory::desc(dims, type_of(compute), blocked_tag(compute));
  shape->weights.data.extra = free->weights_desc().data.extra;
  const auto flags = shape->weights.data.extra.flags;
  if ((flags & ~uint64_t{dnnl_memory_extra_flag_compensation_conv_s8s8}) != 0) return nullptr;
  std::string implementation;
  for (size_t rows = kFineRowPad; rows <= kMaxChunkRows; rows = product_rows(rows + 1)) {
    const auto found = shape->describe(rows, shape->weights);
    if (!found) return nullptr;
    if (implementation.empty()) implementation = found->impl_info_str();
    if (implementation != found->impl_info_str()) return nullptr;
  }
  at->second.reset(new PanelProduct(std::move(shape)));
  at->second->implementation_ = std::move(implementation);
  at->second->has_compensation_ = flags != 0;
  return at->second.get();
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

size_t PanelProduct::packed_bytes() const { return shape_->weights.get_size(); }

void PanelProduct::FreeMemory::operator()(dnnl_memory* memory) const {
  dnnl_memory_destroy(memory);
}

PanelProduct::Weights PanelProduct::bind(const void* packed) const {
  const SingleThread single_thread;
  // oneDNN writes zeros to the padding of memory that it is given, and this may be a read-only
  // mapping. So it is told that there is none: executing looks at the address alone.
  dnnl_memory_desc_t desc = shape_->weights.data;
  std::copy_n(desc.padded_dims, desc.ndims, desc.dims);
  dnnl_memory_t made = nullptr;
  check(dnnl_memory_create(&made, &desc, cpu_engine().get(), const_cast<void*>(packed)));
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

void PanelProduct::run(size_t rows, const void* x, const Weights& weights, void* acc) const {
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
  check(dnnl_memory_set_data_handle(a.x.get(), const_cast<void*>(x)));
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
