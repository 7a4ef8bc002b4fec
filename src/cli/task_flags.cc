// SPDX-License-Identifier: Apache-2.0
#include "cli/task_flags.h"

#include "base/error.h"
#include "base/output_set.h"
#include "cli/numbers.h"

namespace fathom::cli {

void BaselineFlags::add_to(CLI::App& command) {
  command
      .add_option("--compare-to", compare_to,
                  "a baseline; may be given again: a file of word vectors (GloVe's or word2vec's "
                  "text, word2vec's .bin), or the folder of a table of static token embeddings")
      ->type_name("FILE|DIR")
      ->allow_extra_args(false);
  command.add_option("--glove", glove,
                     "as --compare-to FILE: GloVe's or word2vec's text, word2vec's .bin");
  command.add_flag("--glove-keep-case", keep_case, "do not lower-case words");
  command.add_flag("--glove-split-punctuation", split_punctuation,
                   "make each ASCII punctuation mark a word");
  command.add_option(
      "--bag", bag,
      "as --compare-to DIR: mean of static token embeddings, emb.weight and a vocabulary");
}

std::vector<BaselineSpec> BaselineFlags::specs() const {
  using Kind = BaselineSpec::Kind;
  const WordOptions words = {.lower_case = !keep_case, .split_punctuation = split_punctuation};
  std::vector<BaselineSpec> specs;
  if (!glove.empty())
    specs.push_back({.place = glove, .kind = Kind::kWords, .words = words, .field = "glove"});
  if (!bag.empty()) specs.push_back({.place = bag, .kind = Kind::kTokens, .field = "bag"});
  for (const std::string& place : compare_to) specs.push_back({.place = place, .words = words});
  return specs;
}

void OwnTaskFlags::add_to(CLI::App& command) {
  const std::string group = "Your own task";
  const auto add = [&](const char* flag, std::string& value, const char* help) {
    command.add_option(flag, value, help)->group(group);
  };
  add("--task-file", spec.file, "CSV, TSV or JSON lines with labelled texts, instead of --task");
  add("--test-file", spec.test_file,
      "rows that figures are of [a fifth of --task-file, of every class alike]");
  add("--text", spec.text, "column of the sentences, or");
  add("--text1", spec.text1, "column of the first sentence of a pair, and");
  add("--text2", spec.text2, "of the second");
  add("--label", spec.label, "column of the classes, by name; or");
  add("--score", spec.score, "column of numbers: how much alike the two of a pair are");
  add("--positive", spec.positive, "of two classes the one that F1 counts [the later by name]");
  add("--metric", spec.metric,
      "the figure that leads: accuracy, f1, matthews; spearman, pearson [by kind]");
  command.add_option("--folds", spec.folds, "judge by cross-validation over so many parts")
      ->transform(whole_number(2, 100))
      ->group(group);
  add("--save-task", save, "keep these flags in NAME.task.json, which --task takes like a name");
}

std::optional<std::string> OwnTaskFlags::make(const CLI::App& command) const {
  if (!is_given()) {
    for (const char* other : {"--test-file", "--text", "--text1", "--text2", "--label", "--score",
                              "--positive", "--metric", "--folds", "--save-task"})
      if (command.count(other) > 0)
        throw UsageError(concat(other, ": expected --task-file with it"));
    return std::nullopt;
  }
  const Task& task = make_own_task(spec);
  if (!save.empty()) save_task();
  return std::string(task.name);
}

void OwnTaskFlags::apply_to(const CLI::App& command, const std::string& flag,
                            std::string& tasks) const {
  const std::optional<std::string> name = make(command);
  if (name) tasks = command.count(flag) > 0 ? concat(tasks, ",", *name) : *name;
}

void OwnTaskFlags::save_task() const {
  namespace fs = std::filesystem;
  if (!save.ends_with(kOwnTaskEnding))
    throw UsageError(
        concat("--save-task: expected a name ending in ", kOwnTaskEnding, ", got ", save));
  // Files as seen from the folder of the description.
  OwnTaskSpec kept = spec;
  const fs::path folder = fs::absolute(save).parent_path();
  for (std::string* file : {&kept.file, &kept.test_file})
    if (!file->empty()) *file = fs::absolute(*file).lexically_relative(folder).string();
  OutputSet outputs;
  outputs.expect(save);
  outputs.write(save, dump_json(to_json(kept), 2) + "\n");
  outputs.commit();
}

void FeatureFlags::add_to(CLI::App& command) {
  model.add_to(command);
  command.add_option("--data", data,
                     "folder that holds glue/, sts/, senteval/, sick/ [$FATHOM_SHARED/data, "
                     "../shared/data]");
  encode.add_texts_to(command, names_of(kRowPoolings));
  command.add_option("--features", folder,
                     "folder of cached vectors [features/ with or beside the output]");
  command.add_option("--feature-dtype", dtype, "of cached vectors: f32 or bf16")
      ->capture_default_str();
}

void FeatureFlags::check() const {
  if (dtype != "f32" && dtype != "bf16")
    throw UsageError(concat("--feature-dtype: expected f32 or bf16, got '", dtype, "'"));
  encode.check();
}

FeatureOptions FeatureFlags::options(const Config& config,
                                     const std::filesystem::path& beside) const {
  EncodeFlags all = encode;
  all.layers = "all";
  return {.encode = all.options(config),
          .dtype = dtype == "bf16" ? StoredType::kBF16 : StoredType::kF32,
          .folder = folder.empty() ? beside : std::filesystem::path(folder)};
}

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
  command.add_option(
      "--calibrate-on", calibrate_on,
      "TASK[:N]: calibrate on N (1000) training rows of this task instead, which are "
      "like those to come: sst-binary's sentences for sst2");
  command.add_option("--seed", seed, "of the cuts")
      ->capture_default_str()
      ->transform(whole_number());
}

void TaskFlags::check() const {
  features.check();
  parse_postprocess(post);
}

TaskOptions TaskFlags::options() const {
  return {.data = features.data,
          .post = post,
          .max_train = max_train,
          .calibration = calibration,
          .seed = seed,
          .calibrate_on = calibrate_on};
}

}  // namespace fathom::cli
