// SPDX-License-Identifier: Apache-2.0
// fathom serve: an embedding server.
#include <algorithm>
#include <cstdlib>
#include <map>

#include "base/error.h"
#include "cli/commands.h"
#include "serve/options.h"
#include "serve/serve.h"

namespace fathom::cli {

void add_serve(CLI::App& app) {
  auto given = std::make_shared<std::map<std::string, std::vector<std::string>>>();
  CLI::App* command =
      app.add_subcommand("serve", "an embedding server: OpenAI's and TEI's interfaces, any depth");
  for (const serve::OptionInfo& info : serve::option_table()) {
    const bool is_models = std::string_view(info.name) == "models";
    std::string flag = concat("--", info.name), help = info.help;
    std::ranges::replace(flag, '_', '-');
    if (info.shown) help += concat(" [", info.shown({}), "]");
    CLI::Option* option =
        command->add_option(is_models ? "models" : flag, (*given)[info.name], help);
    option->allow_extra_args(is_models);
    if (info.kind == serve::OptionInfo::Kind::kNumber) option->type_name("N");
    if (is_models) option->type_name("MODEL");
  }
  command->add_option(
      "--config", (*given)["config"],
      "TOML or JSON file of these options, with _ for -; flags and variables come first");
  command->footer(
      "Every option is also a variable: FATHOM_BATCH_TOKENS for --batch-tokens (lists: a line "
      "each).\n"
      "Examples:\n"
      "  fathom serve model/\n"
      "  fathom serve small=model/ large=other.pth --port 9000 --policy sst2=sst2.policy\n"
      "  fathom serve model/ --api-key-file keys.txt --host 0.0.0.0 --log-format json\n"
      "  curl -s localhost:8080/v1/embeddings -d '{\"input\": \"Hello\", \"layer\": 3}'");
  command->callback([given] {
    std::erase_if(*given, [](const auto& option) { return option.second.empty(); });
    const auto environment = [](const char* name) { return std::getenv(name); };
    serve::serve(serve::read_options(*given, environment));
  });
}

}  // namespace fathom::cli
