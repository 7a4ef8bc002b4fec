// SPDX-License-Identifier: Apache-2.0
// fathom embed: sentences to vectors at any layers.
#include <fmt/format.h>

#include "base/error.h"
#include "bulk/embed_job.h"
#include "cli/commands.h"
#include "cli/depth_flag.h"
#include "cli/flags.h"
#include "cli/numbers.h"
#include "cli/progress.h"
#include "results/depth_log.h"

namespace fathom::cli {
namespace {

struct EmbedFlags {
  ModelFlags model;
  EncodeFlags encode;
  DepthFlag depth;
  EmbedJobOptions job;
  std::string empty = "error", shard = "0/1", dtype = "f32", progress = "bar";
};

Empty parse_empty(const std::string& text) {
  if (text == "error") return Empty::kError;
  if (text == "zero") return Empty::kZero;
  if (text == "skip") return Empty::kSkip;
  throw UsageError(concat("--empty: expected error, zero or skip, got '", text, "'"));
}

EmbedJobOptions job_options(const EmbedFlags& flags) {
  EmbedJobOptions options = flags.job;
  options.empty = parse_empty(flags.empty);
  options.shard = parse_shard(flags.shard);
  options.dtype = parse_output_dtype(flags.dtype);
  options.command = command_line();
  if (!flags.encode.post.empty()) options.option_files.emplace_back(flags.encode.post);
  if (const auto file = flags.depth.file()) options.option_files.push_back(*file);
  return options;
}

void tell_result(const EmbedJobResult& r, const EmbedFlags& flags, const OpenModel& open,
                 const DepthChoice& depth) {
  if (r.was_finished)
    return tell_user(concat(flags.job.output, ": all ", r.n_text, " texts are there already"));
  if (!r.nonfinite.empty()) tell_user(r.nonfinite);
  if (r.exits)
    fmt::print(stderr, "{}\n{}\n",
               summary_of(*depth.policy, *r.exits, open.model.config().n_layer, r.flops),
               exits_of(*r.exits));
  fmt::print(stderr,
             "{} texts, {} tokens, {:.2f} s ({:.0f} tokens/s) after {:.2f} s to open the "
             "model, in {} -> {}{}\n",
             r.n_text - r.n_before, r.n_token, r.seconds,
             static_cast<double>(r.n_token) / r.seconds, open.seconds,
             name_of(open.model.compute()), flags.job.output,
             r.n_before > 0 ? fmt::format("; {} texts were there before", r.n_before) : "");
}

void run(const EmbedFlags& flags) {
  if (!flags.job.depth_log.empty() && flags.depth.is_full())
    throw UsageError("--depth-log: expected with another --depth than full");
  const JobProgress progress(flags.progress);
  EmbedJob job(job_options(flags), tell_user);
  OpenModel open = open_model(
      flags.model, [&](const Config& c) { return flags.depth.n_block(flags.encode, c); });
  require_tokenizer(open.vocabulary);
  EncodeOptions options = flags.encode.options(open.model.config());
  const DepthChoice depth = flags.depth.open(open.model, options);
  const EmbedJobResult result = [&] {
    const auto meter = progress.start(job.n_text());
    return job.run(open, options, depth, meter);
  }();
  tell_result(result, flags, open, depth);
}

// How the numbers are stored.
void add_numbers(CLI::App& command, EmbedFlags& flags) {
  command
      .add_option("--output-dtype", flags.dtype,
                  "f32, f16, bf16, int8 or ubinary (as sentence-transformers quantises)")
      ->capture_default_str();
  command
      .add_option("--calibration", flags.job.calibration,
                  "of int8: texts that give the ranges [the first 1024]")
      ->group("Output");
}

}  // namespace

void add_embed(CLI::App& app) {
  auto flags = std::make_shared<EmbedFlags>();
  CLI::App* command =
      app.add_subcommand("embed", "sentences to vectors at any layers, in one pass");
  flags->model.add_to(*command);
  EmbedJobOptions& job = flags->job;
  command
      ->add_option("-i,--input", job.inputs,
                   "sentences, one a line, or JSON lines, .csv, .tsv with a header; .xz, .gz, .zst "
                   "too; a folder or 'PATTERN*': all files; may be given again [-]")
      ->allow_extra_args(false);
  command->add_option("-o,--output", job.output, ".npy, .safetensors, .jsonl or .csv")->required();
  command->add_option("--field", job.fields.text,
                      "the texts' column of a table or field of JSON lines [text for *.jsonl]");
  command->add_option("--id-field", job.fields.id,
                      "write this column of the input, too, as id (.jsonl, .csv)");
  command->add_option("--label-field", job.fields.label, "the same, as label");
  command->add_flag("--with-text", job.with_text, "write the texts, too (.jsonl, .csv)");
  add_numbers(*command, *flags);
  command->add_option("--shard", flags->shard,
                      "I/N: only rows whose number is I modulo N, for N jobs side by side");
  command->add_flag("--resume", job.resume,
                    "keep what is done beside the output, and go on with it after a kill");
  command->add_option("--save-seconds", job.save_seconds, "of --resume: between two blocks [1]")
      ->transform(real_number({.at_least = 0}));
  command->add_option("--progress", flags->progress, "bar (on a terminal), json (lines) or none")
      ->capture_default_str();
  command->add_flag("--allow-nonfinite", job.allow_nonfinite,
                    "write vectors with NaN or infinity, null in .jsonl [an error]");
  command->add_option("--empty", flags->empty, "empty line: error, zero (vector) or skip")
      ->capture_default_str();
  flags->encode.add_to(*command);
  flags->depth.add_to(*command);
  command->add_option("--depth-log", job.depth_log,
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
      "  fathom embed model/ -i 'logs/*.jsonl.gz' -o e.npy --shard 3/8 --resume --output-dtype "
      "f16\n"
      "  cat lines | fathom embed model/ -o e.safetensors --layers all --pool last --dtype bf16");
  command->callback([flags, command] {
    std::string note;
    if (flags->depth.is_full()) note = flags->encode.recommend(*command, flags->model.model);
    run(*flags);
    if (!note.empty()) tell_user(note);
  });
}

}  // namespace fathom::cli
