// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "api/engine_options.h"
#include "base/invalid_option.h"

namespace fathom::python {
namespace {

using namespace nb::literals;

constexpr std::pair<const char*, DType> kDTypes[] = {
    {"f32", DType::kF32}, {"bf16", DType::kBF16}, {"int8", DType::kInt8}, {"auto", DType::kAuto}};

}  // namespace

DType parse_dtype(const std::string& name) {
  for (const auto& [known, dtype] : kDTypes)
    if (name == known) return dtype;
  throw InvalidOption("dtype", "f32, bf16, int8 or auto", concat("'", name, "'"));
}

OpenOptions Source::open_options() const {
  OpenOptions open{
      .model = model, .backend = options.backend, .vocab = {}, .options = model_options(options)};
  if (!options.vocabulary.empty()) open.vocab = options.vocabulary;
  return open;
}

EncodeOptions ReadingOptions::encode_options(std::vector<size_t> layers) const {
  EncodeOptions o;
  o.layers = std::move(layers);
  o.pooling = pooling;
  o.norm = norm;
  o.scan = scan;
  o.bos = bos;
  o.eos = eos;
  o.batch_tokens = batch_tokens;
  return o;
}

void bind_options(nb::module_& m) {
  nb::class_<Source>(m, "Source", "Which model, and how it computes.")
      .def(
          "__init__",
          [](Source* self, std::string model, const std::string& dtype, size_t threads,
             const std::string& vocabulary, const std::string& backend, const std::string& cache,
             bool cache_verify, bool small_as_asked, bool exceed_memory, const std::string& adapter,
             std::optional<double> adapter_alpha, std::vector<std::string> ignore_tensors,
             std::optional<float> ln_x_eps, std::optional<float> ln_eps,
             std::optional<size_t> n_block) {
            new (self) Source{std::move(model),
                              {.dtype = parse_dtype(dtype),
                               .small_as_asked = small_as_asked,
                               .threads = threads,
                               .vocabulary = vocabulary,
                               .backend = backend,
                               .cache = cache,
                               .cache_verify = cache_verify,
                               .exceed_memory = exceed_memory,
                               .adapter = adapter,
                               .adapter_alpha = adapter_alpha,
                               .ignore_tensors = std::move(ignore_tensors),
                               .ln_x_eps = ln_x_eps,
                               .ln_eps = ln_eps,
                               .n_block = n_block}};
          },
          "model"_a, nb::kw_only(), "dtype"_a, "threads"_a, "vocabulary"_a, "backend"_a, "cache"_a,
          "cache_verify"_a, "small_as_asked"_a, "exceed_memory"_a, "adapter"_a,
          "adapter_alpha"_a.none(), "ignore_tensors"_a, "ln_x_eps"_a.none(), "ln_eps"_a.none(),
          "n_block"_a.none());
  nb::class_<ReadingOptions>(m, "Reading", "How texts are read, all but their layers.")
      .def(
          "__init__",
          [](ReadingOptions* self, const std::string& pooling, const std::string& norm,
             const std::string& scan, std::optional<Token> bos, std::optional<Token> eos,
             size_t batch_tokens) {
            new (self) ReadingOptions{
                parse_pooling(pooling), parse_norm(norm), parse_scan(scan), bos, eos, batch_tokens};
          },
          nb::kw_only(), "pooling"_a, "norm"_a, "scan"_a, "bos"_a.none(), "eos"_a.none(),
          "batch_tokens"_a);
}

}  // namespace fathom::python
