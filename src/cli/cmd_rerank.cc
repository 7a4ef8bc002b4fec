// SPDX-License-Identifier: Apache-2.0
// fathom rerank: documents by how well they answer a query, with EmbeddingRWKV's state reranker.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "base/error.h"
#include "base/output_set.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/numbers.h"
#include "cli/progress.h"
#include "encode/reranker.h"
#include "results/rerank_report.h"
#include "study/data_notes.h"
#include "text/sentences.h"

namespace fathom::cli {
namespace {

struct RerankFlags {
  ModelFlags model;
  std::string reranker, input = "-", queries_file, field, output;
  std::vector<std::string> queries;
  RerankPrompt prompt;
  size_t top = 0, batch_tokens = 1024;
  bool skip_empty = false;
};

bool writes_file(const RerankFlags& flags) { return !flags.output.empty() && flags.output != "-"; }

std::vector<std::string> read_queries(const RerankFlags& flags) {
  std::vector<std::string> queries = flags.queries;
  if (!flags.queries_file.empty()) {
    const Sentences more = read_sentences(flags.queries_file, "", Empty::kError, tell_user);
    queries.insert(queries.end(), more.texts.begin(), more.texts.end());
  }
  if (queries.empty()) throw UsageError("rerank: expected a query: -q QUERY or --queries FILE");
  for (const std::string& q : queries)
    if (q.empty()) throw UsageError("-q: expected a query, got an empty text");
  return queries;
}

void run(const RerankFlags& flags) {
  OutputSet outputs;
  if (writes_file(flags)) {
    outputs.expect(flags.output);
    outputs.expect(flags.output + ".json");
  }
  const std::vector<std::string> queries = read_queries(flags);
  const Sentences documents = read_sentences(
      flags.input, flags.field, flags.skip_empty ? Empty::kSkip : Empty::kError, tell_user);
  OpenModel open = open_model(flags.model);
  const Tokenizer& tokenizer = require_tokenizer(open.vocabulary);
  const Reranker reranker = Reranker::open(flags.reranker, open.model, flags.model.options());

  std::vector<std::vector<Token>> document_ids, query_ids;
  for (const std::string& d : documents.texts)
    document_ids.push_back(tokenizer.encode(flags.prompt.document(d)));
  for (const std::string& q : queries) query_ids.push_back(tokenizer.encode(flags.prompt.query(q)));

  const auto start = std::chrono::steady_clock::now();
  std::vector<float> scores;
  {
    Progress progress("reranking", document_ids.size());
    scores = reranker.rerank(document_ids, query_ids, flags.batch_tokens, open.work,
                             [&](size_t done) { progress.at(done); });
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  require_finite_scores(scores, document_ids, query_ids, places_of(flags.input, documents.line),
                        open.model, open.work);
  const Reranked found{queries, documents, scores, flags.top};
  if (flags.output.empty()) {
    std::cout << to_text(found);
  } else if (flags.output == "-") {
    std::cout << to_jsonl(found);
  } else {
    const OrderedJson made_by = describe(found, open, reranker, flags.prompt, command_line());
    outputs.write(flags.output, to_jsonl(found));
    outputs.write(flags.output + ".json", dump_json(made_by, 2) + "\n");
    outputs.commit();
  }
  fmt::print(stderr, "{} documents, {} {}, {:.2f} s\n", documents.texts.size(), queries.size(),
             queries.size() == 1 ? "query" : "queries", seconds);
}

}  // namespace

void add_rerank(CLI::App& app) {
  auto flags = std::make_shared<RerankFlags>();
  CLI::App* command =
      app.add_subcommand("rerank", "documents by how well they answer a query (EmbeddingRWKV)");
  flags->model.add_to(*command);
  command->add_option("reranker", flags->reranker, "EmbeddingRWKV's reranker for this model")
      ->required()
      ->type_name("RERANKER");
  command->add_option("-q,--query", flags->queries, "a query; may be given several times")
      ->allow_extra_args(false);
  command->add_option("--queries", flags->queries_file, "queries in a file, one a line");
  command
      ->add_option("-i,--input", flags->input,
                   "documents, one a line, or JSON lines; .xz, .gz, .zst too")
      ->capture_default_str();
  command->add_option("--field", flags->field,
                      "input is JSON lines; their text field [text for *.jsonl]");
  command->add_flag("--skip-empty", flags->skip_empty, "leave empty lines out");
  command->add_option("-o,--output", flags->output, "a .jsonl file, or - [a table]");
  command->add_option("--top", flags->top, "only the best of each query")
      ->transform(whole_number(1));
  command->add_option("--instruct", flags->prompt.instruct, "what the prompt asks for")
      ->capture_default_str();
  command->add_option("--batch-tokens", flags->batch_tokens, "tokens in one packed batch")
      ->capture_default_str()
      ->transform(whole_number(1, 1 << 20));
  command->footer(
      "The model reads \"Instruct: ...\\nDocument: ...\\nQuery: ...\" and EOS; a document is read\n"
      "once, however many queries there are. Scores are in (0, 1); index counts lines from 0.\n"
      "Examples:\n"
      "  fathom rerank rwkv0b1-emb-curriculum.pth rwkv0b1-reranker.pth -q 'what is EOS?' "
      "-i docs.txt\n"
      "  fathom rerank model.pth reranker.pth --queries q.txt -i docs.jsonl -o out.jsonl --top 10");
  command->callback([flags] { run(*flags); });
}

}  // namespace fathom::cli
