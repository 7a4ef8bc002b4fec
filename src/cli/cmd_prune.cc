// SPDX-License-Identifier: Apache-2.0
// fathom prune: which blocks, or sublayers, a model can do without; a mask: policy file.
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>

#include "base/error.h"
#include "base/output_set.h"
#include "cli/commands.h"
#include "cli/mask_flags.h"
#include "cli/progress.h"
#include "results/prune_report.h"

namespace fathom::cli {
namespace {

struct PruneFlags {
  MaskFlags mask;
  std::string method = "greedy", objective = "cosine", rows = "token";
  std::string heal, healed, mask_file;
};

// Throws UsageError.
PruneOptions options_of(const PruneFlags& flags) {
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
  if (!flags.heal.empty() && flags.healed.empty())
    throw UsageError("--heal: needs --healed DIR, which the command fills");
  if (!flags.mask_file.empty() && flags.healed.empty())
    throw UsageError("--mask: needs --healed DIR, the model that was tuned with it");
  if (!flags.healed.empty() && flags.mask.tasks.size() != 1)
    throw UsageError("--healed: needs --tasks with the one task that the model is tuned for");
  if (flags.objective == "task" && flags.mask.tasks.size() != 1)
    throw UsageError("--objective task: needs --tasks with one task");
  return options;
}

// {mask} and {folder} of the command become the mask file and the folder to fill.
std::string filled(std::string command, const PruneFlags& flags) {
  for (const auto& [mark, value] :
       {std::pair<std::string, std::string>{"{mask}", flags.mask.output},
        {"{folder}", flags.healed}})
    for (size_t at = 0; (at = command.find(mark, at)) != command.npos;) {
      const std::string text = shell_quoted(value);
      command.replace(at, mark.size(), text);
      at += text.size();
    }
  return command;
}

// What the command prints goes to standard error: standard output is the report's.
void run_tuning(const PruneFlags& flags) {
  const std::string command = "( " + filled(flags.heal, flags) + " ) 1>&2";
  std::cout << std::flush;
  const int status = std::system(command.c_str());
  FATHOM_REQUIRE(status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0, "--heal: '",
                 flags.heal, "' ended with ", WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                 ": expected 0, and a model in ", flags.healed);
}

// The tuned model comes back. Its mask is written beside it unless the tuning wrote one.
HealedFigures take_back(const PruneFlags& flags, const BlockMask& mask, OrderedJson from,
                        MaskCorpus& corpus) {
  const std::filesystem::path folder = flags.healed;
  ModelFlags tuned = flags.mask.model;
  tuned.model = healed_model(folder).string();
  OpenModel healed = open_model(tuned);
  HealedFigures figures = judge_healed(corpus, mask, healed);
  if (const auto beside = folder / "mask.policy"; !std::filesystem::exists(beside))
    write_policy_file(beside, healed_file(corpus, mask, healed, figures, std::move(from)));
  return figures;
}

// The mask of a file, and the model that was tuned with it.
void run_healed(const PruneFlags& flags) {
  OpenModel open = open_model(flags.mask.model);
  const PolicyFile file = read_policy_file(flags.mask_file);
  FATHOM_REQUIRE(file.kind() == "mask", flags.mask_file, ": expected a mask, got a policy of kind ",
                 file.kind());
  require_model(file, open.model, flags.mask_file);
  const auto& mask = std::get<BlockMask>(file.rule);
  EncodeOptions how = flags.mask.encode.options(open.model.config());
  how.pool_as(file.reading);
  OutputSet outputs;
  outputs.expect(flags.mask.output);
  MaskCorpus corpus(open, how, flags.mask.sources(), terminal_listener());
  ModelFlags tuned = flags.mask.model;
  tuned.model = healed_model(flags.healed).string();
  OpenModel healed = open_model(tuned);
  const HealedFigures figures = judge_healed(corpus, mask, healed);
  write_policy_file(outputs.open(flags.mask.output),
                    healed_file(corpus, mask, healed, figures, file.fitted));
  outputs.commit();
  if (flags.mask.json)
    std::cout << dump_json(to_json(figures), 2) << '\n';
  else
    std::cout << to_text(figures) << flags.mask.output << ": " << pattern_of(mask) << '\n'
              << to_text(closing_of(figures, mask, flops_share(corpus.cost(), mask),
                                    {tuned.model, flags.mask.output}));
}

void run(const PruneFlags& flags) {
  const PruneOptions options = options_of(flags);
  if (!flags.mask_file.empty()) return run_healed(flags);
  OutputSet outputs;
  outputs.expect(flags.mask.output);
  const Listener listener = terminal_listener();
  OpenModel open = open_model(flags.mask.model);
  MaskCorpus corpus(open, flags.mask.encode.options(open.model.config()), flags.mask.sources(),
                    listener);
  const PruneResult result = prune(corpus, options);
  write_policy_file(outputs.open(flags.mask.output), result.file);
  outputs.commit();
  std::optional<HealedFigures> healed;
  if (!flags.healed.empty()) {
    if (!flags.heal.empty()) run_tuning(flags);
    healed = take_back(flags, result.search.mask, result.file.fitted, corpus);
  }
  if (flags.mask.json) {
    OrderedJson j = to_json(result, corpus, flags.mask.output);
    j["closing"] = to_json(closing_of(result, corpus, flags.mask.places()));
    if (healed) j["healed"] = to_json(*healed);
    std::cout << dump_json(j, 2) << '\n';
  } else {
    std::cout << to_text(result, corpus, flags.mask.output) << (healed ? to_text(*healed) : "")
              << to_text(closing_of(result, corpus, flags.mask.places()));
  }
}

void add_healing_flags(CLI::App& command, PruneFlags& flags) {
  command.add_option("--heal", flags.heal,
                     "shell command that tunes the model under the mask: {mask} is the file, "
                     "{folder} that of --healed");
  command.add_option(
      "--healed", flags.healed,
      "folder with the tuned model, or with model/ in it: evaluated under the mask on "
      "the split that the task is reported on");
  command.add_option("--mask", flags.mask_file,
                     "do not search: the mask file that --healed was tuned with");
}

}  // namespace

void add_prune(CLI::App& app) {
  auto flags = std::make_shared<PruneFlags>();
  CLI::App* command =
      app.add_subcommand("prune", "find blocks, or sublayers, that a model can do without");
  flags->mask.add_to(*command);
  command
      ->add_option("--method", flags->method,
                   "bi (Block Influence), angular (a contiguous range), greedy, cem "
                   "(cross-entropy), or random (a control)")
      ->capture_default_str();
  command
      ->add_option("--objective", flags->objective,
                   "cosine (with the reference), rsa (similarities as at the reference), label "
                   "(Spearman of train pairs), or task (the loss of heads on train rows)")
      ->capture_default_str();
  command
      ->add_option("--rows", flags->rows,
                   "what bi compares: token rows or pooled vectors: token, "
                   "pooled")
      ->capture_default_str();
  add_healing_flags(*command, *flags);
  command->footer(
      "Searches on some texts and tells for others what the mask loses, beside truncation and 20\n"
      "random masks of the same size. With --heal the mask goes out to be tuned with, and the\n"
      "tuned model is evaluated; --mask evaluates one that was tuned elsewhere.\n"
      "Examples:\n"
      "  fathom prune model/ --texts sentences.txt --keep 0.75 -o mask.policy\n"
      "  fathom prune model/ --tasks stsb --objective label --keep 0.5 -o stsb.policy\n"
      "  fathom prune model/ --tasks trec --objective task --keep 0.5 --norm ln_out -o m.policy\n"
      "  fathom prune model/ --tasks trec --mask m.policy --healed tuned/ -o tuned.policy\n"
      "  fathom prune model/ --texts s.txt --method bi --unit block --remove 4 -o bi.policy\n"
      "  fathom eval model/ --task stsb --depth mask:mask.policy");
  command->callback([flags, command] {
    flags->mask.searches = flags->mask_file.empty();
    flags->mask.make_own_task(*command);
    run(*flags);
  });
}

}  // namespace fathom::cli
