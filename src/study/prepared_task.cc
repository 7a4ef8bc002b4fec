// SPDX-License-Identifier: Apache-2.0
#include "study/prepared_task.h"

#include <fmt/format.h>

#include "base/error.h"
#include "study/calibrate_on.h"
#include "study/data_notes.h"

namespace fathom {
namespace {

std::vector<LayerFit> fit_all(const Task& task, const SweepSplit& train, const FitRows& rows,
                              const TaskOptions& options, FeatureSource& source) {
  Stage stage(source.listener(), concat(task.name, " heads"), train.cache.shape().n_layer);
  return fit_heads(task, {train.cache, train.gold}, rows, nullptr,
                   {.post = parse_postprocess(options.post), .fit = {.seed = options.seed}},
                   source.pool(), [&](size_t done) { stage.at(done); });
}

}  // namespace

TaskData::TaskData(const Task& wanted, const TaskOptions& options, const Listener& listener)
    : task(wanted) {
  const Task* const wanted_task[] = {&task};
  const std::filesystem::path root = find_data_root(wanted_task, options.data);
  train = load_dataset(task, Split::kTrain, root);
  evaluated = load_dataset(task, task.report, root);
  for (const Dataset* data : {&train, &evaluated}) {
    const std::vector<std::string> more = notes_of(*data);
    notes.insert(notes.end(), more.begin(), more.end());
    left_out[std::string(name_of(data->split))] = left_out_json(data->left_out);
  }
  listener.tell(notes);
  Dataset others;
  if (!options.calibrate_on.empty()) {
    others = draw_calibration(parse_calibrate_on(options.calibrate_on, task), root, options.seed);
    const size_t n_left_out = leave_out_contained(train, others);
    notes.push_back(fmt::format(
        "{}: calibrated on {} rows of {}, drawn by seed {}; {} training rows that they hold were "
        "left out",
        task.name, others.pairs.size(), others.task->name, options.seed, n_left_out));
  }
  if (options.max_train && train.pairs.size() > options.max_train) {
    notes.push_back(fmt::format("{}: {} of {} training rows, drawn by seed {}", task.name,
                                options.max_train, train.pairs.size(), options.seed));
    train = sample(train, options.max_train, options.seed);
  }
  require_every_class(train);
  n_own = train.pairs.size();
  append(train, others);
  train_texts = texts_in_order(train);
  evaluated_texts = texts_in_order(evaluated);
}

PreparedTask::PreparedTask(const TaskData& from, const TaskOptions& options, FeatureSource& source)
    : data(from),
      train_vectors(source.vectors(concat(data.task.name, "-train"), data.train_texts,
                                   places_of(data.train))),
      evaluated_vectors(source.vectors(concat(data.task.name, "-", name_of(data.task.report)),
                                       data.evaluated_texts, places_of(data.evaluated))),
      train{train_vectors, golds_of(data.train), train_vectors.n_token()},
      evaluated{evaluated_vectors, golds_of(data.evaluated), evaluated_vectors.n_token()},
      rows(part_rows_with(train.gold, data.n_own, data.task.n_class(), options.calibration,
                          options.seed)),
      fits(fit_all(data.task, train, rows, options, source)),
      task{data.task,    train, evaluated, rows, fits, cost_model(source.model().config()),
           source.pool()} {}

}  // namespace fathom
