// SPDX-License-Identifier: Apache-2.0
#include "cli/task_flags.h"

#include "base/error.h"
#include "cli/numbers.h"

namespace fathom::cli {

void BaselineFlags::add_to(CLI::App& command) {
  command
      .add_option("--compare-to", compare_to,
                  "a baseline; may be given again: a file of word vectors (GloVe's or word2vec's "
                  "text, word2vec's .bin), or the folder of a static token bag")
      ->type_name("FILE|DIR")
      ->allow_extra_args(false);
  command.add_option("--glove", glove,
                     "as --compare-to FILE: GloVe's or word2vec's text, word2vec's .bin");
  command.add_flag("--glove-keep-case", keep_case, "do not lower-case words");
  command.add_flag("--glove-split-punctuation", split_punctuation,
                   "make each ASCII punctuation mark a word");
  command.add_option("--bag", bag,
                     "as --compare-to DIR: a static token bag, emb.weight and a vocabulary");
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
