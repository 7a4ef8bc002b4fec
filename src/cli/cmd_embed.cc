// SPDX-License-Identifier: Apache-2.0
// fathom embed: sentences to vectors at any layers.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/embedding_file.h"
#include "cli/flags.h"
#include "cli/progress.h"
#include "cli/sentences.h"

namespace fathom::cli {
namespace {

struct Flags {
  ModelFlags model;
  EncodeFlags encode;
  std::string input = "-", output, field, empty = "error";
};

Empty parse_empty(const std::string& text) {
  if (text == "error") return Empty::kError;
  if (text == "zero") return Empty::kZero;
  if (text == "skip") return Empty::kSkip;
  throw UsageError(concat("--empty: expected error, zero or skip, got '", text, "'"));
}

// Embeds texts [begin, end); an empty text becomes zeros. (n_layer, end - begin, dim)
std::vector<float> embed_range(const Encoder& encoder, const Tokenizer& tokenizer,
                               const Sentences& sentences, size_t begin, size_t end,
                               Workspace& work, EncodeStats& total) {
  std::vector<std::vector<Token>> ids;
  std::vector<size_t> place;
  for (size_t i = begin; i < end; ++i) {
    if (sentences.texts[i].empty()) continue;
    ids.push_back(tokenizer.encode(sentences.texts[i]));
    place.push_back(i - begin);
  }
  const size_t n_layer = encoder.options().layers.size(), dim = encoder.dim(), n = end - begin;
  std::vector<float> dense(n_layer * ids.size() * dim);
  const EncodeStats stats = encoder.encode(ids, dense, work);
  total.n_token += stats.n_token;
  total.n_batch += stats.n_batch;
  if (ids.size() == n) return dense;
  std::vector<float> out(n_layer * n * dim, 0);
  for (size_t l = 0; l < n_layer; ++l)
    for (size_t i = 0; i < place.size(); ++i)
      std::copy_n(dense.data() + (l * place.size() + i) * dim, dim,
                  out.data() + (l * n + place[i]) * dim);
  return out;
}

void run(const Flags& flags) {
  const Empty empty = parse_empty(flags.empty);
  std::string field = flags.field;
  if (field.empty() && std::string_view(flags.input).ends_with(".jsonl")) field = "text";
  const Sentences sentences = read_sentences(flags.input, field, empty);
  OpenModel open(flags.model);
  const Tokenizer& tokenizer = require_tokenizer(open.vocabulary);
  const Config& config = open.model.config();
  const Encoder encoder(open.model, flags.encode.options(config));

  OrderedJson made_by;
  made_by["fathom"] = FATHOM_VERSION;
  made_by["command"] = command_line();
  made_by["model"] = describe(open.model);
  made_by["tokenizer"] = open.vocabulary.source;
  made_by["embedding"] = describe(encoder.options(), config);
  made_by["input"] = {{"file", flags.input},
                      {"n_text", sentences.texts.size()},
                      {"empty", flags.empty},
                      {"skipped_lines", sentences.skipped}};
  EmbeddingShape shape{{}, sentences.line, encoder.dim()};
  for (size_t layer : encoder.options().layers)
    shape.layers.push_back(layer_name(layer, config.n_layer));
  const auto file = open_embedding_file(flags.output, std::move(shape), made_by);

  const auto start = std::chrono::steady_clock::now();
  EncodeStats stats;
  {
    // Groups large enough to fill batches, small enough to stream; flattened states are long.
    constexpr size_t kMaxTexts = 1024, kMaxFloats = size_t{1} << 26;
    const size_t floats = encoder.options().layers.size() * encoder.dim();
    const size_t group = std::clamp<size_t>(kMaxFloats / floats, 1, kMaxTexts);
    const size_t n_text = sentences.texts.size();
    Progress progress("embedding", n_text);
    for (size_t begin = 0; begin < n_text; begin += group) {
      const size_t end = std::min(begin + group, n_text);
      file->add(embed_range(encoder, tokenizer, sentences, begin, end, open.work, stats),
                end - begin);
      progress.at(end);
    }
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  file->commit();
  fmt::print(stderr, "{} texts, {} tokens, {:.2f} s ({:.0f} tokens/s) -> {}\n",
             sentences.texts.size(), stats.n_token, seconds,
             static_cast<double>(stats.n_token) / seconds, flags.output);
}

}  // namespace

void add_embed(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("embed", "sentences to vectors at any layers, in one pass");
  flags->model.add_to(*command);
  command->add_option("-i,--input", flags->input, "sentences, one a line, or JSONL; .xz too")
      ->capture_default_str();
  command->add_option("-o,--output", flags->output, ".npy, .safetensors, .jsonl or .csv")
      ->required();
  command->add_option("--field", flags->field, "input is JSONL; its text field [text for *.jsonl]");
  command->add_option("--empty", flags->empty, "empty line: error, zero (vector) or skip")
      ->capture_default_str();
  flags->encode.add_to(*command);
  command->footer(
      "Layers: 0 = after ln0, i = after block i, final = ln_out of the last block.\n"
      "Examples:\n"
      "  fathom embed v6-Finch-1B6-HF/ -i sentences.txt -o e.npy --layers 1,3,11 --normalize\n"
      "  fathom embed model.pth --vocab rwkv_vocab_v20230424.txt -i q.jsonl --field question "
      "-o e.jsonl\n"
      "  fathom embed rwkv0b1-emb-curriculum.pth -i docs.txt -o e.npy --head retr --normalize\n"
      "  cat lines | fathom embed model/ -o e.safetensors --layers all --pool last --dtype bf16");
  command->callback([flags] { run(*flags); });
}

}  // namespace fathom::cli
