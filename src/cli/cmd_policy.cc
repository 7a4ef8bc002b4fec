// SPDX-License-Identifier: Apache-2.0
// fathom policy: what a policy file does, in words.
#include <iostream>

#include "cli/commands.h"
#include "results/policy_report.h"

namespace fathom::cli {
namespace {

struct PolicyFlags {
  std::string file;
  bool json = false;
};

void run(const PolicyFlags& flags) {
  const PolicyFile file = read_policy_file(flags.file);
  if (flags.json) {
    std::cout << dump_json(to_json(file), 2) << '\n';
    return;
  }
  std::cout << to_text(file);
}

}  // namespace

void add_policy(CLI::App& app) {
  auto flags = std::make_shared<PolicyFlags>();
  CLI::App* command = app.add_subcommand("policy", "what a policy file of --depth does");
  command->require_subcommand(1);
  CLI::App* show = command->add_subcommand("show", "explain a file in words and a table");
  show->add_option("file", flags->file, "a policy file")->required()->type_name("FILE");
  show->add_flag("--json", flags->json, "machine-readable");
  show->footer(
      "Examples:\n"
      "  fathom policy show mrpc-exit.safetensors\n"
      "  fathom policy show pruned.json --json");
  show->callback([flags] { run(*flags); });
  command->footer("Example:\n  fathom policy show mrpc-exit.safetensors");
}

}  // namespace fathom::cli
