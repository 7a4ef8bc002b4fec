// SPDX-License-Identifier: Apache-2.0
// fathom prune: which blocks, or halves of blocks, a model can do without; a mask: policy file.
#include <iostream>

#include "base/error.h"
#include "base/output_set.h"
#include "cli/commands.h"
#include "cli/mask_flags.h"
#include "cli/progress.h"
#include "results/prune_report.h"

namespace fathom::cli {
namespace {

struct Flags {
  MaskFlags mask;
  std::string method = "greedy", objective = "cosine", rows = "token";
};

// Throws UsageError.
PruneOptions options_of(const Flags& flags) {
  flags.mask.check();
  PruneOptions options{.size = flags.mask.size(),
                       .method = parse_prune_method(flags.method),
                       .reference = flags.mask.reference,
                       .seed = flags.mask.seed,
                       .command = command_line()};
  if (flags.rows != "token" && flags.rows != "pooled")
    throw UsageError(concat("--rows: expected token or pooled, got '", flags.rows, "'"));
  options.pooled_rows = flags.rows == "pooled";
  options.objective = parse_objective(flags.objective);
  return options;
}

void run(const Flags& flags) {
  const PruneOptions options = options_of(flags);
  OutputSet outputs;
  outputs.expect(flags.mask.output);
  const Listener listener = terminal_listener();
  OpenModel open = open_model(flags.mask.model);
  MaskCorpus corpus(open, flags.mask.encode.options(open.model.config()), flags.mask.sources(),
                    listener);
  const PruneResult result = prune(corpus, options);
  write_policy_file(outputs.open(flags.mask.output), result.file);
  outputs.commit();
  if (flags.mask.json)
    std::cout << dump_json(to_json(result, corpus, flags.mask.output), 2) << '\n';
  else
    std::cout << to_text(result, corpus, flags.mask.output);
}

}  // namespace

void add_prune(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("prune", "find blocks, or halves of them, that a model can do without");
  flags->mask.add_to(*command);
  command
      ->add_option("--method", flags->method,
                   "bi (Block Influence), angular (a contiguous range), greedy, cem "
                   "(cross-entropy), or random (a control)")
      ->capture_default_str();
  command
      ->add_option("--objective", flags->objective,
                   "cosine (with the reference), rsa (similarities as at the reference), or label "
                   "(Spearman of train pairs)")
      ->capture_default_str();
  command
      ->add_option("--rows", flags->rows,
                   "what bi compares: token rows or pooled vectors: token, "
                   "pooled")
      ->capture_default_str();
  command->footer(
      "Searches on some texts and tells for others what the mask loses, beside truncation and 20\n"
      "random masks of the same size.\n"
      "Examples:\n"
      "  fathom prune model/ --texts sentences.txt --keep 0.75 -o mask.policy\n"
      "  fathom prune model/ --tasks stsb --objective label --keep 0.5 -o stsb.policy\n"
      "  fathom prune model/ --texts s.txt --method bi --unit block --remove 4 -o bi.policy\n"
      "  fathom eval model/ --task stsb --depth mask:mask.policy");
  command->callback([flags, command] {
    flags->mask.make_own_task(*command);
    run(*flags);
  });
}

}  // namespace fathom::cli
