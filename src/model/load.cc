// SPDX-License-Identifier: Apache-2.0
#include "model/load.h"

#include <cmath>

#include "base/error.h"
#include "base/mapped_file.h"
#include "model/inspect.h"

namespace fathom {
namespace {

std::vector<float> read_vector(const SourceWeight& source) {
  std::vector<float> values(source.rows() * source.cols());
  read_rows(source, 0, source.rows(), values.data());
  return values;
}

// One value a head, spread over the head's channels.
void spread(std::vector<float>& values, size_t head_size) {
  std::vector<float> wide;
  wide.reserve(values.size() * head_size);
  for (float v : values) wide.insert(wide.end(), head_size, v);
  values = std::move(wide);
}

WeightRows weight_rows(const SourceWeight& source) {
  WeightRows rows{source.rows(), source.cols(), [&source](size_t begin, size_t end, float* out) {
                    read_rows(source, begin, end, out);
                  }};
  const Tensor& first = source.parts.front();
  const bool f32 = first.dtype == StoredType::kF32, bf16 = first.dtype == StoredType::kBF16;
  if (source.parts.size() == 1 && source.is_plain() && first.strides.empty() && (f32 || bf16)) {
    rows.stored = first.bytes.first(first.n_element() * (f32 ? sizeof(float) : sizeof(BF16)));
    rows.stored_type = f32 ? Compute::kF32 : Compute::kBF16;
  }
  return rows;
}

}  // namespace

BlockLoader::BlockLoader(Names& names, const Config& config, WeightCache& cache, ThreadPool& pool,
                         Compute compute, Compute lora_compute, size_t rescale_every)
    : names_(names),
      config_(config),
      cache_(cache),
      pool_(pool),
      compute_(compute),
      lora_compute_(lora_compute),
      rescale_every_(rescale_every) {}

void BlockLoader::load_vec(const std::string& name, Vec& vec, std::optional<size_t> block) {
  vec.values =
      read_vector(names_.get(name == "att.time_faaaa" ? bonus_name(names_, *block) : name, block));

  // What the layouts store differently, brought to one meaning (weights.h).
  const Version version = config_.version;
  const bool v4 = version == Version::kV4, v5 = !v4 && version < Version::kV6;
  const bool ggmf = names_.layout() == TensorLayout::kGgmf;
  if ((v4 || v5) && name.find(".time_mix_") != std::string::npos) {
    for (float& x : vec.values) x = 1 - x;
  } else if (v4 && name == "att.time_decay" && !ggmf) {
    for (float& x : vec.values) x = -std::exp(x);
  } else if (v5 && name == "att.time_decay") {
    if (!ggmf)
      for (float& x : vec.values) x = std::exp(-std::exp(x));
    if (version != Version::kV5_2) spread(vec.values, config_.head_size);
  }
}

// time_faaaa is the bonus itself, time_first its logarithm; rwkv.cpp and web-rwkv store the bonus
// under the second name (the latter is told by its one value a channel).
void BlockLoader::load_v5_bonus(Vec& vec, size_t block) {
  const std::string_view name = bonus_name(names_, block);
  vec.values = read_vector(names_.get(name, block));
  if (name == "att.time_first" && names_.layout() != TensorLayout::kGgmf &&
      config_.version != Version::kV5_2)
    for (float& x : vec.values) x = std::exp(x);
  if (config_.version != Version::kV5_2) spread(vec.values, config_.head_size);
}

void BlockLoader::load_linear(const std::string& name, Linear& linear, size_t block) {
  SourceWeight source = names_.get(name, block);
  if (source.rows() * source.cols() == 0) return;  // d_ffn may be 0: nothing to multiply
  if (rescale_every_ > 0 && (name == "att.output.weight" || name == "ffn.value.weight"))
    source.scale = std::ldexp(1.0f, static_cast<int>(block / rescale_every_));
  linear.packed = cache_.pack(pool_, concat("blocks.", block, ".", name), weight_rows(source),
                              is_low_rank(name) ? lora_compute_ : compute_);
  for (const Tensor& t : source.parts) drop_pages(t.bytes);
}

Block BlockLoader::load(size_t block) { return load(block, true); }
Block BlockLoader::load_vectors(size_t block) { return load(block, false); }

Block BlockLoader::load(size_t block, bool with_matrices) {
  Block b = empty_block(config_.version);
  const bool v5 = std::holds_alternative<TimeMixV5>(b.time_mix);
  struct Visitor {
    BlockLoader& loader;
    size_t block;
    bool v5, with_matrices;
    void operator()(const char* name, Vec& vec, size_t) const {
      if (v5 && std::string_view(name) == "att.time_faaaa")
        loader.load_v5_bonus(vec, block);
      else
        loader.load_vec(name, vec, block);
    }
    void operator()(const char* name, Linear& linear, size_t, size_t) const {
      if (with_matrices) loader.load_linear(name, linear, block);
    }
  };
  for_each_weight(b, config_, block, Visitor{*this, block, v5, with_matrices});
  return b;
}

LayerNorm BlockLoader::layer_norm(const std::string& name) {
  LayerNorm norm;
  load_vec(name + ".weight", norm.weight, std::nullopt);
  load_vec(name + ".bias", norm.bias, std::nullopt);
  return norm;
}

}  // namespace fathom
