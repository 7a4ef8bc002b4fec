// SPDX-License-Identifier: Apache-2.0
// fathom embed: sentences to vectors at any layers.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/output_set.h"
#include "cli/commands.h"
#include "cli/depth_flag.h"
#include "cli/flags.h"
#include "cli/progress.h"
#include "encode/describe.h"
#include "encode/embed_texts.h"
#include "encode/nonfinite_texts.h"
#include "eval/policy_flops.h"
#include "results/depth_log.h"
#include "results/embedding_file.h"
#include "study/data_notes.h"
#include "text/sentences.h"

namespace fathom::cli {
namespace {

struct EmbedFlags {
  ModelFlags model;
  EncodeFlags encode;
  DepthFlag depth;
  std::string input = "-", output, field, id_field, label_field, empty = "error", depth_log;
  bool allow_nonfinite = false, with_text = false;
};

Empty parse_empty(const std::string& text) {
  if (text == "error") return Empty::kError;
  if (text == "zero") return Empty::kZero;
  if (text == "skip") return Empty::kSkip;
  throw UsageError(concat("--empty: expected error, zero or skip, got '", text, "'"));
}

// A pair policy takes lines 2 i - 1 and 2 i together.
void check_pairs(const DepthPolicy& policy, const Sentences& sentences) {
  if (!policy.by_pair()) return;
  const bool has_gaps =
      !sentences.skipped.empty() ||
      std::ranges::any_of(sentences.texts, [](const auto& text) { return text.empty(); });
  FATHOM_REQUIRE(!has_gaps && sentences.texts.size() % 2 == 0, "--depth ", policy.name(),
                 ": decides about pairs of lines; expected an even number of them and none empty");
}

// What the vectors were made of and how: the file beside them.
OrderedJson made_by(const EmbedFlags& flags, const OpenModel& open, const Encoder& encoder,
                    const DepthChoice& depth, const Sentences& sentences) {
  OrderedJson j;
  j["fathom"] = FATHOM_VERSION;
  j["command"] = command_line();
  j["model"] = describe(open.model);
  j["tokenizer"] = open.vocabulary.source;
  j["embedding"] = describe(encoder.options(), open.model.config());
  if (depth.policy) {
    j["embedding"]["layers"] = OrderedJson::array({"policy"});
    j["depth"] = describe(depth);
  }
  if (flags.allow_nonfinite) j["allow_nonfinite"] = true;
  j["input"] = {{"file", flags.input},
                {"n_text", sentences.texts.size()},
                {"empty", flags.empty},
                {"skipped_lines", sentences.skipped}};
  return j;
}

void check_columns(const EmbedFlags& flags) {
  const bool has_columns = flags.output.ends_with(".jsonl") || flags.output.ends_with(".csv");
  if (!has_columns && (flags.with_text || !flags.id_field.empty() || !flags.label_field.empty()))
    throw UsageError(concat(
        "--id-field, --label-field, --with-text: expected a .jsonl or .csv to write them to, got ",
        flags.output));
}

// What is written beside the vectors.
EmbeddedTexts shape_of(const EmbedFlags& flags, const Sentences& sentences, const Encoder& encoder,
                       const DepthChoice& depth) {
  const size_t n_layer = encoder.model().config().n_layer;
  EmbeddedTexts shape{.layers = {}, .lines = sentences.line, .dim = encoder.dim()};
  for (size_t layer : encoder.options().layers) shape.layers.push_back(layer_name(layer, n_layer));
  shape.id = sentences.id;
  shape.label = sentences.label;
  if (flags.with_text) shape.text = sentences.texts;
  if (!depth.policy) return shape;
  shape.layers = {layer_name(policy_layer(n_layer), n_layer)};
  shape.traced = true;
  shape.classes = class_names(depth);
  return shape;
}

void run(const EmbedFlags& flags) {
  if (!flags.depth_log.empty() && flags.depth.is_full())
    throw UsageError("--depth-log: expected with another --depth than full");
  const Empty empty = parse_empty(flags.empty);
  OutputSet outputs;
  expect_embedding_file(outputs, flags.output);
  if (!flags.depth_log.empty()) outputs.expect(flags.depth_log);
  check_columns(flags);
  const Sentences sentences = read_sentences(
      flags.input, {.text = flags.field, .id = flags.id_field, .label = flags.label_field}, empty,
      tell_user);
  OpenModel open = open_model(
      flags.model, [&](const Config& c) { return flags.depth.n_block(flags.encode, c); });
  const Tokenizer& tokenizer = require_tokenizer(open.vocabulary);
  const Config& config = open.model.config();
  EncodeOptions options = flags.encode.options(config);
  const DepthChoice depth = flags.depth.open(open.model, options);
  const Encoder encoder(open.model, options, depth.policy.get());
  if (depth.policy) check_pairs(*depth.policy, sentences);
  std::vector<DepthTrace> trace(depth.policy ? sentences.texts.size() : 0);
  const auto file = open_embedding_file(flags.output, shape_of(flags, sentences, encoder, depth),
                                        made_by(flags, open, encoder, depth, sentences), outputs);

  const auto start = std::chrono::steady_clock::now();
  EncodeStats stats;
  PolicyFlops flops;
  NonFiniteTexts nonfinite(encoder, flags.allow_nonfinite, places_of(flags.input, sentences.line));
  {
    Progress progress("embedding", sentences.texts.size());
    const std::vector<std::string_view> texts(sentences.texts.begin(), sentences.texts.end());
    const auto take = [&](const EmbeddedBlock& block) {
      nonfinite.look(block, open.work);
      if (depth.policy) flops.add(encoder, block);
      std::ranges::copy(block.trace, trace.begin() + static_cast<std::ptrdiff_t>(block.begin));
      file->add(block.vectors, block.size(), block.trace);
    };
    stats = embed_texts(encoder, tokenizer, texts, open.work, take,
                        {.no_tokens = empty == Empty::kZero ? NoTokens::kZero : NoTokens::kRefuse,
                         .place = places_of(flags.input, sentences.line),
                         .progress = [&](size_t done) { progress.at(done); }});
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!flags.depth_log.empty()) outputs.write(flags.depth_log, trace_csv(sentences.line, trace));
  file->finish();
  outputs.commit();
  if (const std::string n = nonfinite.count(sentences.texts.size()); !n.empty()) tell_user(n);
  if (depth.policy)
    fmt::print(stderr, "{}\n", summary_of(*depth.policy, trace, config.n_layer, flops));
  fmt::print(stderr,
             "{} texts, {} tokens, {:.2f} s ({:.0f} tokens/s) after {:.2f} s to open the "
             "model, in {} -> {}\n",
             sentences.texts.size(), stats.n_token, seconds,
             static_cast<double>(stats.n_token) / seconds, open.seconds,
             name_of(open.model.compute()), flags.output);
}

}  // namespace

void add_embed(CLI::App& app) {
  auto flags = std::make_shared<EmbedFlags>();
  CLI::App* command =
      app.add_subcommand("embed", "sentences to vectors at any layers, in one pass");
  flags->model.add_to(*command);
  command
      ->add_option(
          "-i,--input", flags->input,
          "sentences, one a line, or JSON lines, .csv, .tsv with a header; .xz, .gz, .zst too")
      ->capture_default_str();
  command->add_option("-o,--output", flags->output, ".npy, .safetensors, .jsonl or .csv")
      ->required();
  command->add_option("--field", flags->field,
                      "the texts' column of a table or field of JSON lines [text for *.jsonl]");
  command->add_option("--id-field", flags->id_field,
                      "write this column of the input, too, as id (.jsonl, .csv)");
  command->add_option("--label-field", flags->label_field, "the same, as label");
  command->add_flag("--with-text", flags->with_text, "write the texts, too (.jsonl, .csv)");
  command->add_flag("--allow-nonfinite", flags->allow_nonfinite,
                    "write vectors with NaN or infinity, null in .jsonl [an error]");
  command->add_option("--empty", flags->empty, "empty line: error, zero (vector) or skip")
      ->capture_default_str();
  flags->encode.add_to(*command);
  flags->depth.add_to(*command);
  command->add_option("--depth-log", flags->depth_log,
                      "CSV of what the policy did with each text: layer, sublayers, class, ...");
  command->footer(
      "Without --layers, the layer that the model's fathom.json or modules.json recommends.\n"
      "Layers: 0 = after ln0, i = after block i, final = ln_out of the last block.\n"
      "Examples:\n"
      "  fathom embed v6-Finch-1B6-HF/ -i sentences.txt -o e.npy --layers 1,3,11 --normalize\n"
      "  fathom embed model.pth --vocab rwkv_vocab_v20230424.txt -i q.jsonl --field question "
      "-o e.jsonl\n"
      "  fathom embed model/ -i reviews.csv --field text --id-field id --with-text -o e.jsonl\n"
      "  fathom embed rwkv0b1-emb-curriculum.pth -i docs.txt -o e.npy --head retr --normalize\n"
      "  fathom embed model/ -i s.txt -o e.npy --depth exit:sst2.policy --depth-log exits.csv\n"
      "  cat lines | fathom embed model/ -o e.safetensors --layers all --pool last --dtype bf16");
  command->callback([flags, command] {
    std::string note;
    if (flags->depth.is_full()) note = flags->encode.recommend(*command, flags->model.model);
    run(*flags);
    if (!note.empty()) tell_user(note);
  });
}

}  // namespace fathom::cli
