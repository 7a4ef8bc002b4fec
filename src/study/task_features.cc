// SPDX-License-Identifier: Apache-2.0
#include "study/task_features.h"

#include "probe/features.h"

namespace fathom {

void append_features(const Task& task, const Postprocess& post, std::span<const float> vectors,
                     std::vector<float>& out) {
  const size_t dim = vectors.size() / (task.is_pair() ? 2 : 1);
  std::vector<float> u(post.out_dim(dim)), v(task.is_pair() ? u.size() : 0);
  post.apply(vectors.first(dim), u);
  if (task.is_pair()) post.apply(vectors.last(dim), v);
  const size_t n = feature_dim(task.features, u.size());
  out.resize(out.size() + n);
  build_features(task.features, u, v, std::span(out).last(n));
}

TaskFeatures features_of(const Task& task, std::span<const float> vectors, size_t n) {
  const size_t width = n ? vectors.size() / n : 0;
  TaskFeatures out{{}, n, feature_dim(task.features, width / (task.is_pair() ? 2 : 1))};
  out.values.reserve(n * out.dim);
  for (size_t i = 0; i < n; ++i)
    append_features(task, {}, vectors.subspan(i * width, width), out.values);
  return out;
}

double answer_of(const LinearHead& head, std::span<const float> features) {
  if (head.is_regression()) return head.value(features);
  std::vector<double> z(head.n_class);
  head.logits(features, z);
  return static_cast<double>(argmax(z));
}

std::vector<double> answers_of(const LinearHead& head, const TaskFeatures& features) {
  std::vector<double> out;
  out.reserve(features.n);
  for (size_t i = 0; i < features.n; ++i) out.push_back(answer_of(head, features.view().row(i)));
  return out;
}

}  // namespace fathom
