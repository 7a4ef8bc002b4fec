// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <vector>

#include "base/error.h"

namespace fathom::cli {
namespace {

// One command as a user types it: "embed", or "policy show".
struct Command {
  std::string path;  // "" for the program itself
  const CLI::App* app;
};

void add_commands(const CLI::App& app, const std::string& path, std::vector<Command>& out) {
  out.push_back({path, &app});
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    if (!sub->get_group().empty())  // hidden ones have none
      add_commands(*sub, path.empty() ? sub->get_name() : path + ' ' + sub->get_name(), out);
}

// The program first, then its commands, each before its own.
std::vector<Command> commands_of(const CLI::App& program) {
  std::vector<Command> all;
  add_commands(program, "", all);
  return all;
}

// Its own commands that are shown.
std::vector<const CLI::App*> below(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* sub) { return !sub->get_group().empty(); });
}

std::vector<const CLI::Option*> flags_of(const CLI::App& app) {
  return app.get_options([](const CLI::Option* o) { return o->nonpositional(); });
}

bool takes_value(const CLI::Option& flag) { return flag.get_items_expected_max() > 0; }

std::vector<std::string> spellings(const CLI::Option& flag) {
  std::vector<std::string> all;
  for (const std::string& name : flag.get_snames()) all.push_back("-" + name);
  for (const std::string& name : flag.get_lnames()) all.push_back("--" + name);
  return all;
}

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  return fmt::format("{}", fmt::join(words, between));
}

// Text inside single quotes of a shell; fish takes the same.
std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}
std::string quoted(const std::string& text) { return "'" + replaced(text, "'", "'\\''") + "'"; }

// Words after a flag with a value, and all that is no flag, are left to the shell: files.
std::string bash_script(const std::vector<Command>& commands) {
  std::string cases;
  for (const Command& c : commands) {
    std::vector<std::string> flags, with_value, names;
    for (const CLI::Option* flag : flags_of(*c.app))
      for (const std::string& s : spellings(*flag)) {
        flags.push_back(s);
        if (takes_value(*flag)) with_value.push_back(s);
      }
    for (const CLI::App* sub : below(*c.app)) names.push_back(sub->get_name());
    cases += fmt::format("    {})\n      commands={}\n      flags={}\n      with_value={} ;;\n",
                         quoted(c.path), quoted(joined(names, " ")), quoted(joined(flags, " ")),
                         quoted(" " + joined(with_value, " ") + " "));
  }
  return fmt::format(R"(# bash completion of fathom; made by `fathom completion bash`
_fathom_command() {{
  case $1 in
{}    *) return 1 ;;
  esac
}}
_fathom() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}
  local command= commands= flags= with_value= i
  _fathom_command ''
  for ((i = 1; i < COMP_CWORD; ++i)); do
    [[ " $commands " == *" ${{COMP_WORDS[i]}} "* ]] || continue
    command=${{command:+$command }}${{COMP_WORDS[i]}}
    _fathom_command "$command"
  done
  COMPREPLY=()
  [[ $with_value != *" $before "* ]] || return 0
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$current")
  elif [[ -n $commands ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
  fi
}}
complete -o bashdefault -o default -F _fathom fathom
)",
                     cases);
}

// A description inside the brackets or after the colon of zsh's own little language.
std::string zsh_text(std::string text) {
  for (const char* special : {"\\", "[", "]", ":"})
    text = replaced(text, special, std::string("\\") + special);
  return text;
}

std::string zsh_function(const Command& c) {
  std::string lines;
  for (const CLI::Option* flag : flags_of(*c.app))
    for (const std::string& s : spellings(*flag))
      lines += " \\\n    " + quoted(fmt::format("*{}[{}]{}", s, zsh_text(flag->get_description()),
                                                takes_value(*flag) ? ":value:_files" : ""));
  const auto subs = below(*c.app);
  const std::string name = "_fathom" + replaced(c.path.empty() ? "" : "_" + c.path, " ", "_");
  if (subs.empty())
    return fmt::format("{}() {{\n  _arguments -s{} \\\n    '*:file:_files'\n}}\n", name, lines);
  std::string words, calls;
  for (const CLI::App* sub : subs) {
    words += fmt::format(
        "      {}\n", quoted(zsh_text(sub->get_name()) + ":" + zsh_text(sub->get_description())));
    calls += fmt::format("        {}) {}_{} ;;\n", sub->get_name(), name, sub->get_name());
  }
  return fmt::format(R"({}() {{
  local context state line
  typeset -A opt_args
  local -a commands
  _arguments -C{} \
    '1: :->command' '*:: :->rest'
  case $state in
    command)
      commands=(
{}      )
      _describe command commands ;;
    rest)
      case $line[1] in
{}      esac ;;
  esac
}}
)",
                     name, lines, words, calls);
}

std::string zsh_script(const std::vector<Command>& commands) {
  std::string script = "#compdef fathom\n# zsh completion; made by `fathom completion zsh`\n";
  for (const Command& c : commands) script += zsh_function(c);
  return script + "_fathom \"$@\"\n";
}

std::string fish_script(const std::vector<Command>& commands) {
  std::string script = "# fish completion of fathom; made by `fathom completion fish`\n";
  for (const Command& c : commands) {
    std::vector<std::string> names;
    for (const CLI::App* sub : below(*c.app)) names.push_back(sub->get_name());
    // All words of its path were typed, and none of a command below it.
    std::vector<std::string> conditions;
    std::string rest = c.path;
    while (!rest.empty()) {
      const size_t space = rest.find(' ');
      conditions.push_back("__fish_seen_subcommand_from " + rest.substr(0, space));
      rest = space == std::string::npos ? "" : rest.substr(space + 1);
    }
    if (!names.empty())
      conditions.push_back("not __fish_seen_subcommand_from " + joined(names, " "));
    const std::string begin =
        fmt::format("complete -c fathom -n {}", quoted(joined(conditions, "; and ")));
    for (const CLI::App* sub : below(*c.app))
      script += fmt::format("{} -f -a {} -d {}\n", begin, sub->get_name(),
                            quoted(sub->get_description()));
    for (const CLI::Option* flag : flags_of(*c.app)) {
      std::string names_of_flag;
      for (const std::string& s : flag->get_snames()) names_of_flag += " -s " + s;
      for (const std::string& l : flag->get_lnames()) names_of_flag += " -l " + l;
      script += fmt::format("{}{}{} -d {}\n", begin, names_of_flag,
                            takes_value(*flag) ? " -r -F" : "", quoted(flag->get_description()));
    }
  }
  return script;
}

// Text for troff: no line of it is taken for a request, and what is typed stays what it is.
std::string troff(const std::string& text) {
  std::string out = replaced(text, "\\", "\\e");
  out = replaced(std::move(out), "-", "\\-");
  out = replaced(std::move(out), "\n.", "\n\\&.");
  out = replaced(std::move(out), "\n'", "\n\\&'");
  if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
  return out;
}

std::string value_name(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::string preset = option.get_default_str();
  return type + (preset.empty() ? "" : "=" + preset);
}

std::string manual_section(const Command& c) {
  std::string page =
      fmt::format(".SS fathom {}\n{}.\n", troff(c.path), troff(c.app->get_description()));
  const auto item = [&page](const std::string& tag, const std::string& text) {
    page += fmt::format(".TP\n{}\n{}\n", tag, troff(text));
  };
  for (const CLI::Option* o : c.app->get_options()) {
    if (o->get_group().empty()) continue;
    if (!o->nonpositional()) {
      item(fmt::format("\\fI{}\\fR",
                       troff(o->get_type_name().empty() ? o->get_name() : o->get_type_name())),
           o->get_description());
      continue;
    }
    std::string tag = fmt::format("\\fB{}\\fR", troff(joined(spellings(*o), ", ")));
    if (takes_value(*o)) tag += fmt::format(" \\fI{}\\fR", troff(value_name(*o)));
    item(tag, o->get_description());
  }
  if (!c.app->get_footer().empty())
    page += fmt::format(".PP\n.nf\n{}\n.fi\n", troff(c.app->get_footer()));
  return page;
}

}  // namespace

std::string completion_script(const CLI::App& program, std::string_view shell) {
  const std::vector<Command> commands = commands_of(program);
  if (shell == "bash") return bash_script(commands);
  if (shell == "zsh") return zsh_script(commands);
  if (shell == "fish") return fish_script(commands);
  throw UsageError(concat("completion: expected bash, zsh or fish, got '", shell, "'"));
}

std::string manual_page(const CLI::App& program, std::string_view version) {
  std::string page = fmt::format(
      R"(.\" Made by `fathom manual`.
.TH FATHOM 1 "" "fathom {}" "User Commands"
.SH NAME
fathom \- RWKV sentence embeddings at any depth
.SH SYNOPSIS
.B fathom
.I COMMAND
[\fIARGUMENT\fR]...
.SH DESCRIPTION
{}
.SH COMMANDS
)",
      version, troff(program.get_description()));
  for (const Command& c : commands_of(program))
    if (!c.path.empty()) page += manual_section(c);
  return page + R"(.SH ENVIRONMENT
.TP
\fBFATHOM_VOCAB\fR
The vocabulary where none lies in or beside the model.
.TP
\fBFATHOM_BACKEND\fR
cpu or reference, where \fB\-\-backend\fR is not given.
.TP
\fBFATHOM_MAX_ISA\fR
Computes as an older CPU would: sse4, avx2, avx512, avx512_vnni or avx512_bf16.
.SH EXIT STATUS
0; 1 for data that cannot be used, 2 for wrong usage, each with one line on standard error that names
the file, line or flag. Outputs appear whole or not at all.
)";
}

void add_completion(CLI::App& app) {
  CLI::App* completion = app.add_subcommand("completion", "prints a completion script")->group("");
  auto shell = std::make_shared<std::string>();
  completion->add_option("shell", *shell, "bash, zsh or fish")->required();
  completion->callback([&app, shell] { std::cout << completion_script(app, *shell); });
  CLI::App* manual = app.add_subcommand("manual", "prints the manual page")->group("");
  manual->callback([&app] { std::cout << manual_page(app, FATHOM_VERSION); });
}

}  // namespace fathom::cli
