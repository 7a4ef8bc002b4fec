// SPDX-License-Identifier: Apache-2.0
// fathom info: what a checkpoint is, found from its tensors alone. Weights are read for one thing:
// to say which of them hold NaN or infinity.
#include <iostream>

#include "cli/commands.h"
#include "cli/flags.h"
#include "encode/recommended.h"
#include "encode/reranker.h"
#include "model/inspect.h"
#include "report/option_names.h"
#include "results/info_report.h"

namespace fathom::cli {
namespace {

struct InfoFlags {
  ModelFlags model;
  bool json = false, no_values = false;
};

void run(const InfoFlags& flags) {
  const Backend& backend = fathom::backend(flags.model.backend);
  ModelOptions options = flags.model.options();
  const Checkpoint checkpoint = Checkpoint::open(flags.model.model);
  const bool reranker = is_reranker(checkpoint);
  if (reranker) options.prefix = kRerankerPrefix;
  ModelInfo info;
  Config config;
  try {
    const Adapters adapters = Adapters::open(checkpoint, options);
    Names names(checkpoint, options.prefix, options.ignore_tensors);
    adapters.merge_into(names);
    config = inspect(names, checkpoint, options, info);
    account_for_changes(names, checkpoint, adapters, options, info);
    if (reranker) account_for_reranker(checkpoint, info);
  } catch (const Error& e) {
    throw Error(concat(flags.model.model, ": ", e.what()));
  }
  const Vocabulary vocabulary =  // a reranker has one token of its own and reads no text
      reranker ? Vocabulary()
               : find_vocabulary(checkpoint, config.n_vocab, flags.model.vocab_path());
  OrderedJson j = info_json(checkpoint, config, info, vocabulary, backend, options);
  ThreadPool pool(flags.model.n_thread());
  j["nonfinite"] = flags.no_values ? OrderedJson(nullptr) : nonfinite_json(checkpoint, pool);
  for (OrderedJson& note : j["notes"]) note = with_flags(note.get<std::string>());
  if (j.contains("refused")) j["refused"] = with_flags(j["refused"].get<std::string>());
  if (const auto reading = recommended_reading(flags.model.model))
    j["recommended"] = {{"layers", reading->layers},
                        {"pool", reading->pool},
                        {"norm", reading->norm},
                        {"file", reading->file},
                        {"why", reading->why}};
  if (flags.json)
    std::cout << dump_json(j, 2) << '\n';
  else
    std::cout << with_flags(info_text(j));
}

}  // namespace

void add_info(CLI::App& app) {
  auto flags = std::make_shared<InfoFlags>();
  CLI::App* command = app.add_subcommand("info", "what a model is, detected from its tensors");
  flags->model.add_to(*command);
  command->add_flag("--json", flags->json, "machine-readable");
  command->add_flag("--no-values", flags->no_values,
                    "do not read the weights to look for NaN and infinity among them");
  command->footer(
      "Examples:\n"
      "  fathom info v6-Finch-1B6-HF/\n"
      "  fathom info RWKV-x060-World-1B6.pth --json");
  command->callback([flags] { run(*flags); });
}

}  // namespace fathom::cli
