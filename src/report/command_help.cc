// SPDX-License-Identifier: Apache-2.0
#include "report/command_help.h"

#include <fmt/format.h>

namespace fathom {
namespace {

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

// A description inside the brackets or after the colon of zsh's own little language.
std::string zsh_text(std::string text) {
  for (const char* special : {"\\", "[", "]", ":"})
    text = replaced(text, special, std::string("\\") + special);
  return text;
}

std::string zsh_function(const CommandHelp& c) {
  std::string lines;
  for (const CommandFlag& flag : c.flags)
    for (const std::string& s : flag.spellings)
      lines += " \\\n    " + quoted(fmt::format("*{}[{}]{}", s, zsh_text(flag.description),
                                                flag.takes_value ? ":value:_files" : ""));
  const std::string name = "_fathom" + replaced(c.path.empty() ? "" : "_" + c.path, " ", "_");
  if (c.below.empty())
    return fmt::format("{}() {{\n  _arguments -s{} \\\n    '*:file:_files'\n}}\n", name, lines);
  std::string words, calls;
  for (const CommandName& sub : c.below) {
    words +=
        fmt::format("      {}\n", quoted(zsh_text(sub.name) + ":" + zsh_text(sub.description)));
    calls += fmt::format("        {}) {}_{} ;;\n", sub.name, name, sub.name);
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

// Text for troff: no line of it is taken for a request, and what is typed stays what it is.
std::string troff(const std::string& text) {
  std::string out = replaced(text, "\\", "\\e");
  out = replaced(std::move(out), "-", "\\-");
  out = replaced(std::move(out), "\n.", "\n\\&.");
  out = replaced(std::move(out), "\n'", "\n\\&'");
  if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
  return out;
}

std::string manual_section(const CommandHelp& c) {
  std::string page = fmt::format(".SS fathom {}\n{}.\n", troff(c.path), troff(c.description));
  const auto item = [&page](const std::string& tag, const std::string& text) {
    page += fmt::format(".TP\n{}\n{}\n", tag, troff(text));
  };
  for (const CommandFlag& flag : c.flags) {
    if (flag.spellings.empty()) {
      item(fmt::format("\\fI{}\\fR", troff(flag.value)), flag.description);
      continue;
    }
    std::string tag = fmt::format("\\fB{}\\fR", troff(joined(flag.spellings, ", ")));
    if (flag.takes_value) tag += fmt::format(" \\fI{}\\fR", troff(flag.value));
    item(tag, flag.description);
  }
  if (!c.footer.empty()) page += fmt::format(".PP\n.nf\n{}\n.fi\n", troff(c.footer));
  return page;
}

}  // namespace

std::string bash_completion(const std::vector<CommandHelp>& commands) {
  std::string cases;
  for (const CommandHelp& c : commands) {
    std::vector<std::string> flags, with_value, names;
    for (const CommandFlag& flag : c.flags)
      for (const std::string& s : flag.spellings) {
        flags.push_back(s);
        if (flag.takes_value) with_value.push_back(s);
      }
    for (const CommandName& sub : c.below) names.push_back(sub.name);
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

std::string zsh_completion(const std::vector<CommandHelp>& commands) {
  std::string script = "#compdef fathom\n# zsh completion; made by `fathom completion zsh`\n";
  for (const CommandHelp& c : commands) script += zsh_function(c);
  return script + "_fathom \"$@\"\n";
}

std::string fish_completion(const std::vector<CommandHelp>& commands) {
  std::string script = "# fish completion of fathom; made by `fathom completion fish`\n";
  for (const CommandHelp& c : commands) {
    std::vector<std::string> names;
    for (const CommandName& sub : c.below) names.push_back(sub.name);
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
    for (const CommandName& sub : c.below)
      script += fmt::format("{} -f -a {} -d {}\n", begin, sub.name, quoted(sub.description));
    for (const CommandFlag& flag : c.flags) {
      if (flag.spellings.empty()) continue;
      std::string names_of_flag;
      for (const std::string& s : flag.spellings)
        names_of_flag += s.starts_with("--") ? " -l " + s.substr(2) : " -s " + s.substr(1);
      script += fmt::format("{}{}{} -d {}\n", begin, names_of_flag,
                            flag.takes_value ? " -r -F" : "", quoted(flag.description));
    }
  }
  return script;
}

std::string manual_page(const std::vector<CommandHelp>& commands, std::string_view version) {
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
      version, troff(commands.front().description));
  for (const CommandHelp& c : commands)
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
Computes as an older CPU would: sse4, avx2, avx_vnni, avx512, avx512_vnni or
avx512_bf16.
.SH EXIT STATUS
0; 1 for data that cannot be used, 2 for wrong usage, each with one line on standard error that names
the file, line or flag. Outputs appear whole or not at all.
)";
}

}  // namespace fathom
