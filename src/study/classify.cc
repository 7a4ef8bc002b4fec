// SPDX-License-Identifier: Apache-2.0
#include "study/classify.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/invalid_option.h"
#include "depth/exit.h"
#include "eval/cost.h"
#include "study/data_notes.h"
#include "text/sentences.h"
#include "text/text_columns.h"

namespace fathom {
namespace {

const EarlyExit* exit_of(const DepthChoice& choice) {
  return dynamic_cast<const EarlyExit*>(choice.policy.get());
}

std::string answer_of(const DepthTrace& trace, const std::vector<std::string>& classes) {
  if (trace.predicted_class < 0) return fmt::format("{}", trace.predicted_value);
  const auto k = static_cast<size_t>(trace.predicted_class);
  return classes.empty() ? std::to_string(k) : classes.at(k);
}

ClassifyInput read_pairs(const std::string& path, const ClassifyColumns& columns) {
  std::vector<std::string> wanted = {columns.text1, columns.text2};
  for (const std::string* field : {&columns.id, &columns.label})
    if (!field->empty()) wanted.push_back(*field);
  TextColumns table = read_columns(path, wanted);
  ClassifyInput out;
  out.rows.line = table.line;
  out.rows.text = table.values[0];
  out.rows.text2 = table.values[1];
  if (!columns.id.empty()) out.rows.id = table.values[2];
  if (!columns.label.empty()) out.rows.truth = table.values.back();
  for (size_t i = 0; i < table.line.size(); ++i)
    for (size_t s = 0; s < 2; ++s) {
      FATHOM_REQUIRE(!table.values[s][i].empty(), table.place(i), ": an empty text in '", wanted[s],
                     "'");
      out.texts.push_back(std::move(table.values[s][i]));
    }
  out.place = [table](size_t text) { return table.place(text / 2); };
  return out;
}

ClassifyInput read_singles(const std::string& path, const ClassifyColumns& columns,
                           const std::function<void(const std::string&)>& note) {
  Sentences s = read_sentences(
      path, SentenceFields{.text = columns.text, .id = columns.id, .label = columns.label},
      Empty::kError, note);
  ClassifyInput out;
  out.rows.line = s.line;
  out.rows.id = std::move(s.id);
  out.rows.text = s.texts;
  out.rows.truth = std::move(s.label);
  out.place = places_of(path, s.line);
  out.texts = std::move(s.texts);
  return out;
}

}  // namespace

ClassifyInput read_classify_input(const std::string& path, const ClassifyColumns& columns,
                                  bool pairs, const std::function<void(const std::string&)>& note) {
  const bool has_pair = !columns.text1.empty() && !columns.text2.empty();
  const bool any = !columns.text1.empty() || !columns.text2.empty();
  if (pairs && !has_pair)
    throw InvalidOption("text1", "the columns of a pair, `text1` and `text2`", {},
                        "this policy decides about pairs of texts");
  if (!pairs && any)
    throw InvalidOption("text", "the column of the texts", {},
                        "this policy decides about single texts");
  return pairs ? read_pairs(path, columns) : read_singles(path, columns, note);
}

void require_heads(const DepthChoice& choice) {
  const EarlyExit* exit = exit_of(choice);
  if (!exit || exit->rule().n_class == 0)
    throw InvalidOption("policy", "an exit policy that was fitted on a task (fathom fit --task)",
                        choice.policy ? choice.policy->name() : "full depth",
                        "it has no heads to classify with");
}

std::vector<Classified> classify(const Encoder& encoder, const DepthChoice& choice, OpenModel& open,
                                 std::span<const std::string_view> texts, const TextPlace& place,
                                 const std::function<void(size_t)>& progress) {
  require_heads(choice);
  const size_t width = exit_of(choice)->rule().pair ? 2 : 1;
  const std::vector<std::string> classes = class_names(choice);
  const CostModel cost = cost_model(open.model.config());
  double per_token = 0;  // of all blocks
  for (size_t l = 0; l < cost.n_layer; ++l)
    per_token += 2 * static_cast<double>(block_cost(cost, l).total());
  std::vector<Classified> out;
  const auto take = [&](const EmbeddedBlock& block) {
    for (size_t t = 0; t < block.size(); t += width) {
      Classified one{.answer = answer_of(block.trace[t], classes),
                     .confidence = double{block.trace[t].confidence}};
      double flops = 0, full = 0;
      for (size_t s = t; s < t + width; ++s) {
        const size_t n_token = scanned_tokens(block.ids[s].size(), encoder.options());
        one.exit_layer = std::max<size_t>(one.exit_layer, block.trace[s].exit_layer);
        flops += depth_flops(cost, *choice.policy, block.trace[s], n_token);
        full += per_token * static_cast<double>(n_token);
      }
      one.flops_share = flops / full;
      out.push_back(std::move(one));
    }
  };
  EmbedTextsOptions how;
  how.together = width;
  how.place = place;
  how.progress = progress;
  embed_texts(encoder, open.tokenizer(), texts, open.work, take, how);
  return out;
}

}  // namespace fathom
