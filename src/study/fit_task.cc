// SPDX-License-Identifier: Apache-2.0
#include "study/fit_task.h"

#include <optional>
#include <utility>

#include "base/error.h"
#include "base/file_title.h"
#include "encode/describe.h"
#include "study/calibrate_on.h"
#include "study/data_notes.h"
#include "study/shift.h"

namespace fathom {
namespace {

std::vector<std::string> layer_names(size_t n_layer) {
  std::vector<std::string> names;
  for (size_t l = 0; l <= final_layer(n_layer); ++l) names.push_back(layer_name(l, n_layer));
  return names;
}

// Of texts that nothing says anything about: rows for maps and post-processing, for the grid and
// learned-to-exit, and for thresholds.
FitRows rows_of(const FitData& data, const FitTaskOptions& options) {
  if (data.task)
    return part_rows_with(golds_of(data.train), data.n_own, data.task->n_class(),
                          options.calibration, options.seed);
  return part_rows(std::vector<double>(data.texts.size()), 1, options.calibration, options.seed);
}

OrderedJson about(const FitData& data, const FitTaskOptions& options, const FitRows& rows,
                  const Model& model) {
  OrderedJson j;
  j["command"] = options.command;
  j["fathom"] = FATHOM_VERSION;
  j["model"] = describe(model);
  j["data"] = data.source;
  j["data_files"] = OrderedJson::array();
  for (const auto& file : data.train.files) j["data_files"].push_back(file.string());
  j["skipped_rows"] = data.train.left_out.total();
  j["left_out"]["train"] = left_out_json(data.train.left_out);
  if (data.has_evaluated)
    j["left_out"][std::string(name_of(data.evaluated.split))] =
        left_out_json(data.evaluated.left_out);
  j["rows"] = {{"heads", rows.heads.size()},
               {"tune", rows.tune.size()},
               {"calibration", rows.calibration.size()}};
  j["seed"] = options.seed;
  j["post"] = options.post;
  if (data.task && data.task->n_class() > 1) j["classes"] = data.task->labels;
  j["notes"] = data.notes;
  return j;
}

void read_vectors(const FitData& data, FeatureSource& source, FitResult& result) {
  if (!data.task) {
    result.train.emplace(source.vectors("texts", data.texts, data.place));
    return;
  }
  result.train.emplace(
      source.vectors(concat(data.task->name, "-train"), data.texts, places_of(data.train)));
  if (data.has_evaluated)
    result.evaluated.emplace(
        source.vectors(concat(data.task->name, "-", name_of(data.task->report)),
                       data.evaluated_texts, places_of(data.evaluated)));
}

// Heads of the same protocol on vectors that no model made.
BaselineFit fit_baseline(const FitBaseline& baseline, const FitData& data,
                         std::span<const double> gold, const FitRows& rows,
                         const HeadOptions& options, FeatureSource& source) {
  const FeatureCache seen = source.vectors(*baseline.vectors, data.texts);
  std::optional<FeatureCache> judged;
  std::optional<FitSplit> split;
  if (data.has_evaluated) {
    judged.emplace(source.vectors(*baseline.vectors, data.evaluated_texts));
    split.emplace(FitSplit{*judged, golds_of(data.evaluated)});
  }
  std::vector<LayerFit> fits = fit_heads(*data.task, {seen, {gold.begin(), gold.end()}}, rows,
                                         split ? &*split : nullptr, options, source.pool());
  const std::string& name = baseline.vectors->name();
  const std::string title =
      baseline.vectors->knows_all() ? name : file_title(baseline.vectors->place());
  return {name, std::move(fits.front()), baseline.about,
          baseline.warns ? title + ", knows hardly a word!" : title};
}

void fit_labelled(const FitData& data, std::span<const FitBaseline> baselines,
                  const FitTaskOptions& how, FeatureSource& source, FitResult& result) {
  const HeadOptions options{.post = parse_postprocess(how.post), .fit = {.seed = how.seed}};
  const FitSplit train{*result.train, golds_of(data.train)};
  std::optional<FitSplit> evaluated;
  if (result.evaluated) evaluated.emplace(FitSplit{*result.evaluated, golds_of(data.evaluated)});
  Stage stage(source.listener(), "heads", result.layers.size() + baselines.size());
  result.fits = fit_heads(*data.task, train, result.rows, evaluated ? &*evaluated : nullptr,
                          options, source.pool(), [&](size_t done) { stage.at(done); });
  for (const FitBaseline& baseline : baselines) {
    result.baselines.push_back(
        fit_baseline(baseline, data, train.gold, result.rows, options, source));
    stage.at(result.layers.size() + result.baselines.size());
  }
  if (evaluated)
    result.spread =
        spread_of(result, evaluated->gold, {.n_resample = how.n_resample}, source.pool());
  if (!baselines.empty()) result.about["baselines"] = baselines_json(result);
}

}  // namespace

FitData fit_data(const Task& task, const std::filesystem::path& root) {
  FitData d;
  d.task = &task;
  d.source = task.name;
  try {
    d.train = load_dataset(task, Split::kTrain, root);
  } catch (const MissingData& e) {
    throw Error(concat(task.name, ": missing: train (", e.what(), ")"));
  }
  require_every_class(d.train);
  d.n_own = d.train.pairs.size();
  d.notes = notes_of(d.train);
  try {
    d.evaluated = load_dataset(task, task.report, root);
    d.has_evaluated = true;
    for (std::string& note : notes_of(d.evaluated)) d.notes.push_back(std::move(note));
    d.evaluated_texts = texts_in_order(d.evaluated);
  } catch (const MissingData&) {
    d.notes.push_back(concat("missing: ", name_of(task.report)));
  }
  d.texts = texts_in_order(d.train);
  return d;
}

void calibrate_on(FitData& data, const std::string& on, const std::filesystem::path& root,
                  uint64_t seed) {
  FATHOM_ASSERT(data.task);
  const Dataset rows = draw_calibration(parse_calibrate_on(on, *data.task), root, seed);
  const size_t n_left_out = leave_out_contained(data.train, rows);
  require_every_class(data.train);
  data.n_own = data.train.pairs.size();
  append(data.train, rows);
  data.texts = texts_in_order(data.train);
  data.notes.push_back(concat(data.task->name, ": calibrated on ", rows.pairs.size(), " rows of ",
                              rows.task->name, "; ", n_left_out,
                              " training rows that they hold were left out"));
}

FitData fit_data(Sentences sentences, const std::string& source) {
  FitData d;
  d.source = source;
  d.place = places_of(source, sentences.line);
  if (const size_t n = sentences.skipped.size(); n > 0)
    d.notes.push_back(concat(n, " empty lines of ", source, " were left out"));
  d.lines = std::move(sentences.texts);
  d.texts.assign(d.lines.begin(), d.lines.end());
  FATHOM_REQUIRE(!d.texts.empty(), source, ": no texts");
  return d;
}

std::vector<FitBaseline> open_baselines(const std::vector<BaselineSpec>& specs, FitData& data) {
  std::vector<FitBaseline> opened;
  for (const BaselineSpec& spec : resolved(specs)) {
    FitBaseline one{Baseline::open(spec, {data.texts, data.evaluated_texts}), {}, false};
    one.about = one.vectors->about();
    std::vector<std::string> notes(one.vectors->notes().begin(), one.vectors->notes().end());
    if (!one.vectors->knows_all()) {
      const Coverage coverage = coverage_of(*one.vectors, {data.texts, data.evaluated_texts});
      one.about["words"] = coverage.words;
      one.about["known"] = coverage.known;
      if (const auto warning = warn_of_unknown_words(*one.vectors, coverage)) {
        notes.insert(notes.begin(), *warning);
        one.warns = true;
      }
    }
    data.notes.insert(data.notes.begin(), notes.begin(), notes.end());
    opened.push_back(std::move(one));
  }
  return opened;
}

FitResult fit_task(const FitData& data, std::span<const FitBaseline> baselines,
                   const FitTaskOptions& options, FeatureSource& source) {
  FitResult result;
  result.task = data.task;
  result.layers = layer_names(source.n_layer());
  read_vectors(data, source, result);
  result.rows = rows_of(data, options);
  result.about = about(data, options, result.rows, source.model());
  if (data.task) {
    fit_labelled(data, baselines, options, source, result);
    return result;
  }
  const PostprocessOptions post = parse_postprocess(options.post);
  result.fits.resize(result.layers.size());
  source.pool().run(result.fits.size(), [&](size_t i) {
    result.fits[i].post = fit_layer_post(post, *result.train, i, result.rows.heads);
  });
  return result;
}

PolicyFile fit_exits(const PolicyRequest& request, const FitData& data, FitResult& result,
                     FeatureSource& source) {
  PolicyInputs inputs{.task = data.task,
                      .train = {&*result.train, {}, result.train->n_token()},
                      .evaluated = {result.evaluated ? &*result.evaluated : nullptr, {}, {}},
                      .rows = result.rows,
                      .model = source.model(),
                      .encode = source.encoder().options(),
                      .pool = source.pool()};
  if (data.task) inputs.train.gold = golds_of(data.train);
  if (result.evaluated) {
    inputs.evaluated.gold = golds_of(data.evaluated);
    inputs.evaluated.n_token = result.evaluated->n_token();
  }
  PolicyFile file = fit_policy(request, inputs, result);
  if (!data.task || !result.evaluated || result.rows.calibration.empty()) return file;
  const SweepSplit train{*result.train, inputs.train.gold, result.train->n_token()},
      evaluated{*result.evaluated, inputs.evaluated.gold, result.evaluated->n_token()};
  const std::string warning =
      warning_of(shift_of({*data.task, train, evaluated, result.rows, result.fits,
                           cost_model(source.model().config()), source.pool()}),
                 *data.task);
  if (warning.empty()) return file;
  file.fitted["warnings"] = {warning};
  source.listener().tell(warning);
  return file;
}

std::vector<Dataset> load_submissions(const Task& task, const std::filesystem::path& root,
                                      std::vector<std::string>& notes) {
  std::vector<const Task*> answered = {&task};
  if (task.name == "mnli") answered.push_back(&find_task("ax"));
  std::vector<Dataset> rows;
  for (const Task* t : answered) {
    try {
      rows.push_back(load_unlabelled(*t, root));
    } catch (const MissingData& e) {
      notes.push_back(concat("missing: no submission for ", t->name, " (", e.what(), ")"));
    }
  }
  return rows;
}

std::vector<double> answer(const Dataset& rows, const FitResult& result, FeatureSource& source) {
  const size_t best = best_layer(result);
  const std::vector<std::string_view> texts = texts_in_order(rows);
  const FeatureCache cache =
      source.vectors(concat(rows.task->name, "-unlabelled"), texts, places_of(rows));
  source.listener().tell(notes_of(rows));
  return predict(*rows.task, cache, best, result.fits[best]);
}

}  // namespace fathom
