// SPDX-License-Identifier: Apache-2.0
#include "study/file_policy.h"

#include <algorithm>

#include "base/error.h"
#include "base/hash.h"
#include "base/mapped_file.h"
#include "depth/exit.h"
#include "study/data_notes.h"
#include "study/policy_names.h"
#include "study/rows.h"

namespace fathom {
namespace {

// Vectors are pooled, and texts read, as the file was fitted.
EncodeOptions options_for(const DepthChoice& choice, EncodeOptions options) {
  if (choice.file) options.pool_as(choice.file->reading);
  return options;
}

bool answers(const DepthPolicy& policy, const Task& task) {
  const auto* exit = dynamic_cast<const EarlyExit*>(&policy);
  return exit && exit->rule().n_class == task.n_class() && exit->rule().pair == task.is_pair();
}

// FLOPs of a head on a policy's vectors, for one example.
double head_flops(const LinearHead& head, bool pair, size_t dim) {
  constexpr double kPairFeatures = 9;  // |u - v|, u v, cos: operations a number
  return 2 * static_cast<double>(head.weight.size()) +
         (pair ? kPairFeatures * static_cast<double>(dim) : 0);
}

}  // namespace

FilePolicy::FilePolicy(const std::string& spec, const PreparedTask& prepared, FeatureSource& source)
    : prepared_(prepared),
      source_(source),
      choice_(open_depth(spec, source.model())),
      encoder_(source.model(), options_for(choice_, source.options()), choice_.policy.get()),
      method_{.name = spec} {
  const TaskData& data = prepared.data;
  const Task& task = data.task;
  std::vector<double> on_calibration, on_evaluated;
  if (!answers(*choice_.policy, task)) {
    const auto vectors = [&](const char* split, std::span<const std::string_view> texts,
                             const Dataset& rows) {
      OrderedJson key = source.key(texts);
      key["policy"] = policy_hash(spec);
      return source.vectors(concat(task.name, "-policy-", split), texts, encoder_, key,
                            places_of(rows));
    };
    const FeatureCache train = vectors("train", data.train_texts, data.train),
                       evaluated = vectors("evaluated", data.evaluated_texts, data.evaluated);
    head_ =
        fit_heads(task, {train, prepared.train.gold}, prepared.rows, nullptr, {}, source.pool())[0];
    on_calibration = pick(predict(task, train, 0, *head_), prepared.rows.calibration);
    on_evaluated = predict(task, evaluated, 0, *head_);
  }
  const std::vector<size_t> every = every_row(prepared.evaluated.gold.size());
  method_.points.push_back(
      {.setting = "as in the file",
       .calibration = outcomes(data.train_texts, prepared.rows.calibration, on_calibration),
       .evaluated = outcomes(data.evaluated_texts, every, on_evaluated)});
}

Outcomes FilePolicy::outcomes(std::span<const std::string_view> texts, std::span<const size_t> rows,
                              std::span<const double> fitted_answers) const {
  const Task& task = prepared_.data.task;
  const size_t width = task.is_pair() ? 2 : 1;
  const double head = head_ ? head_flops(head_->fitted.head, task.is_pair(), encoder_.dim()) : 0;
  std::vector<std::string_view> chosen;
  for (size_t row : rows)
    for (size_t s = 0; s < width; ++s) chosen.push_back(texts[row * width + s]);
  Outcomes out;
  const auto add = [&](const EmbeddedBlock& block) {
    for (size_t t = 0; t < block.size(); t += width) {
      double flops = head;
      uint32_t layer = 0;  // the deeper of a pair whose sentences go their own ways
      for (size_t s = t; s < t + width; ++s) {
        layer = std::max(layer, block.trace[s].exit_layer);
        flops += depth_flops(prepared_.task.cost, *choice_.policy, block.trace[s],
                             scanned_tokens(block.ids[s].size(), encoder_.options()));
      }
      const DepthTrace& first = block.trace[t];
      const double own = task.n_class() == 1 ? double{first.predicted_value}
                                             : static_cast<double>(first.predicted_class);
      out.answer.push_back(head_ ? fitted_answers[out.answer.size()] : own);
      out.flops.push_back(flops);
      out.layer.push_back(layer);
    }
  };
  embed_texts(encoder_, source_.tokenizer(), chosen, source_.open().work, add, {.together = width});
  return out;
}

std::string policy_hash(const std::string& spec) {
  const MappedFile file(file_of(spec));
  return hash_text(file.text());
}

}  // namespace fathom
