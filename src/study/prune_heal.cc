// SPDX-License-Identifier: Apache-2.0
#include "study/prune_heal.h"

#include <vector>

#include "base/error.h"
#include "base/invalid_option.h"
#include "probe/fit.h"
#include "study/fit_heads.h"
#include "study/task_features.h"

namespace fathom {
namespace {

constexpr size_t kMostTrain = 4000;

// Texts and gold values of a split, in the tokens of a model.
struct TokenisedSplit {
  std::vector<std::vector<Token>> ids;
  std::vector<double> gold;
};

TokenisedSplit tokenised(const Dataset& data, const OpenModel& open) {
  TokenisedSplit split{{}, golds_of(data)};
  for (std::string_view text : texts_in_order(data))
    split.ids.push_back(open.tokenizer().encode(text));
  return split;
}

double score(const Task& task, const Dataset& train, const Dataset& evaluated,
             const EncodeOptions& how, const BlockMask& mask, OpenModel& open) {
  const auto features = [&](const TokenisedSplit& split) {
    return features_of(task, vectors_under({open.model, how, split.ids}, mask, open.work),
                       split.gold.size());
  };
  const TokenisedSplit learnt = tokenised(train, open), judged = tokenised(evaluated, open);
  const TaskFeatures x = features(learnt), y = features(judged);
  const LinearHead head = fit_head(task.features, x.view(), learnt.gold, task.n_class()).head;
  return score_of(task.metrics.front(), answers_of(head, y), judged.gold);
}

}  // namespace

std::filesystem::path healed_model(const std::filesystem::path& folder) {
  return std::filesystem::is_directory(folder / "model") ? folder / "model" : folder;
}

HealedFigures judge_healed(MaskCorpus& corpus, const BlockMask& mask, OpenModel& healed) {
  if (!corpus.task) throw InvalidOption("tasks", "one task, which `healed` was tuned for");
  const Config &ours = corpus.open.model.config(), &theirs = healed.model.config();
  FATHOM_REQUIRE(ours.n_layer == theirs.n_layer && ours.d_model == theirs.d_model,
                 "the tuned model has ", theirs.n_layer, " layers of ", theirs.d_model,
                 ": expected ", ours.n_layer, " of ", ours.d_model, ", as the mask is for");
  const Task& task = *corpus.task;
  const Task* const tasks[] = {&task};
  const std::filesystem::path root = find_data_root(tasks, corpus.sources.data);
  Dataset train = load_dataset(task, Split::kTrain, root);
  if (train.pairs.size() > kMostTrain) train = sample(train, kMostTrain, corpus.sources.seed);
  const Dataset evaluated = load_dataset(task, task.report, root);
  const BlockMask whole = BlockMask::all(ours.n_layer);
  return {.metric = std::string(name_of(task.metrics.front())),
          .split = std::string(name_of(task.report)),
          .n_train = train.pairs.size(),
          .n_evaluated = evaluated.pairs.size(),
          .whole = score(task, train, evaluated, corpus.options, whole, corpus.open),
          .masked = score(task, train, evaluated, corpus.options, mask, corpus.open),
          .healed = score(task, train, evaluated, corpus.options, mask, healed)};
}

OrderedJson to_json(const HealedFigures& f) {
  return {{"metric", f.metric},   {"split", f.split},
          {"n_train", f.n_train}, {"n_evaluated", f.n_evaluated},
          {"whole", f.whole},     {"masked", f.masked},
          {"healed", f.healed}};
}

PolicyFile healed_file(const MaskCorpus& corpus, const BlockMask& mask, const OpenModel& healed,
                       const HealedFigures& figures, OrderedJson from) {
  PolicyFile file;
  file.model = fingerprint_of(healed.model);
  file.reading.pool_as(corpus.options);
  file.fitted["healed"] = to_json(figures);
  file.fitted["from"] = std::move(from);
  file.rule = mask;
  return file;
}

}  // namespace fathom
