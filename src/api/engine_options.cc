// SPDX-License-Identifier: Apache-2.0
// From the public options to those of the engine. Enumerators are checked too: a caller can cast
// any number into one.
#include "api/engine_options.h"

#include <cmath>

#include "base/invalid_option.h"
#include "base/thread_pool.h"

namespace fathom {
namespace {

template <class Enum>
void require_known(const char* field, Enum value, Enum last) {
  if (value > last)
    throw InvalidOption(field, "one of its enumerators", std::to_string(int(value)));
}

void require_epsilon(const char* field, std::optional<float> value) {
  if (value && !(*value > 0 && std::isfinite(*value)))
    throw InvalidOption(field, "a number above 0", concat(*value));
}

void require_id(const char* field, std::optional<Token> id, size_t n_vocab) {
  if (id && *id >= n_vocab)
    throw InvalidOption(field, concat("none or an id below ", n_vocab), std::to_string(*id));
}

// Takes what a policy was fitted with; a field that is set may say the same.
void take_fitted(EncodeOptions& o, const DepthChoice& depth) {
  const Reading& fitted = depth.file->reading;
  const Reading standard;
  for_each_fitted_field(fitted, [&](std::string_view field, auto member, const auto& name) {
    if (o.*member != standard.*member && o.*member != fitted.*member)
      throw UsageError(concat(field, ' ', name(o.*member), ": the policy ", depth.policy->name(),
                              " was fitted with ", name(fitted.*member)));
  });
  o.pool_as(fitted);
}

}  // namespace

std::optional<Compute> compute_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return Compute::kF32;
    case DType::kBF16:
      return Compute::kBF16;
    case DType::kInt8:
      return Compute::kInt8;
    case DType::kAuto:
      return std::nullopt;
  }
  require_known("dtype", dtype, DType::kAuto);
  return std::nullopt;
}

DType dtype_of(Compute compute) {
  switch (compute) {
    case Compute::kF32:
      return DType::kF32;
    case Compute::kBF16:
      return DType::kBF16;
    case Compute::kInt8:
      return DType::kInt8;
  }
  FATHOM_ASSERT(!"unknown Compute");
}

ModelOptions model_options(const EmbedderOptions& options) {
  constexpr size_t kMaxThreads = 1024;
  if (options.threads > kMaxThreads)
    throw InvalidOption("threads", concat("0 to ", kMaxThreads), std::to_string(options.threads));
  require_epsilon("ln_x_eps", options.ln_x_eps);
  require_epsilon("ln_eps", options.ln_eps);
  ModelOptions o;
  o.compute = compute_of(options.dtype);
  o.small_as_asked = options.small_as_asked;
  o.n_thread = options.threads ? options.threads : available_threads();
  o.ln_x_eps = options.ln_x_eps;
  o.ln_eps = options.ln_eps;
  o.cache = {.folder = options.cache, .verify = options.cache_verify};
  o.exceed_memory = options.exceed_memory;
  o.adapter = options.adapter;
  o.adapter_alpha = options.adapter_alpha;
  o.ignore_tensors = options.ignore_tensors;
  if (const auto n_block = options.n_block)
    o.n_block = [n = *n_block](const Config& config) {
      if (n > config.n_layer)
        throw InvalidOption("n_block", concat("0 to ", config.n_layer), std::to_string(n));
      return n;
    };
  return o;
}

EncodeOptions encode_options(const EmbedOptions& options, const DepthChoice* depth,
                             const Config& config) {
  constexpr size_t kMaxBatchTokens = size_t{1} << 20;
  require_known("pooling", options.pooling, Pooling::kStateCols);
  require_known("norm", options.norm, Norm::kLnOut);
  require_known("scan", options.scan, Scan::kEcho);
  if (options.head) require_known("head", *options.head, HeadKind::kRetr);
  require_known("empty", options.empty, EmptyText::kZero);
  if (options.batch_tokens == 0 || options.batch_tokens > kMaxBatchTokens)
    throw InvalidOption("batch_tokens", concat("1 to ", kMaxBatchTokens),
                        std::to_string(options.batch_tokens));
  EncodeOptions o;
  o.layers = options.layers;
  o.pooling = options.pooling;
  o.norm = options.norm;
  o.normalize = options.normalize;
  o.dimensions = options.dimensions;
  o.bos = options.bos;
  o.eos = options.eos;
  o.head = options.head;
  o.scan = options.scan;
  o.batch_tokens = options.batch_tokens;
  if (!depth && o.layers.empty()) o.layers = {kFinalLayer};
  for (size_t& layer : o.layers)
    if (layer == kFinalLayer) layer = final_layer(config.n_layer);
  if (depth && depth->file) take_fitted(o, *depth);
  require_id("bos", o.bos, config.n_vocab);
  if (o.pooling == Pooling::kEos) require_id("eos", o.eos, config.n_vocab);
  return o;
}

}  // namespace fathom
