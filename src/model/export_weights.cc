// SPDX-License-Identifier: Apache-2.0
#include "model/export_weights.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "model/inspect.h"
#include "model/workspace.h"

namespace fathom {
namespace {

constexpr size_t kPiece = size_t{1} << 18;  // numbers converted at a time

// x = -exp(raw), where rwkv.cpp stores x. Beyond the ends f32 gives 0 and infinity anyway.
void undo_decay_v4(std::vector<float>& values) {
  for (float& x : values) x = static_cast<float>(std::clamp(std::log(-double{x}), -104.0, 88.0));
}
// x = exp(-exp(raw)), in [0, 1]: from 7 on it is 0 in f32, below -20 it is 1.
void undo_decay_v5(std::vector<float>& values) {
  for (float& x : values)
    x = static_cast<float>(std::clamp(std::log(-std::log(double{x})), -20.0, 7.0));
}

void exponentiate(std::vector<float>& values) {
  for (float& x : values) x = std::exp(x);
}

void require_finite(bool fits, const std::string& name, StoredType dtype, float value) {
  FATHOM_REQUIRE(fits || !std::isfinite(value), name, ": ", value, " is too large for ",
                 name_of(dtype), "; choose another `dtype`");
}

void write_halves(std::ostream& out, const std::string& name, StoredType dtype,
                  std::span<const float> values) {
  const bool f16 = dtype == StoredType::kF16;
  std::vector<uint16_t> bits(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    bits[i] = f16 ? to_f16(values[i]).bits : to_bf16(values[i]).bits;
    const uint16_t infinity = f16 ? 0x7c00 : 0x7f80;
    require_finite((bits[i] & infinity) != infinity, name, dtype, values[i]);
  }
  write_bytes(out, std::as_bytes(std::span(bits)));
}

void write_q8_0(std::ostream& out, const std::string& name, std::span<const float> values) {
  struct Block {
    F16 d;
    int8_t q[32];
  };
  static_assert(sizeof(Block) == 34);
  FATHOM_ASSERT(values.size() % 32 == 0);
  std::vector<Block> blocks(values.size() / 32);
  for (size_t b = 0; b < blocks.size(); ++b) {
    const std::span<const float> x = values.subspan(b * 32, 32);
    float largest = 0;
    for (float v : x) {
      // A block has one scale: an infinity or NaN would spoil its neighbours.
      FATHOM_REQUIRE(std::isfinite(v), name, ": ", v, " cannot be stored as Q8_0");
      largest = std::max(largest, std::abs(v));
    }
    const float d = largest / 127;
    const float inverse = d > 1e-30f ? 1 / d : 0;  // below, the stored scale is zero anyway
    blocks[b].d = to_f16(d);
    require_finite((blocks[b].d.bits & 0x7c00) != 0x7c00, name, StoredType::kQ8_0, largest);
    for (size_t i = 0; i < 32; ++i)
      blocks[b].q[i] = static_cast<int8_t>(std::clamp(std::round(x[i] * inverse), -127.f, 127.f));
  }
  write_bytes(out, std::as_bytes(std::span(blocks)));
}

}  // namespace

std::vector<float> SmallWeight::read() const {
  std::vector<float> values(source.rows() * source.cols());
  read_rows(source, 0, source.rows(), values.data());
  if (change) change(values);
  return values;
}

ExportSource::ExportSource(const Checkpoint& c, std::optional<float> ln_x_eps)
    : ExportSource(c, ModelOptions{.ln_x_eps = ln_x_eps}) {}

ExportSource::ExportSource(const Checkpoint& c, const ModelOptions& options)
    : checkpoint(c),
      adapters(Adapters::open(c, options)),
      names(c, options.prefix, options.ignore_tensors) {
  adapters.merge_into(names);
  config = inspect(names, c, options, info);
  account_for_changes(names, c, adapters, options, info);
  FATHOM_REQUIRE(info.refusal.empty(), info.refusal);
  rescale_every = fathom::rescale_every(c, config.version);
}

SmallWeight export_vector(ExportSource& s, std::string_view name, std::optional<size_t> block) {
  const bool ggmf = s.names.layout() == TensorLayout::kGgmf;
  const Version version = s.config.version;
  if (name == "att.time_faaaa") {
    const std::string_view stored = bonus_name(s.names, *block);
    SmallWeight bonus{s.names.get(stored, block), nullptr};
    // rwkv.cpp stores the exponential already, web-rwkv (v5.2, v6) the bonus under this name.
    if (stored == "att.time_first" && is_v5(version) && version != Version::kV5_2 && !ggmf)
      bonus.change = exponentiate;
    return bonus;
  }
  SmallWeight vector{s.names.get(name, block), nullptr};
  if (name == "att.time_decay" && ggmf) {
    if (version == Version::kV4) vector.change = undo_decay_v4;
    if (is_v5(version)) vector.change = undo_decay_v5;
  }
  return vector;
}

SmallWeight export_state(ExportSource& s, size_t block) {
  SmallWeight state{s.names.get("att.time_state", block), nullptr};
  if (s.names.layout() == TensorLayout::kWebRwkv)
    state.change = [n = s.config.head_size](std::vector<float>& v) { transpose_heads(v, n); };
  return state;
}

SourceWeight export_matrix(ExportSource& s, std::string_view name, std::optional<size_t> block) {
  SourceWeight matrix = s.names.get(name, block);
  if (s.rescale_every > 0 && (name == "att.output.weight" || name == "ffn.value.weight"))
    matrix.scale = std::ldexp(1.0f, static_cast<int>(*block / s.rescale_every));
  return matrix;
}

SmallWeight transposed(SourceWeight matrix) {
  const size_t rows = matrix.rows(), cols = matrix.cols();
  return {std::move(matrix), [rows, cols](std::vector<float>& values) {
            std::vector<float> t(values.size());
            for (size_t r = 0; r < rows; ++r)
              for (size_t c = 0; c < cols; ++c) t[c * rows + r] = values[r * cols + c];
            values = std::move(t);
          }};
}

TensorToWrite write_small(std::string name, std::vector<size_t> shape, StoredType dtype,
                          std::vector<SmallWeight> parts) {
  TensorToWrite t{.name = name, .dtype = dtype, .shape = std::move(shape), .write = nullptr};
  t.write = [name = std::move(name), dtype, parts = std::move(parts)](std::ostream& out) {
    for (const SmallWeight& part : parts) {
      write_as(out, name, dtype, part.read());
      for (const Tensor& stored : part.source.parts) drop_pages(stored.bytes);
    }
  };
  return t;
}

TensorToWrite write_matrix(std::string name, StoredType dtype, SourceWeight matrix) {
  TensorToWrite t{
      .name = name, .dtype = dtype, .shape = {matrix.rows(), matrix.cols()}, .write = nullptr};
  t.write = [name = std::move(name), dtype, matrix = std::move(matrix)](std::ostream& out) {
    const size_t rows = matrix.rows(), cols = matrix.cols();
    if (rows * cols == 0) return;
    const size_t step = std::max<size_t>(1, kPiece / cols);
    std::vector<float> values(std::min(step, rows) * cols);
    for (size_t begin = 0; begin < rows && out; begin += step) {
      const size_t end = std::min(rows, begin + step);
      read_rows(matrix, begin, end, values.data());
      write_as(out, name, dtype, std::span(values).first((end - begin) * cols));
    }
    for (const Tensor& stored : matrix.parts) drop_pages(stored.bytes);
  };
  return t;
}

std::vector<TensorToWrite> WeightLister::list() {
  matrix("emb.weight");
  if (c_.has_ln0) layer_norm("ln0");
  for (size_t i = 0; i < c_.n_layer; ++i) {
    block_ = i;
    Block empty = empty_block(c_.version);
    for_each_weight(empty, c_, i, *this);
    rest_of_block();
  }
  block_.reset();
  layer_norm("ln_out");
  if (c_.has_head)
    matrix("head.weight");
  else
    no_head();
  return std::move(out_);
}

void WeightLister::layer_norm(const std::string& name) {
  for (const char* part : {".weight", ".bias"}) vector(name + part, c_.d_model);
}

void WeightLister::mix_lora_up(StoredType dtype, bool out_in) {
  std::vector<SmallWeight> groups;
  for (const char* group : {"w", "k", "v", "r", "g"}) {
    SourceWeight up = export_matrix(source_, std::string("att.time_maa_w2.") + group, block_);
    groups.push_back(out_in ? SmallWeight{std::move(up), nullptr} : transposed(std::move(up)));
  }
  const size_t c = c_.d_model, r = c_.rank.mix;
  out_.push_back(write_small(name_of("att.time_maa_w2"), {5, out_in ? c : r, out_in ? r : c}, dtype,
                             std::move(groups)));
}

void write_as(std::ostream& out, const std::string& name, StoredType dtype,
              std::span<const float> values) {
  switch (dtype) {
    case StoredType::kF32:
      return write_bytes(out, std::as_bytes(values));
    case StoredType::kF16:
    case StoredType::kBF16:
      return write_halves(out, name, dtype, values);
    case StoredType::kQ8_0:
      return write_q8_0(out, name, values);
    default:
      FATHOM_ASSERT(!"a dtype that is not exported");
  }
}

double shortest(float value) {
  char text[32];
  const char* end = std::to_chars(text, text + sizeof text, value).ptr;
  double number = 0;
  std::from_chars(text, end, number);
  return number;
}

}  // namespace fathom
