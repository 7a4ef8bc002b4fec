// SPDX-License-Identifier: Apache-2.0
#include "cli/prepared_task.h"

#include <fmt/format.h>

#include "base/error.h"
#include "cli/data_notes.h"
#include "cli/numbers.h"
#include "cli/progress.h"

namespace fathom::cli {
namespace {

std::vector<LayerFit> fit_all(const Task& task, const SweepSplit& train, const FitRows& rows,
                              const TaskFlags& flags, ThreadPool& pool) {
  Progress progress(concat(task.name, " heads"), train.cache.shape().n_layer);
  return fit_heads(task, {train.cache, train.gold}, rows, nullptr,
                   {.post = parse_postprocess(flags.post), .fit = {.seed = flags.seed}}, pool,
                   [&](size_t done) { progress.at(done); });
}

}  // namespace

void TaskFlags::add_to(CLI::App& command) {
  features.add_to(command);
  command.add_option("--post", post, "post-processing, as in fathom fit")->capture_default_str();
  command.add_option("--max-train", max_train, "training rows of a task, drawn by --seed; 0: all")
      ->capture_default_str()
      ->transform(whole_number());
  command
      .add_option("--calibration", calibration,
                  "tenths of the training rows kept for thresholds (one more for the grid)")
      ->capture_default_str()
      ->transform(whole_number(1, 8));
  command.add_option("--seed", seed, "of the cuts")
      ->capture_default_str()
      ->transform(whole_number());
}

void TaskFlags::check() const {
  features.check();
  parse_postprocess(post);
}

TaskData::TaskData(const Task& wanted, const TaskFlags& flags) : task(wanted) {
  const std::filesystem::path root = find_data_root(flags.features.data);
  train = load_dataset(task, Split::kTrain, root);
  evaluated = load_dataset(task, task.report, root);
  for (const Dataset* data : {&train, &evaluated}) {
    const std::vector<std::string> more = notes_of(*data);
    notes.insert(notes.end(), more.begin(), more.end());
    left_out[std::string(name_of(data->split))] = left_out_json(data->left_out);
  }
  tell(notes);
  if (flags.max_train && train.pairs.size() > flags.max_train) {
    notes.push_back(fmt::format("{}: {} of {} training rows, drawn by seed {}", task.name,
                                flags.max_train, train.pairs.size(), flags.seed));
    train = sample(train, flags.max_train, flags.seed);
  }
  require_every_class(train);
  train_texts = texts_in_order(train);
  evaluated_texts = texts_in_order(evaluated);
}

PreparedTask::PreparedTask(const TaskData& from, const TaskFlags& flags, FeatureBench& bench)
    : data(from),
      train_vectors(
          bench.vectors(concat(data.task.name, "-train"), data.train_texts, places_of(data.train))),
      evaluated_vectors(bench.vectors(concat(data.task.name, "-", name_of(data.task.report)),
                                      data.evaluated_texts, places_of(data.evaluated))),
      train{train_vectors, golds_of(data.train), train_vectors.n_token()},
      evaluated{evaluated_vectors, golds_of(data.evaluated), evaluated_vectors.n_token()},
      rows(part_rows(train.gold, data.task.n_class(), flags.calibration, flags.seed)),
      fits(fit_all(data.task, train, rows, flags, bench.pool())),
      task{data.task,   train, evaluated, rows, fits, cost_model(bench.model().config()),
           bench.pool()} {}

}  // namespace fathom::cli
