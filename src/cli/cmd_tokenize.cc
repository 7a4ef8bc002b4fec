// SPDX-License-Identifier: Apache-2.0
// fathom tokenize: text to ids and back.
#include <fmt/format.h>

#include <iostream>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "model/inspect.h"
#include "text/text_file.h"
#include "text/token_ids.h"

namespace fathom::cli {
namespace {

struct TokenizeFlags {
  std::vector<std::string> words;  // [MODEL] [TEXT]
  std::string vocab;
  bool jsonl = false, decode = false, json = false;
};

std::vector<Token> parse_ids(std::string_view text) {
  std::vector<Token> ids = take_token_ids(text);
  if (!text.empty())
    throw UsageError(concat("--decode: expected ids such as 33155,45, got '", text, "'"));
  return ids;
}

void run(TokenizeFlags flags) {
  std::unique_ptr<Checkpoint> checkpoint;
  Vocabulary vocabulary;
  if (!flags.vocab.empty()) {
    vocabulary = {open_tokenizer(flags.vocab), flags.vocab};
    // With --vocab the model may be left out: one word is then the text.
    if (flags.words.size() == 2) flags.words.erase(flags.words.begin());
  } else {
    if (flags.words.empty()) throw UsageError("tokenize: expected MODEL or --vocab FILE");
    const std::string model = flags.words.front();
    flags.words.erase(flags.words.begin());
    checkpoint = std::make_unique<Checkpoint>(Checkpoint::open(model));
    size_t n_vocab = 0;
    try {
      n_vocab = Names(*checkpoint).get("emb.weight").rows();
    } catch (const Error& e) {
      throw Error(concat(model, ": ", e.what()));
    }
    vocabulary = find_vocabulary(*checkpoint, n_vocab, std::nullopt);
  }
  const Tokenizer& tokenizer = require_tokenizer(vocabulary);
  const std::string text = flags.words.empty() ? read_text_file("-") : flags.words.front();
  if (flags.jsonl) {
    std::cout << tokenize_jsonl(tokenizer, text);
  } else if (flags.decode) {
    std::cout << tokenizer.decode(parse_ids(text));
    if (!flags.words.empty()) std::cout << '\n';
  } else if (flags.json) {
    std::cout << dump_json(OrderedJson(tokenizer.encode(text))) << '\n';
  } else {
    const std::vector<Token> ids = tokenizer.encode(text);
    for (Token id : ids) fmt::print("{:>6}  {}\n", id, readable_piece(tokenizer.piece(id)));
    std::cerr << ids.size() << " tokens\n";
  }
}

}  // namespace

void add_tokenize(CLI::App& app) {
  auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* command = app.add_subcommand("tokenize", "text to token ids and pieces, and back");
  command->add_option("words", flags->words, "the model (not with --vocab), and the text [stdin]")
      ->type_name("[MODEL] [TEXT]")
      ->expected(0, 2);
  command->add_option("--vocab", flags->vocab, "vocabulary file instead of a model");
  command->add_flag("--json", flags->json, "only the ids, as a JSON list");
  command->add_flag("--jsonl", flags->jsonl,
                    "lines {\"name\", \"hex\"} on stdin, lines {\"name\", \"ids\"} on stdout");
  command->add_flag("--decode", flags->decode, "TEXT is a list of ids; prints their bytes");
  command->footer(
      "Examples:\n"
      "  fathom tokenize v6-Finch-1B6-HF/ 'Hello, World!'\n"
      "  fathom tokenize --vocab rwkv_vocab_v20230424.txt --decode 33155,45,37576,34\n"
      "  fathom tokenize --vocab rwkv_vocab_v20230424.txt --jsonl < cases.jsonl");
  command->callback([flags] { run(*flags); });
}

}  // namespace fathom::cli
