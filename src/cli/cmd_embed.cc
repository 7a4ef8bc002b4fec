// SPDX-License-Identifier: Apache-2.0
// fathom embed: sentences to vectors at any layers.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "base/error.h"
#include "base/output_set.h"
#include "cli/commands.h"
#include "cli/depth_flag.h"
#include "cli/flags.h"
#include "cli/progress.h"
#include "depth/mask.h"
#include "encode/describe.h"
#include "encode/embed_texts.h"
#include "encode/nonfinite.h"
#include "eval/cost.h"
#include "results/depth_log.h"
#include "results/embedding_file.h"
#include "study/data_notes.h"
#include "text/sentences.h"

namespace fathom::cli {
namespace {

struct Flags {
  ModelFlags model;
  EncodeFlags encode;
  DepthFlag depth;
  std::string input = "-", output, field, empty = "error", depth_log;
  bool allow_nonfinite = false;
};

Empty parse_empty(const std::string& text) {
  if (text == "error") return Empty::kError;
  if (text == "zero") return Empty::kZero;
  if (text == "skip") return Empty::kSkip;
  throw UsageError(concat("--empty: expected error, zero or skip, got '", text, "'"));
}

// Texts with vectors that are not finite: an error, or counted where they are asked for.
class NonFiniteTexts {
 public:
  NonFiniteTexts(const Encoder& encoder, bool allowed, TextPlace place)
      : encoder_(encoder), allowed_(allowed), place_(std::move(place)) {}

  void look(const EmbeddedBlock& block, Workspace& work) {
    if (all_finite(block.vectors)) return;
    if (n_ == 0) {
      const auto at = find_nonfinite(block.vectors, block.n_vector, block.size());
      first_ = concat(place_(block.begin + at->text), ": ",
                      explain_nonfinite(encoder_, block.ids, *at, work));
      if (!allowed_) throw Error(first_ + "; --allow-nonfinite writes it as it is");
    }
    for (size_t i = 0; i < block.size(); ++i) {
      bool is_finite = true;
      for (size_t v = 0; v < block.n_vector; ++v)
        is_finite = is_finite && all_finite(block.row(v, i));
      n_ += !is_finite;
    }
  }
  void tell_count(size_t n_text) const {
    if (n_ > 0)
      fmt::print(stderr, "fathom: {} of {} texts have a vector that is not finite; {}\n", n_,
                 n_text, first_);
  }

 private:
  const Encoder& encoder_;
  bool allowed_;
  TextPlace place_;
  size_t n_ = 0;
  std::string first_;
};

// A pair policy takes lines 2 i - 1 and 2 i together.
void check_pairs(const DepthPolicy& policy, const Sentences& sentences) {
  if (!policy.by_pair()) return;
  const bool has_gaps =
      !sentences.skipped.empty() ||
      std::ranges::any_of(sentences.texts, [](const auto& text) { return text.empty(); });
  FATHOM_REQUIRE(!has_gaps && sentences.texts.size() % 2 == 0, "--depth ", policy.name(),
                 ": decides about pairs of lines; expected an even number of them and none empty");
}

// FLOPs of the texts so far: under the policy, with all that it decides by, and at full depth.
struct PolicyFlops {
  double policy = 0, full = 0;

  void add(const Encoder& encoder, const EmbeddedBlock& block) {
    const CostModel cost = cost_model(encoder.model().config());
    const FixedDepth whole(cost.n_layer);
    DepthTrace all;
    all.exit_layer = all.n_time_mix = all.n_channel_mix = static_cast<uint32_t>(cost.n_layer);
    for (size_t i = 0; i < block.trace.size(); ++i) {
      const size_t n_token = scanned_tokens(block.ids[i].size(), encoder.options());
      policy += depth_flops(cost, *encoder.policy(), block.trace[i], n_token);
      full += depth_flops(cost, whole, all, n_token);
    }
  }
};

void tell_depth(const DepthPolicy& policy, std::span<const DepthTrace> trace, size_t n_layer,
                const PolicyFlops& flops) {
  const OrderedJson s = summarise(trace, n_layer);
  fmt::print(
      stderr,
      "{}: layer {:.2f} of {} on average, {:.1f} % of the half-blocks, {:.1f} % of the FLOPs "
      "of full depth\n",
      policy.name(), s["mean_exit_layer"].get<double>(), n_layer,
      100 * s["share_of_halves"].get<double>(),
      flops.full > 0 ? 100 * flops.policy / flops.full : 0);
}

// What the vectors were made of and how: the file beside them.
OrderedJson made_by(const Flags& flags, const OpenModel& open, const Encoder& encoder,
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

void run(const Flags& flags) {
  if (!flags.depth_log.empty() && flags.depth.is_full())
    throw UsageError("--depth-log: expected with another --depth than full");
  const Empty empty = parse_empty(flags.empty);
  OutputSet outputs;
  expect_embedding_file(outputs, flags.output);
  if (!flags.depth_log.empty()) outputs.expect(flags.depth_log);
  const Sentences sentences = read_sentences(flags.input, flags.field, empty, tell_user);
  OpenModel open = open_model(
      flags.model, [&](const Config& c) { return flags.depth.n_block(flags.encode, c); });
  const Tokenizer& tokenizer = require_tokenizer(open.vocabulary);
  const Config& config = open.model.config();
  EncodeOptions options = flags.encode.options(config);
  const DepthChoice depth = flags.depth.open(open.model, options);
  const Encoder encoder(open.model, options, depth.policy.get());
  if (depth.policy) check_pairs(*depth.policy, sentences);
  std::vector<DepthTrace> trace(depth.policy ? sentences.texts.size() : 0);
  EmbeddedTexts shape{{}, sentences.line, encoder.dim()};
  for (size_t layer : encoder.options().layers)
    shape.layers.push_back(layer_name(layer, config.n_layer));
  if (depth.policy) shape.layers = {layer_name(policy_layer(config.n_layer), config.n_layer)};
  const auto file = open_embedding_file(flags.output, std::move(shape),
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
      flops.add(encoder, block);
      std::ranges::copy(block.trace, trace.begin() + static_cast<std::ptrdiff_t>(block.begin));
      file->add(block.vectors, block.size());
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
  nonfinite.tell_count(sentences.texts.size());
  if (depth.policy) tell_depth(*depth.policy, trace, config.n_layer, flops);
  fmt::print(stderr,
             "{} texts, {} tokens, {:.2f} s ({:.0f} tokens/s) after {:.2f} s to open the "
             "model -> {}\n",
             sentences.texts.size(), stats.n_token, seconds,
             static_cast<double>(stats.n_token) / seconds, open.seconds, flags.output);
}

}  // namespace

void add_embed(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("embed", "sentences to vectors at any layers, in one pass");
  flags->model.add_to(*command);
  command
      ->add_option("-i,--input", flags->input,
                   "sentences, one a line, or JSON lines; .xz, .gz, .zst too")
      ->capture_default_str();
  command->add_option("-o,--output", flags->output, ".npy, .safetensors, .jsonl or .csv")
      ->required();
  command->add_option("--field", flags->field,
                      "input is JSON lines; their text field [text for *.jsonl]");
  command->add_flag("--allow-nonfinite", flags->allow_nonfinite,
                    "write vectors with NaN or infinity, null in .jsonl [an error]");
  command->add_option("--empty", flags->empty, "empty line: error, zero (vector) or skip")
      ->capture_default_str();
  flags->encode.add_to(*command);
  flags->depth.add_to(*command);
  command->add_option("--depth-log", flags->depth_log,
                      "CSV of what the policy did with each text: layer, halves, class, ...");
  command->footer(
      "Layers: 0 = after ln0, i = after block i, final = ln_out of the last block.\n"
      "Examples:\n"
      "  fathom embed v6-Finch-1B6-HF/ -i sentences.txt -o e.npy --layers 1,3,11 --normalize\n"
      "  fathom embed model.pth --vocab rwkv_vocab_v20230424.txt -i q.jsonl --field question "
      "-o e.jsonl\n"
      "  fathom embed rwkv0b1-emb-curriculum.pth -i docs.txt -o e.npy --head retr --normalize\n"
      "  fathom embed model/ -i s.txt -o e.npy --depth exit:sst2.policy --depth-log exits.csv\n"
      "  cat lines | fathom embed model/ -o e.safetensors --layers all --pool last --dtype bf16");
  command->callback([flags] { run(*flags); });
}

}  // namespace fathom::cli
