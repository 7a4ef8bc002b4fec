// SPDX-License-Identifier: Apache-2.0
// fathom search: the texts nearest to a query, by exact cosine.
#include <fmt/format.h>

#include <iostream>

#include "base/error.h"
#include "base/output_set.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/numbers.h"
#include "cli/progress.h"
#include "results/classified_file.h"
#include "results/search_report.h"
#include "study/data_notes.h"
#include "study/nearest.h"
#include "text/sentences.h"
#include "text/text_file.h"

namespace fathom::cli {
namespace {

struct SearchFlags {
  ModelFlags model;
  EncodeFlags encode;
  std::vector<std::string> queries;
  std::string queries_file, query_field, input = "-", field, id_field, output;
  size_t top = 10;
};

// A table of queries may have the column of the texts.
std::string query_field(const SearchFlags& flags) {
  const bool lines = format_of_name(flags.queries_file) == TextFormat::kLines;
  return flags.query_field.empty() && !lines ? flags.field : flags.query_field;
}

void run(const SearchFlags& flags) {
  std::vector<std::string> queries = flags.queries;
  OutputSet outputs;
  if (!flags.output.empty()) {
    check_table_ending(flags.output);
    outputs.expect(flags.output);
  }
  if (!flags.queries_file.empty())
    for (std::string& q :
         read_sentences(flags.queries_file, query_field(flags), Empty::kError, tell_user).texts)
      queries.push_back(std::move(q));
  if (queries.empty()) throw UsageError("search: expected a query: -q QUERY or --queries FILE");
  const Sentences texts =
      read_sentences(flags.input, SentenceFields{.text = flags.field, .id = flags.id_field},
                     Empty::kSkip, tell_user);
  OpenModel open =
      open_model(flags.model, [&](const Config& c) { return flags.encode.n_block(c); });
  const Encoder encoder(open.model, flags.encode.options(open.model.config()));
  if (encoder.n_vector() != 1) throw UsageError("--layers: expected one layer to search by");
  const auto embed = [&](const std::vector<std::string>& from, const TextPlace& place,
                         const std::string& folder) {
    Progress progress("embedding", from.size());
    const std::vector<std::string_view> views(from.begin(), from.end());
    return vectors_of(encoder, open, views, folder, place, [&](size_t n) { progress.at(n); });
  };
  const std::vector<float> asked = embed(
      queries, [](size_t i) { return concat("query ", i + 1); }, "");
  const std::vector<float> stored =
      embed(texts.texts, places_of(flags.input, texts.line), flags.model.cache);
  const Table table =
      found_table(queries, texts,
                  nearest({asked.data(), queries.size(), encoder.dim()},
                          {stored.data(), texts.texts.size(), encoder.dim()}, flags.top));
  if (flags.output.empty()) {
    std::cout << to_text(table);
    return;
  }
  outputs.write(flags.output, write_table(table, flags.output));
  outputs.commit();
}

}  // namespace

void add_search(CLI::App& app) {
  auto flags = std::make_shared<SearchFlags>();
  CLI::App* command = app.add_subcommand("search", "the texts nearest to a query, by exact cosine");
  flags->model.add_to(*command);
  command->add_option("-q,--query", flags->queries, "a query; may be given again")
      ->allow_extra_args(false);
  auto* file = command->add_option("--queries", flags->queries_file,
                                   "a file of queries, one a line, or JSON lines, .csv, .tsv");
  command->add_option("--query-field", flags->query_field, "their column or field [--field]")
      ->needs(file);
  command
      ->add_option("-i,--input", flags->input,
                   "texts to search, one a line, or JSON lines, .csv, .tsv; .xz, .gz, .zst too")
      ->capture_default_str();
  command->add_option("--field", flags->field, "the texts' column or field");
  command->add_option("--id-field", flags->id_field, "show this column, too, as id");
  command->add_option("--top", flags->top, "texts to show for a query")
      ->capture_default_str()
      ->transform(whole_number(1));
  command->add_option("-o,--output", flags->output, ".csv or .jsonl [a table on the terminal]");
  flags->encode.add_to(*command);
  command->footer(
      "--cache keeps the texts' vectors, too: a second search embeds the query alone.\n"
      "Examples:\n"
      "  fathom search models/finch-embed -q 'a dish with rice' -i samples/topics.csv --field text "
      "--top 3\n"
      "  fathom search model/ --queries q.txt -i docs.txt.gz --cache cache/ -o found.jsonl\n"
      "  fathom search model/ --queries q.csv --query-field question -i docs.csv --field text");
  command->callback([flags, command] {
    const std::string note = flags->encode.recommend(*command, flags->model.model);
    run(*flags);
    if (!note.empty()) tell_user(note);
  });
}

}  // namespace fathom::cli
