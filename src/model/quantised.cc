// SPDX-License-Identifier: Apache-2.0
#include "model/quantised.h"

#include <algorithm>

#include "base/error.h"

namespace fathom {
namespace {

struct ScaleName {
  std::string_view ending;
  double divisor;
  std::string_view int8, float8;  // the scheme, by the type of the weight; "": there is none
};
constexpr ScaleName kScaleNames[] = {
    {".SCB", 127, "bitsandbytes int8", ""},
    {".weight_scale", 1, "int8 with scales", "float8 with scales"},
    {".weight_scale_inv", 1, "", "float8 with scales"},
    {".scale_weight", 1, "", "float8 with scales"},
};

// Activations are not rounded here, so what would round them is not needed.
constexpr std::string_view kOfActivations[] = {
    ".input_scale",      ".input_zero_point",   ".input_scale_ub",     ".scale_input",
    ".activation_scale", ".input_global_scale", ".activation_scale_ub"};

bool is_float8(StoredType t) { return t == StoredType::kF8E4M3 || t == StoredType::kF8E5M2; }

std::string shape_of(const Tensor& t) {
  std::string text;
  for (size_t d : t.shape) text += concat(text.empty() ? "(" : ", ", d);
  return text.empty() ? "()" : text + ")";
}

// quantization_config or compression_config of config.json; null if there is none.
const Json& quantization_of(const Json& config) {
  static const Json none = nullptr;
  if (!config.is_object()) return none;
  for (const char* key : {"quantization_config", "compression_config"})
    if (const auto at = config.find(key); at != config.end() && at->is_object()) return *at;
  return none;
}

std::string text_at(const Json& object, const char* key) {
  if (!object.is_object()) return {};
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

// "quant_method", "quant_method format" or "": what config.json says.
std::string method_of(const Json& config) {
  const Json& quantization = quantization_of(config);
  std::string method = text_at(quantization, "quant_method");
  if (const std::string format = text_at(quantization, "format"); !format.empty())
    method += (method.empty() ? "" : " ") + format;
  return method.substr(0, 60);
}

std::string said_by_config(const Json& config) {
  const std::string method = method_of(config);
  return method.empty() ? method : concat(" (quantization_config of config.json: ", method, ")");
}

// The name of the 4-bit type of bitsandbytes, whose numbers lie packed in a tensor called weight.
std::string four_bit_scheme(const Siblings& siblings) {
  for (const char* kind : {"nf4", "fp4"})
    if (siblings(concat(".weight.quant_state.bitsandbytes__", kind)))
      return concat("bitsandbytes ", kind);
  if (siblings(".weight.absmax") || siblings(".weight.quant_map")) return "bitsandbytes 4-bit";
  return {};
}

[[noreturn]] void refuse(const Tensor& stored, const std::string& scheme, const Json& config) {
  throw Error(concat(stored.name, ": ", type_name(stored), ", ", scheme, said_by_config(config),
                     "; expected floats, ggml's blocks, or int8 or float8 with one scale for the "
                     "tensor or for each row"));
}

void check_scale(const Tensor& stored, const Tensor& scale, const Json& config) {
  if (!is_float(scale.dtype) || is_float8(scale.dtype))
    refuse(stored, concat("and its scale ", scale.name, " is ", type_name(scale)), config);
  if (stored.shape.size() != 2)
    refuse(stored, concat("with scales but of ", stored.shape.size(), " dimensions"), config);
  const size_t rows = stored.shape[0];
  const bool per_tensor = scale.n_element() == 1;
  const bool per_row = !scale.shape.empty() && scale.shape.front() == rows &&
                       scale.n_element() == rows && scale.shape.size() <= 2;
  if (!per_tensor && !per_row)
    refuse(stored,
           concat("with scales of groups or blocks (", scale.name, " is ", shape_of(scale),
                  " beside ", shape_of(stored), ")"),
           config);
}

}  // namespace

std::optional<WeightScales> scales_of(const Tensor& stored, const Siblings& siblings,
                                      const Json& config) {
  const bool int8 = stored.dtype == StoredType::kI8, float8 = is_float8(stored.dtype);
  if (is_quantised(stored.dtype) || (is_float(stored.dtype) && !float8)) return std::nullopt;
  if (const std::string scheme = four_bit_scheme(siblings); !scheme.empty())
    refuse(stored, scheme, config);
  if (!int8 && !float8) refuse(stored, "which is no weight", config);

  std::optional<WeightScales> found;
  for (const ScaleName& name : kScaleNames) {
    const std::string_view scheme = int8 ? name.int8 : name.float8;
    const Tensor* scale = scheme.empty() ? nullptr : siblings(name.ending);
    if (!scale) continue;
    if (found) refuse(stored, concat("with two scales (", scale->name, ")"), config);
    found = WeightScales{*scale, name.divisor, scheme, {scale}};
  }
  for (const char* ending : {".weight_zero_point", ".weight_global_scale", ".weight_g_idx"})
    if (const Tensor* other = siblings(ending))
      refuse(stored, concat("with ", other->name), config);
  if (!found) {
    if (int8) refuse(stored, "without scales (SCB or weight_scale)", config);
    if (!method_of(config).empty())
      refuse(stored, "without scales (weight_scale or weight_scale_inv)", config);
    return std::nullopt;  // plain float8
  }
  check_scale(stored, found->scale, config);
  if (const Tensor* format = siblings(".weight_format")) {
    // 0 is rows; the other numbers are orders that a GPU wanted.
    const bool plain = format->dtype == StoredType::kU8 && format->n_element() == 1 &&
                       format->bytes.front() == std::byte{0};
    if (!plain) refuse(stored, concat("in an order other than rows (", format->name, ")"), config);
    found->used.push_back(format);
  }
  for (std::string_view ending : kOfActivations)
    if (const Tensor* t = siblings(ending)) found->used.push_back(t);
  return found;
}

std::string packed_scheme(const Siblings& siblings, const Json& config) {
  struct Packed {
    std::string_view ending, scheme;
  };
  constexpr Packed kPacked[] = {
      {".g_idx", "GPTQ"},
      {".qweight", "GPTQ or AWQ"},
      {".weight_packed", "compressed-tensors pack-quantized"},
      {".compressed", "compressed-tensors sparse"},
      {".weight._data", "quanto"},
      {".weight.absmax", "bitsandbytes 4-bit"},
      {".W_q", "HQQ"},
      {".codes", "AQLM"},
      {".indices", "VPTQ"},
      {".quant_weight", "torchao or NF4 of BlinkDL's trainers"},
      {".weight_blocks", "MXFP4"},
  };
  for (const Packed& packed : kPacked)
    if (const Tensor* t = siblings(packed.ending)) {
      const std::string method = text_at(quantization_of(config), "quant_method");
      return concat(method.empty() ? packed.scheme : std::string_view(method), " (", t->name, ", ",
                    type_name(*t), ")");
    }
  return {};
}

void multiply_rows(const Tensor& scale, double divisor, size_t begin, size_t n_row, size_t cols,
                   float* values) {
  const bool one = scale.n_element() == 1;
  std::vector<float> scales(one ? 1 : n_row);
  read_f32(scale, one ? 0 : begin, one ? 1 : begin + n_row, scales);
  for (size_t r = 0; r < n_row; ++r) {
    // In double: a product of a float and an integer of 8 bits is rounded once.
    const double factor = double{scales[one ? 0 : r]} / divisor;
    for (float& x : std::span(values + r * cols, cols)) x = static_cast<float>(x * factor);
  }
}

}  // namespace fathom
