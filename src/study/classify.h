// SPDX-License-Identifier: Apache-2.0
// Classes of texts, or scores of pairs, from the heads of an exit policy. Each text stops at the
// first layer at which the policy is confident.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "depth/policy_file.h"
#include "encode/embed_texts.h"
#include "encode/open_model.h"

namespace fathom {

// Columns or fields of what is classified; "": none.
struct ClassifyColumns {
  std::string text, text1, text2, id, label;
};
// The rows, (n_row) each or empty.
struct ClassifiedRows {
  std::vector<size_t> line;
  std::vector<std::string> id, text, text2, truth;
  bool has_classes = true;  // truth is of classes, to be compared by name
};
struct ClassifyInput {
  ClassifiedRows rows;
  std::vector<std::string> texts;  // in the order in which they run: of pairs a0, b0, a1, ...
  TextPlace place;
};
// Single texts as read_sentences() takes them, pairs from a table. Throws InvalidOption for columns
// of the other kind, Error as read_sentences() and read_columns() and for an empty text.
ClassifyInput read_classify_input(const std::string& path, const ClassifyColumns& columns,
                                  bool pairs, const std::function<void(const std::string&)>& note);

struct Classified {
  std::string answer;  // the class by name, or by number where the policy knows no names; a score
  double confidence = 0;   // of the policy's measure, larger is more certain; NaN if it has none
  size_t exit_layer = 0;   // where the text, or the pair, stopped
  double flops_share = 0;  // of a run through all blocks; pooling, heads and measures counted
};

// Throws InvalidOption("policy") unless it is an exit policy with heads.
void require_heads(const DepthChoice& choice);

// One for each text, or for each pair (texts a0, b0, a1, ...) where the policy decides by pair.
// encoder: made with choice.policy. progress: called with texts done. Throws as embed_texts().
std::vector<Classified> classify(const Encoder& encoder, const DepthChoice& choice, OpenModel& open,
                                 std::span<const std::string_view> texts, const TextPlace& place,
                                 const std::function<void(size_t)>& progress = {});

}  // namespace fathom
