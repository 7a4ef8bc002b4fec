// SPDX-License-Identifier: Apache-2.0
// What --help says beside a command's own flags: why one uses it, where to read on, under which heading
// a flag stands; and the pages of `fathom help TOPIC`. Texts alone, no logic.
#pragma once

#include <string>
#include <string_view>

namespace fathom {

struct CommandText {
  std::string_view name;           // "embed"
  std::string_view why;            // one line: when to use it
  std::string_view more_examples;  // lines behind the command's own; "": none
  std::string_view see_also;       // commands and topics
};

// Of a command by its name; nullptr: there is none.
const CommandText* command_text(std::string_view name);

// The command that a mistyped word is nearest to, by at most two changes of a letter; "": none.
std::string_view nearest_command(std::string_view word);

// The heading of a flag in --help: "Model" for "--dtype"; "" if it has none of its own.
std::string_view flag_group(std::string_view flag);

bool is_flag_group(std::string_view title);

// The page of a topic: "layers", "depth", "formats"; "": no such topic.
std::string_view help_topic(std::string_view topic);

// "layers, depth, formats"
std::string help_topics();

}  // namespace fathom
