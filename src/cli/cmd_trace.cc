// SPDX-License-Identifier: Apache-2.0
// fathom trace: every hidden state, state and logit of one sequence, to compare engines.
#include <fmt/format.h>

#include <charconv>
#include <iostream>

#include "base/error.h"
#include "base/output_set.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/numbers.h"
#include "encode/describe.h"
#include "encode/nonfinite.h"
#include "encode/task_heads.h"
#include "encode/trace.h"
#include "formats/write_safetensors.h"
#include "text/text_file.h"

namespace fathom::cli {
namespace {

struct Flags {
  ModelFlags model;
  std::string ids, ids_file, text, output, bos = "none";
  std::optional<std::string> eos;
  size_t chunk = 0;
  bool all_logits = false;
};

// Numbers between commas, white space or JSON brackets.
std::vector<Token> parse_ids(std::string_view text, const std::string& where) {
  std::vector<Token> ids;
  constexpr std::string_view kBetween = ", \t\r\n[]";
  for (;;) {
    const size_t begin = text.find_first_not_of(kBetween);
    if (begin == std::string_view::npos) return ids;
    text.remove_prefix(begin);
    Token id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    const size_t length = static_cast<size_t>(end - text.data());
    FATHOM_REQUIRE(error == std::errc{} && (length == text.size() ||
                                            kBetween.find(text[length]) != std::string_view::npos),
                   where, ": expected token ids, got '", text.substr(0, 20), "'");
    ids.push_back(id);
    text.remove_prefix(length);
  }
}

std::vector<Token> read_ids(const Flags& flags, const Vocabulary& vocabulary) {
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

// The recurrent states of all layers, under the names of ../shared/golden/README.md.
struct StateArrays {
  std::vector<float> att_x, ffn_x, wkv, aa, bb, pp;

  StateArrays(State& state, const Config& c) {
    const auto append = [](std::vector<float>& to, std::span<const float> from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    for (size_t i = 0; i < c.n_layer; ++i) {
      append(att_x, state.att_shift(i));
      append(ffn_x, state.ffn_shift(i));
      const std::span<const float> s = state.wkv(i);
      if (c.version == Version::kV4) {
        append(aa, s.subspan(0, c.d_att));
        append(bb, s.subspan(c.d_att, c.d_att));
        append(pp, s.subspan(2 * c.d_att, c.d_att));
      } else {
        append(wkv, s);
      }
    }
  }
};

using HeadArrays = std::map<std::string, std::vector<float>>;  // "embed_cls", ... each (C)

// What the model's task heads, if any, make of ln_out at the tokens that are EOS.
HeadArrays run_heads(const Model& model, const Trace& t, const std::vector<Token>& ids, EosRule eos,
                     Workspace& work) {
  HeadArrays arrays;
  const std::vector<HeadKind> heads = heads_in(model.checkpoint());
  if (heads.empty()) return arrays;
  const auto pooled = mean_at_eos(ids, {t.final.data(), t.n_token, t.d_model}, eos);
  if (!pooled) {
    fmt::print(stderr, "no embed_* arrays: no token {} (EOS) for the task heads to read\n",
               eos.id.value_or(kEosToken));
    return arrays;
  }
  for (HeadKind kind : heads) {
    std::vector<float>& e = arrays[concat("embed_", name_of(kind))];
    e.resize(t.d_model);
    TaskHead(model, kind).apply({pooled->data(), 1, t.d_model}, {e.data(), 1, t.d_model}, work);
  }
  return arrays;
}

void write_trace(AtomicFile& file, Trace& t, const HeadArrays& heads, const std::vector<Token>& ids,
                 const Config& c, const std::map<std::string, std::string>& metadata) {
  const size_t l = t.n_layer + 1, n = t.n_token, d = t.d_model, h = c.n_head(), s = c.head_size;
  StateArrays states(t.state, c);
  const std::vector<int32_t> signed_ids(ids.begin(), ids.end());
  std::vector<TensorToWrite> out;
  const auto add = [&out](const std::string& name, std::vector<size_t> shape,
                          const std::vector<float>& x) {
    if (!x.empty())
      out.push_back(tensor_to_write(name, std::move(shape), std::span<const float>(x)));
  };
  out.push_back(tensor_to_write("ids", {n}, std::span<const int32_t>(signed_ids)));
  add("hidden", {l, n, d}, t.hidden);
  add("final", {n, d}, t.final);
  add("mean", {l, d}, t.mean);
  add("last", {l, d}, t.last);
  add("mean_lnout", {l, d}, t.mean_lnout);
  add("last_lnout", {l, d}, t.last_lnout);
  add("logits_last", {t.n_vocab}, t.logits_last);
  add("logits", {n, t.n_vocab}, t.logits);
  add("state_att_x", {t.n_layer, d}, states.att_x);
  add("state_ffn_x", {t.n_layer, d}, states.ffn_x);
  add("state_wkv", {t.n_layer, h, s, s}, states.wkv);
  add("state_aa", {t.n_layer, c.d_att}, states.aa);
  add("state_bb", {t.n_layer, c.d_att}, states.bb);
  add("state_pp", {t.n_layer, c.d_att}, states.pp);
  for (const auto& [name, values] : heads) add(name, {d}, values);
  write_safetensors(file, out, metadata);
}

// Which of the ids the task heads read.
EosRule eos_of(const Flags& flags, const Config& config) {
  EosRule rule;
  if (flags.eos) rule.id = parse_eos(*flags.eos);
  if (flags.eos && rule.id && *rule.id >= config.n_vocab)
    throw UsageError(
        concat("--eos: expected none or an id below ", config.n_vocab, ", got ", *flags.eos));
  rule.has_bos = parse_bos(flags.bos).has_value();
  return rule;
}

// Arrays are written as they are, to be compared. A message says where the first number is that is
// not finite.
void tell_nonfinite(const Trace& t) {
  const size_t width = t.d_model, rows = t.n_token;
  for (size_t layer = 0; layer <= t.n_layer; ++layer)
    for (size_t i = 0; i < rows; ++i) {
      const auto row = std::span<const float>(t.hidden).subspan((layer * rows + i) * width, width);
      if (all_finite(row)) continue;
      fmt::print(stderr, "fathom: not finite from token {} of layer {} on: {}\n", i + 1, layer,
                 blame_nonfinite(layer, ""));
      return;
    }
  if (!all_finite(t.final) || !all_finite(t.logits) || !all_finite(t.logits_last))
    fmt::print(stderr,
               "fathom: every block's output is finite, but not ln_out of it or the logits\n");
}

void run(const Flags& flags) {
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
  const HeadArrays heads = run_heads(open.model, t, ids, eos, open.work);
  write_trace(outputs.open(flags.output), t, heads, ids, config,
              {{"fathom", FATHOM_VERSION},
               {"command", command_line()},
               {"eos", eos.id ? std::to_string(*eos.id) : "none"},
               {"model", dump_json(describe(open.model))}});
  outputs.commit();
  tell_nonfinite(t);
  fmt::print(stderr, "{} tokens, {} layers -> {}{}\n", t.n_token, t.n_layer, flags.output,
             all ? "" : " (logits of the last token only; --all-logits for the rest)");
}

}  // namespace

void add_trace(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("trace", "all hidden states, states and logits of one sequence");
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
