// SPDX-License-Identifier: Apache-2.0
#include "study/probe_curve.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "eval/own_task.h"
#include "probe/folds.h"
#include "study/data_notes.h"

namespace fathom {
namespace {

constexpr size_t kCalibration = 2;  // tenths of the train rows

// Answers of one layer's head for some rows of a cache.
std::vector<double> answer_rows(const Task& task, const FeatureCache& cache, size_t layer,
                                const LayerFit& fit, std::span<const size_t> rows) {
  const size_t width = task.is_pair() ? 2 : 1;
  std::vector<float> vectors(width * cache.shape().dim);
  std::vector<double> answers;
  for (size_t row : rows) {
    cache.read(layer, row * width, width, vectors);
    answers.push_back(answer_from(task, fit, vectors));
  }
  return answers;
}

HeadOptions head_options(const ProbeOptions& options) {
  HeadOptions how;
  how.fit.seed = options.seed;
  return how;
}

ProbeAnswers cross_validated(const Task& task, std::string system, const FeatureCache& cache,
                             const std::vector<double>& gold, std::span<const uint32_t> fold,
                             const ProbeOptions& options, FeatureSource& source) {
  const size_t n_layer = cache.shape().n_layer, n_fold = *std::ranges::max_element(fold) + 1;
  ProbeAnswers out{std::move(system), {}, {}};
  out.evaluated.assign(n_layer, std::vector<double>(gold.size()));
  Stage stage(source.listener(), "probes", n_fold * n_layer);
  for (size_t f = 0; f < n_fold; ++f) {
    FitRows rows;
    std::vector<size_t> left;
    for (size_t i = 0; i < fold.size(); ++i) (fold[i] == f ? left : rows.heads).push_back(i);
    const std::vector<LayerFit> fits =
        fit_heads(task, {cache, gold}, rows, nullptr, head_options(options), source.pool(),
                  [&](size_t done) { stage.at(f * n_layer + done); });
    for (size_t l = 0; l < n_layer; ++l) {
      const std::vector<double> answers = answer_rows(task, cache, l, fits[l], left);
      for (size_t i = 0; i < left.size(); ++i) out.evaluated[l][left[i]] = answers[i];
    }
  }
  return out;
}

// With its vectors from the model, or from a baseline.
FeatureCache vectors_of(const Baseline* baseline, const char* split, const Dataset& data,
                        FeatureSource& source) {
  const std::vector<std::string_view> texts = texts_in_order(data);
  return baseline ? source.vectors(*baseline, texts)
                  : source.vectors(concat(data.task->name, "-", split), texts, places_of(data));
}

ProbeAnswers held_out(const Task& task, const Baseline* baseline, const Dataset& train,
                      const Dataset& evaluated, const FitRows& rows, const ProbeOptions& options,
                      FeatureSource& source) {
  const FeatureCache seen = vectors_of(baseline, "train", train, source),
                     judged = vectors_of(baseline, "evaluated", evaluated, source);
  const FitSplit split{judged, golds_of(evaluated)};
  const size_t n_layer = seen.shape().n_layer;
  Stage stage(source.listener(), concat(task.name, " probes"), n_layer);
  std::vector<LayerFit> fits =
      fit_heads(task, {seen, golds_of(train)}, rows, &split, head_options(options), source.pool(),
                [&](size_t done) { stage.at(done); });
  ProbeAnswers out{baseline ? baseline->name() : "rwkv", {}, {}};
  for (size_t l = 0; l < n_layer; ++l) {
    out.held_out.push_back(answer_rows(task, seen, l, fits[l], rows.calibration));
    out.evaluated.push_back(std::move(fits[l].answers));
  }
  return out;
}

void open_baselines(const ProbeOptions& options, SplitTexts texts, ProbeCurve& curve) {
  for (const BaselineSpec& spec : resolved(options.baselines)) {
    curve.baselines.push_back(Baseline::open(spec, texts));
    const Baseline& opened = *curve.baselines.back();
    curve.notes.insert(curve.notes.end(), opened.notes().begin(), opened.notes().end());
    if (opened.knows_all()) continue;
    if (auto warning = warn_of_unknown_words(opened, coverage_of(opened, texts)))
      curve.notes.push_back(std::move(*warning));
  }
}

bool answers_folds(const Task& task, const ProbeOptions&) {
  return task.own && task.own->spec.test_file.empty() &&
         (task.own->n_fold > 0 || task.own->rows.size() < kSmallTask);
}

ProbeCurve fold_curve(const Task& task, const ProbeOptions& options, FeatureSource& source) {
  ProbeCurve curve;
  std::vector<uint32_t> fold;
  curve.evaluated = load_own_whole(task, options.n_fold, fold);
  curve.gold = golds_of(curve.evaluated);
  curve.notes = notes_of(curve.evaluated);
  const size_t n_fold = *std::ranges::max_element(fold) + 1;
  curve.notes.push_back(fmt::format(
      "Every row was answered by a linear probe that was fitted on the other {} of {} folds{}.",
      n_fold - 1, n_fold,
      task.own->n_fold > 0 ? "" : fmt::format(" (fewer than {} rows)", kSmallTask)));
  const std::vector<std::string_view> texts = texts_in_order(curve.evaluated);
  open_baselines(options, {texts}, curve);
  const auto add = [&](const Baseline* baseline) {
    const FeatureCache cache = vectors_of(baseline, "all", curve.evaluated, source);
    curve.systems.push_back(cross_validated(task, baseline ? baseline->name() : "rwkv", cache,
                                            curve.gold, fold, options, source));
  };
  add(nullptr);
  for (const auto& baseline : curve.baselines) add(baseline.get());
  return curve;
}

}  // namespace

ProbeCurve probe_layers(const Task& task, Split split, const std::filesystem::path& root,
                        const ProbeOptions& options, FeatureSource& source) {
  if (answers_folds(task, options)) return fold_curve(task, options, source);
  ProbeCurve curve;
  curve.evaluated = load_dataset(task, split, root);
  if (options.sample) curve.evaluated = sample(curve.evaluated, options.sample, options.seed);
  curve.gold = golds_of(curve.evaluated);
  curve.notes = notes_of(curve.evaluated);
  Dataset train = load_dataset(task, Split::kTrain, root);
  for (std::string& note : notes_of(train)) curve.notes.push_back(std::move(note));
  if (options.max_train && train.pairs.size() > options.max_train) {
    curve.notes.push_back(fmt::format("Linear probes were fitted on {} of {} train rows (seed {}).",
                                      options.max_train, train.pairs.size(), options.seed));
    train = sample(train, options.max_train, options.seed);
  }
  require_every_class(train);
  const FitRows rows = part_rows(golds_of(train), task.n_class(), kCalibration, options.seed);
  for (size_t row : rows.calibration) curve.held_out_gold.push_back(train.pairs[row].gold);
  curve.held_out_name = fmt::format("{} train rows that no probe saw", rows.calibration.size());
  const std::vector<std::string_view> seen = texts_in_order(train),
                                      judged = texts_in_order(curve.evaluated);
  open_baselines(options, {seen, judged}, curve);
  curve.systems.push_back(held_out(task, nullptr, train, curve.evaluated, rows, options, source));
  for (const auto& baseline : curve.baselines)
    curve.systems.push_back(
        held_out(task, baseline.get(), train, curve.evaluated, rows, options, source));
  return curve;
}

}  // namespace fathom
