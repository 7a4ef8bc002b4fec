// SPDX-License-Identifier: Apache-2.0
#include "cli/help.h"

#include <iostream>

#include "base/error.h"
#include "report/help_texts.h"

namespace fathom::cli {
namespace {

class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_description(const CLI::App* app) const override {
    const CommandText* text = command_text(app->get_name());
    return CLI::Formatter::make_description(app) + (text ? concat(text->why, "\n") : "");
  }
};

std::string page_of(const CLI::App& app, const std::string& topic) {
  if (topic.empty()) return app.help();  // of the command help itself, which lists the topics
  if (const std::string_view page = help_topic(topic); !page.empty()) return std::string(page);
  for (const CLI::App* c : app.get_subcommands([](const CLI::App*) { return true; }))
    if (c->check_name(topic)) return c->help("fathom");
  throw UsageError(
      concat("help: expected ", help_topics(), " or a command, got '", topic, "' (see --help)"));
}

}  // namespace

std::shared_ptr<CLI::Formatter> help_formatter() { return std::make_shared<HelpFormatter>(); }

void add_help(CLI::App& app) {
  auto topic = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("help", "a page on " + help_topics() + ", or a command");
  command->add_option("topic", *topic, help_topics() + ", or a command")->type_name("TOPIC");
  command->footer(
      "Examples:\n  fathom help layers\n  fathom help depth\n  fathom help formats\n"
      "  fathom help embed");
  command->callback([&app, topic] { std::cout << page_of(app, *topic); });
}

std::string unknown_command(const std::string& word) {
  const std::string_view meant = nearest_command(word);
  return concat("unknown command '", word, "'",
                meant.empty() ? std::string() : concat(": perhaps ", meant), " (see --help)");
}

void finish_help(CLI::App& app) {
  for (CLI::App* c : app.get_subcommands([](CLI::App* a) { return !a->get_group().empty(); })) {
    for (CLI::Option* option : c->get_options([](CLI::Option*) { return true; }))
      for (const std::string& name : option->get_lnames())
        if (const auto group = flag_group("--" + name);
            !group.empty() && !is_flag_group(option->get_group()))  // the command knows better
          option->group(std::string(group));
    finish_help(*c);
    const CommandText* text = command_text(c->get_name());
    if (text == nullptr) continue;
    std::string footer = c->get_footer();
    if (!text->more_examples.empty()) footer += concat("\n", text->more_examples);
    c->footer(concat(footer, "\nSee also: ", text->see_also));
  }
}

}  // namespace fathom::cli
