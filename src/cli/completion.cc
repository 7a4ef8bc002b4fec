// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <iostream>
#include <memory>

#include "base/error.h"
#include "report/command_help.h"

namespace fathom::cli {
namespace {

CommandFlag command_flag(const CLI::Option& option) {
  CommandFlag flag;
  for (const std::string& name : option.get_snames()) flag.spellings.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) flag.spellings.push_back("--" + name);
  const std::string type = option.get_type_name(), preset = option.get_default_str();
  flag.takes_value = option.get_items_expected_max() > 0;
  flag.value = flag.spellings.empty() && type.empty() ? option.get_name() : type;
  if (!flag.spellings.empty() && !preset.empty()) flag.value += "=" + preset;
  flag.description = option.get_description();
  return flag;
}

// A command and those below it. Hidden ones are in no group.
void add_help(const CLI::App& app, const std::string& path, std::vector<CommandHelp>& out) {
  CommandHelp help{path, app.get_description(), app.get_footer(), {}, {}};
  for (const CLI::Option* option : app.get_options()) help.flags.push_back(command_flag(*option));
  const auto below = app.get_subcommands([](const CLI::App* c) { return !c->get_group().empty(); });
  for (const CLI::App* c : below) help.below.push_back({c->get_name(), c->get_description()});
  out.push_back(std::move(help));
  for (const CLI::App* c : below)
    add_help(*c, path.empty() ? c->get_name() : path + ' ' + c->get_name(), out);
}

std::vector<CommandHelp> help_of(const CLI::App& app) {
  std::vector<CommandHelp> all;
  add_help(app, "", all);
  return all;
}

std::string completion(const CLI::App& app, const std::string& shell) {
  if (shell == "bash") return bash_completion(help_of(app));
  if (shell == "zsh") return zsh_completion(help_of(app));
  if (shell == "fish") return fish_completion(help_of(app));
  throw UsageError(concat("completion: expected bash, zsh or fish, got '", shell, "'"));
}

}  // namespace

void add_completion(CLI::App& app) {
  CLI::App* command = app.add_subcommand("completion", "prints a completion script")->group("");
  auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash, zsh or fish")->required();
  command->callback([&app, shell] { std::cout << completion(app, *shell); });
  CLI::App* manual = app.add_subcommand("manual", "prints the manual page")->group("");
  manual->callback([&app] { std::cout << manual_page(help_of(app), FATHOM_VERSION); });
}

}  // namespace fathom::cli
