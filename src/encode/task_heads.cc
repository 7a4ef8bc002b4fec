// SPDX-License-Identifier: Apache-2.0
#include "encode/task_heads.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "base/invalid_option.h"
#include "base/list.h"
#include "encode/head_weights.h"

namespace fathom {
namespace {

constexpr HeadKind kHeads[] = {HeadKind::kCls, HeadKind::kSts, HeadKind::kRetr};
constexpr const char* kParts[] = {"fc1.weight", "fc2.weight", "norm.weight", "norm.bias"};
constexpr float kNormEps = 1e-5f;  // PyTorch's default; not the model's ln_eps

std::string tensor_name(HeadKind kind, std::string_view part) {
  return concat("head.", name_of(kind), "_head.", part);
}

std::string names_of(std::span<const HeadKind> kinds) {
  std::vector<std::string_view> names;
  for (HeadKind kind : kinds) names.push_back(name_of(kind));
  return names.empty() ? "none" : join(names);
}

const Tensor& find_part(const Checkpoint& checkpoint, HeadKind kind, std::string_view part,
                        const std::vector<size_t>& shape) {
  const std::string name = tensor_name(kind, part);
  return find_weight(
      checkpoint, name, shape,
      concat("no task head '", name_of(kind), "': looked for ", name,
             " (EmbeddingRWKV); heads in the file: ", names_of(heads_in(checkpoint))));
}

}  // namespace

HeadKind parse_head(std::string_view name) {
  for (HeadKind kind : kHeads)
    if (name == name_of(kind)) return kind;
  throw InvalidOption("head", "cls, sts or retr", concat("'", name, "'"));
}

std::string_view name_of(HeadKind kind) {
  switch (kind) {
    case HeadKind::kCls:
      return "cls";
    case HeadKind::kSts:
      return "sts";
    case HeadKind::kRetr:
      return "retr";
  }
  FATHOM_ASSERT(!"unknown HeadKind");
}

TaskHead::TaskHead(const Model& model, HeadKind kind) : backend_(model.backend()) {
  const Checkpoint& file = model.checkpoint();
  const size_t c = model.config().d_model;
  fc1_ = pack_f32(backend_, find_part(file, kind, "fc1.weight", {c, c}));
  fc2_ = pack_f32(backend_, find_part(file, kind, "fc2.weight", {c, c}));
  norm_weight_ = read_values(find_part(file, kind, "norm.weight", {c}));
  norm_bias_ = read_values(find_part(file, kind, "norm.bias", {c}));
}

void TaskHead::apply(Matrix<const float> pooled, Matrix<float> out, Workspace& work) const {
  using W = Workspace;
  const size_t n = pooled.rows(), c = pooled.cols();
  FATHOM_ASSERT(c == norm_weight_.size() && out.rows() == n && out.cols() == c);
  const Compute type = backend_.operand_type(Compute::kF32);
  const auto product = [&](Matrix<const float> x, const PackedWeight& w, W::Slot to) {
    const Operand left = work.operand(W::kMixed0, n, c, type);
    backend_.convert(work.pool(), x, Activation::kNone, left);
    const auto y = work.matrix(to, n, c);
    backend_.matmul(work.pool(), left, w, {.y = y});
    return y;
  };
  const auto hidden = product(pooled, *fc1_, W::kHidden);
  for (float& v : std::span(hidden.data(), n * c)) v = std::max(v, 0.0f);
  const auto y = product(hidden, *fc2_, W::kPooled);
  for (size_t i = 0; i < n * c; ++i) y.data()[i] += pooled.data()[i];
  backend_.layer_norm(work.pool(), y, norm_weight_, norm_bias_, kNormEps, out);
}

std::vector<HeadKind> heads_in(const Checkpoint& checkpoint) {
  std::vector<HeadKind> heads;
  for (HeadKind kind : kHeads)
    if (std::ranges::all_of(kParts, [&](const char* part) {
          return checkpoint.find(tensor_name(kind, part)) != nullptr;
        }))
      heads.push_back(kind);
  return heads;
}

std::vector<HeadKind> account_for_heads(const Checkpoint& checkpoint, ModelInfo& info) {
  std::vector<HeadKind> heads = heads_in(checkpoint);
  for (HeadKind kind : heads)
    for (const char* part : kParts) std::erase(info.ignored, tensor_name(kind, part));
  const size_t n_image = std::erase_if(info.ignored, [](const std::string& name) {
    return name.starts_with("vit.") || name.starts_with("proj.");
  });
  if (n_image > 0)
    info.notes.push_back(concat("vit.*, proj.*: ", n_image,
                                " tensors of an image encoder are ignored: only text is read"));
  return heads;
}

std::optional<std::vector<float>> mean_at_eos(std::span<const uint32_t> ids,
                                              Matrix<const float> rows, EosRule eos) {
  FATHOM_ASSERT(ids.size() == rows.rows());
  std::vector<double> sum(rows.cols(), 0);
  size_t n = 0;
  for (size_t t = eos.has_bos ? 1 : 0; t < ids.size(); ++t) {
    if (eos.id ? ids[t] != *eos.id : t + 1 < ids.size()) continue;
    ++n;
    for (size_t c = 0; c < sum.size(); ++c) sum[c] += rows.row(t)[c];
  }
  if (n == 0) return std::nullopt;
  std::vector<float> mean(sum.size());
  for (size_t c = 0; c < sum.size(); ++c)
    mean[c] = static_cast<float>(sum[c] / static_cast<double>(n));
  return mean;
}

}  // namespace fathom
