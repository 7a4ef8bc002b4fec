// SPDX-License-Identifier: Apache-2.0
// fathom trace: every hidden state, state and logit of one sequence, to compare engines.
#include <fmt/format.h>

#include <iostream>

#include "base/error.h"
#include "base/output_set.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/numbers.h"
#include "encode/describe.h"
#include "results/trace_file.h"
#include "text/text_file.h"
#include "text/token_ids.h"

namespace fathom::cli {
namespace {

struct TraceFlags {
  ModelFlags model;
  std::string ids, ids_file, text, output, bos = "none";
  std::optional<std::string> eos;
  size_t chunk = 0;
  bool all_logits = false;
};

std::vector<Token> parse_ids(std::string_view text, const std::string& where) {
  std::vector<Token> ids = take_token_ids(text);
  FATHOM_REQUIRE(text.empty(), where, ": expected token ids, got '", text.substr(0, 20), "'");
  return ids;
}

std::vector<Token> read_ids(const TraceFlags& flags, const Vocabulary& vocabulary) {
  const int given = !flags.ids.empty() + !flags.ids_file.empty() + !flags.text.empty();
  if (given != 1) throw UsageError("trace: expected one of --ids, --ids-file and --text");
  std::vector<Token> ids = !flags.ids.empty() ? parse_ids(flags.ids, "--ids")
                           : !flags.ids_file.empty()
                               ? parse_ids(read_text_file(flags.ids_file), flags.ids_file)
                               : require_tokenizer(vocabulary).encode(flags.text);
  if (const auto bos = parse_bos(flags.bos)) ids.insert(ids.begin(), *bos);
  FATHOM_REQUIRE(!ids.empty(), "trace: no token given");
  return ids;
}

// Which of the ids the task heads read.
EosRule eos_of(const TraceFlags& flags, const Config& config) {
  EosRule rule;
  if (flags.eos) rule.id = parse_eos(*flags.eos);
  if (flags.eos && rule.id && *rule.id >= config.n_vocab)
    throw UsageError(
        concat("--eos: expected none or an id below ", config.n_vocab, ", got ", *flags.eos));
  rule.has_bos = parse_bos(flags.bos).has_value();
  return rule;
}

void run(const TraceFlags& flags) {
  for (const char* other : {".npz", ".npy", ".json", ".jsonl", ".csv"})
    if (flags.output.ends_with(other))
      throw UsageError(
          concat("-o: expected a file ending in .safetensors, got '", flags.output, "'"));
  OutputSet outputs;
  outputs.expect(flags.output);
  if (flags.eos) parse_eos(*flags.eos);
  OpenModel open = open_model(flags.model);
  const Config& config = open.model.config();
  const std::vector<Token> ids = read_ids(flags, open.vocabulary);
  // All logits of a long text with a large vocabulary are gigabytes that nobody asked for.
  constexpr size_t kManyLogits = size_t{1} << 25;
  const bool all = flags.all_logits || ids.size() * config.n_vocab <= kManyLogits;
  Trace t = trace(open.model, ids, {.chunk = flags.chunk, .all_logits = all}, open.work);
  const EosRule eos = eos_of(flags, config);
  const std::optional<HeadArrays> heads = run_heads(open.model, t, ids, eos, open.work);
  if (!heads)
    fmt::print(stderr, "no embed_* arrays: no token {} (EOS) for the task heads to read\n",
               eos.id.value_or(kEosToken));
  write_trace(outputs.open(flags.output), t, heads.value_or(HeadArrays()), ids, config,
              {{"fathom", FATHOM_VERSION},
               {"command", command_line()},
               {"eos", eos.id ? std::to_string(*eos.id) : "none"},
               {"model", dump_json(describe(open.model))}});
  outputs.commit();
  if (const auto note = nonfinite_note(t)) tell_user(*note);
  fmt::print(stderr, "{} tokens, {} layers -> {}{}\n", t.n_token, t.n_layer, flags.output,
             all ? "" : " (logits of the last token only; --all-logits for the rest)");
}

}  // namespace

void add_trace(CLI::App& app) {
  auto flags = std::make_shared<TraceFlags>();
  CLI::App* command =
      app.add_subcommand("trace", "all hidden states, states and logits of one sequence");
  flags->model.dtype = "f32";  // states are for comparing engines
  flags->model.add_to(*command);
  command->add_option("--ids", flags->ids, "token ids: 34,105,110");
  command->add_option("--ids-file", flags->ids_file, "token ids in a file, any separators");
  command->add_option("--text", flags->text, "text, through the tokenizer");
  command->add_option("--bos", flags->bos, "token id in front, or none")->capture_default_str();
  command
      ->add_option("--eos", flags->eos,
                   "token id that EmbeddingRWKV's task heads read, or none: the last [65535]")
      ->type_name("ID");
  command->add_option("-o,--output", flags->output, "a .safetensors file, all arrays F32")
      ->required();
  command
      ->add_option("--chunk", flags->chunk, "feed this many tokens at a time, carrying the state")
      ->transform(whole_number(1, 1 << 20));
  command->add_flag("--all-logits", flags->all_logits, "of every token, however many");
  command->footer(
      "Arrays: ids, hidden (L+1, T, C), final, mean, last, mean_lnout, last_lnout, logits_last,\n"
      "logits, state_att_x, state_ffn_x, state_wkv (v4: state_aa, state_bb, state_pp);\n"
      "for EmbeddingRWKV, if EOS (--eos) is among the ids: embed_cls, embed_sts, embed_retr.\n"
      "Examples:\n"
      "  fathom trace model/ --ids 34,105,110 -o t.safetensors\n"
      "  fathom trace model.pth --text 'Hello' --chunk 1 --backend reference -o t.safetensors");
  command->callback([flags] { run(*flags); });
}

}  // namespace fathom::cli
