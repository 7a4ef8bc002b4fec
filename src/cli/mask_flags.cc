// SPDX-License-Identifier: Apache-2.0
#include "cli/mask_flags.h"

#include <filesystem>

#include "base/error.h"
#include "cli/numbers.h"
#include "eval/dataset.h"

namespace fathom::cli {
namespace {

void add_size_flags(CLI::App& command, MaskFlags& flags) {
  auto* kept = command
                   .add_option("--keep", flags.keep,
                               "share of the blocks' FLOPs to keep, to the nearest whole unit")
                   ->transform(real_number({.at_least = 0.001, .at_most = 1}));
  command.add_option("--remove", flags.n_remove, "or the number of units to remove")
      ->transform(whole_number(1, 1 << 20))
      ->excludes(kept);
  command.add_option("--unit", flags.unit, "block, or sublayer: time mix and channel mix apart")
      ->capture_default_str();
  command.add_option("--protect", flags.n_protected, "blocks at the front that always run")
      ->capture_default_str()
      ->transform(whole_number());
}

}  // namespace

void MaskFlags::add_to(CLI::App& command) {
  model.add_to(command);
  command.add_option("--texts", texts, "sentences to fit on, one a line, or JSON lines");
  command.add_option("--field", field, "of --texts: the texts' column or field");
  own.add_to(command);
  command.add_option("--tasks", tasks, "or tasks whose train splits are taken: stsb, or mrpc,stsb")
      ->delimiter(',');
  command.add_option("--data", data,
                     "folder that holds glue/, sts/, senteval/, sick/ [$FATHOM_SHARED/data, "
                     "../shared/data]");
  command
      .add_option("--sample", sample,
                  "sentences (examples of each task) to fit on, drawn by --seed")
      ->capture_default_str()
      ->transform(whole_number(1, 1 << 20));
  command.add_option("--held-out", held_out, "as many others, that figures are given for")
      ->capture_default_str()
      ->transform(whole_number(1, 1 << 20));
  add_size_flags(command, *this);
  command.add_option("--reference", reference,
                     "layer whose vectors are to be kept: a number, full, or best (by Spearman on "
                     "the train pairs) [best where there are gold values, else full]");
  encode.add_texts_to(command, names_of(kPlainPoolings));
  command.add_option("--seed", seed, "of the sample and of every draw")
      ->capture_default_str()
      ->transform(whole_number());
  command.add_option("-o,--output", output, "policy file to write")->required();
  command.add_flag("--json", json, "machine-readable");
}

void MaskFlags::make_own_task(const CLI::App& command) {
  own.spec.seed = seed;
  if (const auto name = own.make(command)) tasks.push_back(*name);
}

void MaskFlags::check() const {
  if (texts.empty() == tasks.empty())
    throw UsageError("expected either --texts FILE or --tasks NAMES");
  if (searches && keep == 0 && n_remove == 0)
    throw UsageError("expected --keep SHARE or --remove N");
  if (unit != "block" && unit != "sublayer" && unit != "half")
    throw UsageError(concat("--unit: expected block or sublayer, got '", unit, "'"));
  for (const std::string& task : tasks) find_task(task);
  encode.check();
  if (pools_state(parse_pooling(encode.pool)))
    throw UsageError(concat("--pool ", encode.pool, ": masks are for pooled rows"));
  // Before the search, which takes a while.
  const std::filesystem::path folder = std::filesystem::path(output).parent_path();
  FATHOM_REQUIRE(folder.empty() || std::filesystem::is_directory(folder), output,
                 ": no such folder");
}

MaskSources MaskFlags::sources() const {
  return {.texts = texts,
          .field = field,
          .tasks = tasks,
          .data = data,
          .sample = sample,
          .held_out = held_out,
          .seed = seed};
}

MaskSize MaskFlags::size() const {
  return {.unit = unit == "block" ? UnitKind::kBlock : UnitKind::kSublayer,
          .keep = keep,
          .n_remove = n_remove,
          .n_protected = n_protected};
}

}  // namespace fathom::cli
