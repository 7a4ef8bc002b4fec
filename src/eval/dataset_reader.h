// SPDX-License-Identifier: Apache-2.0
// The readers behind load_dataset(): text of a file in, pairs out, each with its line. `name` is what
// errors call the file. All throw Error naming file, line and what was expected. Rows with an empty
// sentence are counted and left out; where the source has no gold values, "." is read instead.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "eval/dataset.h"

namespace fathom {

// What a reader made of one file, or of files that belong together.
struct ParsedRows {
  std::vector<Pair> pairs;
  LeftOut left_out = {};
  bool quoted = false;
};

using IdPair = std::pair<std::string, std::string>;
using IdPairs = std::set<IdPair>;

// dev_ids.tsv: two ids a line.
IdPairs parse_id_pairs(std::string_view text, const std::string& name);

// Layouts kTsv, kTsvNoHeader, kUnlabelled, and with `ids` kTsvWithoutIds and kTsvOnlyIds. Every row must have as
// many fields as the header, or without one at least those that are read. With kTsvOnlyIds every
// id must be found. Where source.skips: Error if more than kMaxDamaged of the rows do not fit.
ParsedRows parse_tsv(std::string_view text, const std::string& name, const Task& task,
                     const Source& source, const IdPairs* ids = nullptr);

// Layouts kJsonl and kUnlabelled. Fields have the names of the source, else those that Hugging Face's
// data sets use (text1, text2, text, score, similarity_score, ...); blank lines are passed over.
// Labels may be numbers such as 1.0, text, or true and false for 1 and 0; scores may be text. A
// label of -1 is refused as hidden, as Hugging Face exports have it for GLUE tests; where
// source.skips it means that annotators did not agree.
ParsedRows parse_jsonl(std::string_view text, const std::string& name, const Task& task,
                       const Source& source);

// A text and the name of its file.
struct NamedText {
  std::string_view text;
  const std::string& name;
};

// Layout kLines: line i of the three files belongs together.
ParsedRows parse_lines(const NamedText& labels, const NamedText& a, const NamedText& b,
                       const Task& task, const Source& source);

// One file of layout kTwoFiles: every line is a sentence of the class `gold`. An empty line becomes
// ".", as in SentEval, whose counts include them.
ParsedRows parse_sentences(std::string_view text, double gold);

// Layout kLabelFirst.
ParsedRows parse_label_first(std::string_view text, const std::string& name, const Task& task,
                             const Source& source);

// One set of layout kStsSets: the two sentences of a line of `input`, the score in the same line of
// `gold`. A pair whose gold line is empty was not annotated and is left out.
ParsedRows parse_sts_set(std::string_view input, const std::string& input_name,
                         std::string_view gold, const std::string& gold_name, const Task& task);

}  // namespace fathom
