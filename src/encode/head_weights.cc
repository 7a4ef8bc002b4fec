// SPDX-License-Identifier: Apache-2.0
#include "encode/head_weights.h"

#include "base/error.h"

namespace fathom {
namespace {

std::string to_string(const std::vector<size_t>& shape) {
  std::string text;
  for (size_t d : shape) text += concat(text.empty() ? "(" : ", ", d);
  return text.empty() ? "()" : text + ")";
}

}  // namespace

const Tensor& find_weight(const Checkpoint& checkpoint, const std::string& name,
                          const std::vector<size_t>& shape, const std::string& missing) {
  const std::string file = checkpoint.files().front().string();
  const Tensor* t = checkpoint.find(name);
  FATHOM_REQUIRE(t, file, ": ", missing);
  const bool fits = shape.size() == 1 ? t->n_element() == shape[0] : t->shape == shape;
  FATHOM_REQUIRE(fits, file, ": ", name, ": expected ", to_string(shape), ", got ",
                 to_string(t->shape));
  FATHOM_REQUIRE(is_float(t->dtype) || is_quantised(t->dtype), file, ": ", name, ": ",
                 type_name(*t), "; expected floats");
  return *t;
}

std::vector<float> read_values(const Tensor& tensor) {
  std::vector<float> values(tensor.n_element());
  read_f32(tensor, 0, values.size(), values);
  return values;
}

std::unique_ptr<PackedWeight> pack_f32(const Backend& backend, const Tensor& matrix) {
  const size_t n_in = matrix.cols();
  ThreadPool pool(1);
  return backend.pack(pool,
                      {matrix.rows(), n_in,
                       [&](size_t begin, size_t end, float* out) {
                         read_f32(matrix, begin * n_in, end * n_in, {out, (end - begin) * n_in});
                       }},
                      Compute::kF32);
}

}  // namespace fathom
