// SPDX-License-Identifier: Apache-2.0
#include "cli/mask_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "base/error.h"
#include "cli/data_notes.h"
#include "cli/numbers.h"
#include "cli/sentences.h"
#include "encode/describe.h"
#include "eval/dataset.h"
#include "probe/folds.h"

namespace fathom::cli {
namespace {

// A sentence, or a pair with b.
struct Example {
  std::string a;
  std::optional<std::string> b = {};
  std::optional<double> gold = {};
};

struct Source {
  std::vector<Example> examples;
  std::vector<std::string> files, notes;
  LeftOut left_out = {};
};

Source read_texts(const std::string& path) {
  Source source;
  Sentences sentences = read_sentences(path, "", Empty::kSkip);
  for (std::string& text : sentences.texts) source.examples.push_back({.a = std::move(text)});
  source.left_out.n_empty = sentences.skipped.size();
  if (source.left_out.n_empty > 0)
    source.notes.push_back(
        fmt::format("{} empty lines of {} were left out", source.left_out.n_empty, path));
  source.files = {path};
  return source;
}

Source read_task(const MaskFlags& flags, const std::string& name) {
  const Task& task = find_task(name);
  Source source;
  try {
    const Dataset train = load_dataset(task, Split::kTrain, find_data_root(flags.data));
    for (const Pair& pair : train.pairs) {
      Example& e = source.examples.emplace_back(Example{.a = pair.a});
      if (task.is_pair()) e.b = pair.b;
      if (task.is_zero_shot() && flags.tasks.size() == 1) e.gold = pair.gold;
    }
    for (const auto& file : train.files) source.files.push_back(file.string());
    source.notes = notes_of(train);
    source.left_out = train.left_out;
  } catch (const MissingData& e) {
    throw Error(concat(name, ": missing: train (", e.what(), ")"));
  }
  return source;
}

struct Cut {
  std::vector<Example> fitted, held_out;
};

void deal_out(const MaskFlags& flags, std::vector<Example> examples, Cut& cut) {
  const size_t wanted = flags.sample + flags.held_out;
  const std::vector<size_t> rows = draw_rows(examples.size(), wanted, flags.seed);
  const size_t n_held_out = rows.size() * flags.held_out / wanted;
  std::vector<bool> is_held_out(rows.size(), false);
  for (size_t i : draw_rows(rows.size(), n_held_out, flags.seed + 1)) is_held_out[i] = true;
  for (size_t i = 0; i < rows.size(); ++i)
    (is_held_out[i] ? cut.held_out : cut.fitted).push_back(std::move(examples[rows[i]]));
}

// Data sets repeat sentences; what a mask was fitted on must not judge it.
void leave_out_repeated(Cut& cut) {
  std::set<std::string_view> seen;
  for (const Example& e : cut.fitted) {
    seen.insert(e.a);
    if (e.b) seen.insert(*e.b);
  }
  std::erase_if(cut.held_out, [&](const Example& e) {
    return seen.contains(e.a) || (e.b && seen.contains(*e.b));
  });
}

MaskExamples tokenised(const std::vector<Example>& examples, const Tokenizer& tokenizer) {
  MaskExamples out;
  for (const Example& e : examples) {
    out.texts.push_back(e.a);
    if (e.b) out.texts.push_back(*e.b);
    if (e.gold) out.gold.push_back(*e.gold);
  }
  for (const std::string& text : out.texts) out.ids.push_back(tokenizer.encode(text));
  return out;
}

void add_size_flags(CLI::App& command, MaskFlags& flags) {
  auto* kept = command
                   .add_option("--keep", flags.keep,
                               "share of the blocks' FLOPs that is left, as near as whole units "
                               "come to it")
                   ->transform(real_number({.at_least = 0.001, .at_most = 1}));
  command.add_option("--remove", flags.n_remove, "or the number of units to remove")
      ->transform(whole_number(1, 1 << 20))
      ->excludes(kept);
  command.add_option("--unit", flags.unit, "block, or half: time mix and channel mix apart")
      ->capture_default_str();
  command.add_option("--protect", flags.n_protected, "blocks at the front that always run")
      ->capture_default_str()
      ->transform(whole_number());
}

EncodeOptions options_of(const EncodeFlags& encode, const Config& config) {
  EncodeOptions options = encode.options(config);
  options.layers.clear();
  return options;
}

}  // namespace

void MaskFlags::add_to(CLI::App& command) {
  model.add_to(command);
  command.add_option("--texts", texts, "sentences to fit on, one a line, or JSON lines");
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
  encode.add_texts_to(command, "mean, last, max, weighted");
  command.add_option("--seed", seed, "of the sample and of every draw")
      ->capture_default_str()
      ->transform(whole_number());
  command.add_option("-o,--output", output, "policy file to write")->required();
  command.add_flag("--json", json, "machine-readable");
}

void MaskFlags::check() const {
  if (texts.empty() == tasks.empty())
    throw UsageError("expected either --texts FILE or --tasks NAMES");
  if (keep == 0 && n_remove == 0) throw UsageError("expected --keep SHARE or --remove N");
  if (unit != "block" && unit != "half")
    throw UsageError(concat("--unit: expected block or half, got '", unit, "'"));
  for (const std::string& task : tasks) find_task(task);
  encode.check();
  if (pools_state(parse_pooling(encode.pool)))
    throw UsageError(concat("--pool ", encode.pool, ": masks are for pooled rows"));
  // Before the search, which takes a while.
  const std::filesystem::path folder = std::filesystem::path(output).parent_path();
  FATHOM_REQUIRE(folder.empty() || std::filesystem::is_directory(folder), output,
                 ": no such folder");
}

PruneProblem MaskFlags::problem(const CostModel& cost, size_t n_first) const {
  const UnitKind kind = unit == "block" ? UnitKind::kBlock : UnitKind::kHalf;
  if (n_protected >= cost.n_layer)
    throw UsageError(concat("--protect ", n_protected, ": the model has ", cost.n_layer,
                            " blocks; expected fewer"));
  return prune_problem(cost, kind, std::max(n_protected, n_first),
                       n_remove ? std::optional(n_remove) : std::nullopt, keep);
}

MaskBench::MaskBench(const MaskFlags& flags)
    : open(open_model(flags.model)), options(options_of(flags.encode, open.model.config())) {
  provenance["data"] =
      flags.tasks.empty() ? flags.texts : fmt::format("{}, train", fmt::join(flags.tasks, ", "));
  provenance["files"] = OrderedJson::array();
  provenance["notes"] = OrderedJson::array();
  Cut cut;
  LeftOut left_out;
  const auto add = [&](Source source) {
    for (const std::string& file : source.files) provenance["files"].push_back(file);
    for (const std::string& note : source.notes) provenance["notes"].push_back(note);
    left_out += source.left_out;
    tell(source.notes);
    deal_out(flags, std::move(source.examples), cut);
  };
  if (flags.tasks.empty()) add(read_texts(flags.texts));
  for (const std::string& task : flags.tasks) add(read_task(flags, task));
  leave_out_repeated(cut);
  provenance["left_out"] = left_out_json(left_out);
  const std::string data = provenance["data"];
  FATHOM_REQUIRE(!cut.fitted.empty() && !cut.held_out.empty(), data,
                 ": too few different texts, after ", cut.fitted.size(),
                 " to fit on none is left to hold out");
  const Tokenizer& tokenizer = require_tokenizer(open.vocabulary);
  fitted = tokenised(cut.fitted, tokenizer);
  held_out = tokenised(cut.held_out, tokenizer);
  provenance["n_text"] = fitted.texts.size();
  provenance["n_held_out"] = held_out.texts.size();
  provenance["seed"] = flags.seed;
}

size_t reference_layer(const MaskFlags& flags, MaskBench& bench) {
  const size_t n_layer = bench.open.model.config().n_layer;
  const bool has_gold = !bench.fitted.gold.empty();
  const std::string name = !flags.reference.empty() ? flags.reference : has_gold ? "best" : "full";
  if (name == "full") return n_layer;
  if (name == "best") {
    if (!has_gold)
      throw UsageError("--reference best: needs --tasks with one task of scored sentence pairs");
    const std::vector<double> by_layer =
        spearman_by_layer(bench.texts(bench.fitted), bench.fitted.gold, bench.open.work);
    size_t best = n_layer;
    for (size_t l = n_layer; l-- > 0;)
      if (by_layer[l] > by_layer[best]) best = l;
    return best;
  }
  size_t layer = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (error != std::errc() || end != name.data() + name.size() || layer > n_layer)
    throw UsageError(
        concat("--reference: expected 0 to ", n_layer, ", full or best, got '", name, "'"));
  return layer;
}

PolicyFile policy_for(const MaskFlags& flags, const MaskBench& bench) {
  PolicyFile file;
  file.model = fingerprint_of(bench.open.model);
  file.pooling = bench.options.pooling;
  file.norm = bench.options.norm;
  file.bos = bench.options.bos;
  file.scan = bench.options.scan;
  file.fitted["command"] = command_line();
  file.fitted["fathom"] = FATHOM_VERSION;
  file.fitted["model"] = describe(bench.open.model);
  for (const auto& [key, value] : bench.provenance.items()) file.fitted[key] = value;
  file.fitted["unit"] = flags.unit;
  if (flags.n_remove)
    file.fitted["target"] = fmt::format("remove {} units", flags.n_remove);
  else
    file.fitted["target"] = fmt::format("keep {} of the FLOPs", flags.keep);
  return file;
}

std::string unit_name(const PruneUnit& unit) {
  const char* part = unit.halves == Step::kBlock     ? "block"
                     : unit.halves == Step::kTimeMix ? "time mix"
                                                     : "channel mix";
  return fmt::format("{} {}", part, unit.layer + 1);
}

}  // namespace fathom::cli
