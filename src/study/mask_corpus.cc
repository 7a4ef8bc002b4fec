// SPDX-License-Identifier: Apache-2.0
#include "study/mask_corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/error.h"
#include "base/invalid_option.h"
#include "encode/describe.h"
#include "eval/dataset.h"
#include "probe/folds.h"
#include "study/data_notes.h"
#include "text/sentences.h"

namespace fathom {
namespace {

// A sentence, or a pair with b.
struct Example {
  std::string a;
  std::optional<std::string> b = {};
  std::optional<double> gold = {}, label = {};
};

struct Examples {
  std::vector<Example> examples;
  std::vector<std::string> files, notes;
  LeftOut left_out = {};
};

Examples read_texts(const std::string& path, const std::string& field, const Listener& listener) {
  Examples source;
  Sentences sentences = read_sentences(path, field, Empty::kSkip, listener.note);
  for (std::string& text : sentences.texts) source.examples.push_back({.a = std::move(text)});
  source.left_out.n_empty = sentences.skipped.size();
  if (source.left_out.n_empty > 0)
    source.notes.push_back(
        fmt::format("{} empty lines of {} were left out", source.left_out.n_empty, path));
  source.files = {path};
  return source;
}

Examples read_task(const MaskSources& sources, const std::string& name) {
  const Task& task = find_task(name);
  Examples source;
  try {
    const Dataset train =
        load_dataset(task, Split::kTrain, find_data_root(std::array{&task}, sources.data));
    for (const Pair& pair : train.pairs) {
      Example& e = source.examples.emplace_back(Example{.a = pair.a});
      if (task.is_pair()) e.b = pair.b;
      if (sources.tasks.size() > 1) continue;
      e.label = pair.gold;
      if (task.is_zero_shot()) e.gold = pair.gold;
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

void deal_out(const MaskSources& sources, std::vector<Example> examples, Cut& cut) {
  const size_t wanted = sources.sample + sources.held_out;
  const std::vector<size_t> rows = draw_rows(examples.size(), wanted, sources.seed);
  const size_t n_held_out = rows.size() * sources.held_out / wanted;
  std::vector<bool> is_held_out(rows.size(), false);
  for (size_t i : draw_rows(rows.size(), n_held_out, sources.seed + 1)) is_held_out[i] = true;
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
    if (e.label) out.label.push_back(*e.label);
  }
  for (const std::string& text : out.texts) out.ids.push_back(tokenizer.encode(text));
  return out;
}

}  // namespace

PruneProblem problem_of(const MaskSize& size, const CostModel& cost, size_t n_first) {
  if (size.n_protected >= cost.n_layer)
    throw InvalidOption("protect", concat("fewer than the model's ", cost.n_layer, " blocks"),
                        std::to_string(size.n_protected));
  return prune_problem(cost, size.unit, std::max(size.n_protected, n_first),
                       size.n_remove ? std::optional(size.n_remove) : std::nullopt, size.keep);
}

MaskCorpus::MaskCorpus(OpenModel& opened, EncodeOptions how, const MaskSources& from,
                       const Listener& told)
    : open(opened), listener(told), options(std::move(how)), sources(from) {
  options.layers.clear();
  if (sources.tasks.size() == 1) task = &find_task(sources.tasks.front());
  provenance["data"] = sources.tasks.empty()
                           ? sources.texts
                           : fmt::format("{}, train", fmt::join(sources.tasks, ", "));
  provenance["files"] = OrderedJson::array();
  provenance["notes"] = OrderedJson::array();
  Cut cut;
  LeftOut left_out;
  const auto add = [&](Examples source) {
    for (const std::string& file : source.files) provenance["files"].push_back(file);
    for (const std::string& note : source.notes) provenance["notes"].push_back(note);
    left_out += source.left_out;
    listener.tell(source.notes);
    deal_out(sources, std::move(source.examples), cut);
  };
  if (sources.tasks.empty()) add(read_texts(sources.texts, sources.field, listener));
  for (const std::string& task : sources.tasks) add(read_task(sources, task));
  leave_out_repeated(cut);
  provenance["left_out"] = left_out_json(left_out);
  const std::string data = provenance["data"];
  FATHOM_REQUIRE(!cut.fitted.empty() && !cut.held_out.empty(), data, ": too few different texts: `",
                 cut.held_out.empty() ? "held_out" : "sample", "` ",
                 cut.held_out.empty() ? sources.held_out : sources.sample, " leaves none ",
                 cut.held_out.empty() ? "to judge a mask on" : "to fit one on", ", after ",
                 cut.fitted.size(), " to fit on");
  const Tokenizer& tokenizer = open.tokenizer();
  fitted = tokenised(cut.fitted, tokenizer);
  held_out = tokenised(cut.held_out, tokenizer);
  provenance["n_text"] = fitted.texts.size();
  provenance["n_held_out"] = held_out.texts.size();
  provenance["seed"] = sources.seed;
}

size_t reference_layer(const std::string& wanted, const MaskCorpus& corpus) {
  const size_t n_layer = corpus.open.model.config().n_layer;
  const bool has_gold = !corpus.fitted.gold.empty();
  const std::string name = !wanted.empty() ? wanted : has_gold ? "best" : "full";
  if (name == "full") return n_layer;
  if (name == "best") {
    if (!has_gold)
      throw InvalidOption("reference",
                          "a layer or full without `tasks` of one task of scored sentence pairs",
                          "best");
    const std::vector<double> by_layer =
        spearman_by_layer(corpus.texts(corpus.fitted), corpus.fitted.gold, corpus.open.work);
    size_t best = n_layer;
    for (size_t l = n_layer; l-- > 0;)
      if (by_layer[l] > by_layer[best]) best = l;
    return best;
  }
  size_t layer = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (error != std::errc() || end != name.data() + name.size() || layer > n_layer)
    throw InvalidOption("reference", concat("0 to ", n_layer, ", full or best"),
                        concat("'", name, "'"));
  return layer;
}

PolicyFile policy_for(const MaskCorpus& corpus, const MaskSize& size, const std::string& command) {
  PolicyFile file;
  file.model = fingerprint_of(corpus.open.model);
  file.reading.pool_as(corpus.options);
  file.fitted["command"] = command;
  file.fitted["fathom"] = FATHOM_VERSION;
  file.fitted["model"] = describe(corpus.open.model);
  for (const auto& [key, value] : corpus.provenance.items()) file.fitted[key] = value;
  file.fitted["unit"] = size.unit == UnitKind::kBlock ? "block" : "sublayer";
  if (size.n_remove)
    file.fitted["target"] = fmt::format("remove {} units", size.n_remove);
  else
    file.fitted["target"] = fmt::format("keep {} of the FLOPs", size.keep);
  return file;
}

std::string unit_name(const PruneUnit& unit) {
  const char* part = unit.sublayers == Step::kBlock     ? "block"
                     : unit.sublayers == Step::kTimeMix ? "time mix"
                                                        : "channel mix";
  return fmt::format("{} {}", part, unit.layer + 1);
}

}  // namespace fathom
