// SPDX-License-Identifier: Apache-2.0
#include "serve/options.h"

#include <algorithm>
#include <filesystem>
#include <limits>

#include "base/invalid_option.h"
#include "base/parse_whole.h"
#include "serve/config_file.h"
#include "text/text_file.h"

namespace fathom::serve {
namespace {

using Kind = OptionInfo::Kind;

template <auto member>
std::string shown(const ServeOptions& o) {
  if constexpr (requires { std::to_string(o.*member); })
    return std::to_string(o.*member);
  else
    return o.*member;
}

template <auto member>
void set_text(ServeOptions& o, const std::string& value) {
  o.*member = value;
}

template <auto member, size_t low, size_t high>
void set_number(ServeOptions& o, const std::string& value) {
  const std::optional<uint64_t> number = parse_whole(value);
  if (!number || *number < low || *number > high)
    throw InvalidOption("", concat("a whole number from ", low, " to ", high),
                        concat("'", value, "'"));
  o.*member = *number;
}

void add_named(std::vector<NamedText>& all, const std::string& value, const char* what) {
  const size_t at = value.find('=');
  if (at == std::string::npos || at == 0 || at + 1 == value.size())
    throw InvalidOption("", what, concat("'", value, "'"));
  const std::string name = value.substr(0, at);
  if (std::ranges::find(all, name, &NamedText::first) != all.end())
    throw InvalidOption("", concat("each name once"), concat("'", name, "' again"));
  all.emplace_back(name, value.substr(at + 1));
}

// PATH, called by its last part, or NAME=PATH.
void add_model(ServeOptions& o, const std::string& value) {
  if (value.find('=') != std::string::npos)
    return add_named(o.models, value, "MODEL or NAME=MODEL");
  std::filesystem::path path = value;
  if (!path.has_filename()) path = path.parent_path();
  const std::string name = path.filename().string();
  if (name.empty()) throw InvalidOption("", "MODEL or NAME=MODEL", concat("'", value, "'"));
  add_named(o.models, concat(name, "=", value), "MODEL or NAME=MODEL");
}

void add_policy(ServeOptions& o, const std::string& value) {
  add_named(o.policies, value, "NAME=POLICY, a value of --depth");
}
void add_prompt(ServeOptions& o, const std::string& value) {
  add_named(o.prompts, value, "NAME=TEXT");
}
void add_origin(ServeOptions& o, const std::string& value) {
  if (value != "*" && value.find("://") == std::string::npos)
    throw InvalidOption("", "* or an origin such as https://example.org", concat("'", value, "'"));
  o.cors.push_back(value);
}

template <auto member>
void set_one_of(ServeOptions& o, const std::string& value, const char* expected,
                std::initializer_list<const char*> all) {
  if (std::ranges::find(all, value) == all.end())
    throw InvalidOption("", expected, concat("'", value, "'"));
  o.*member = value;
}
void set_log_format(ServeOptions& o, const std::string& value) {
  set_one_of<&ServeOptions::log_format>(o, value, "text or json", {"text", "json"});
}
void set_log_level(ServeOptions& o, const std::string& value) {
  set_one_of<&ServeOptions::log_level>(o, value, "debug, info, warning or error",
                                       {"debug", "info", "warning", "error"});
}

template <auto member, size_t low, size_t high>
constexpr OptionInfo number(const char* name, const char* help) {
  return {name, Kind::kNumber, help, shown<member>, set_number<member, low, high>};
}
template <auto member>
constexpr OptionInfo text(const char* name, const char* help) {
  return {name, Kind::kText, help, nullptr, set_text<member>};
}

using O = ServeOptions;
constexpr size_t kMany = std::numeric_limits<size_t>::max() / 2, kSeconds = 86400;
constexpr OptionInfo kTable[] = {
    {"models", Kind::kNamed, "what to serve; MODEL is called by its last part", nullptr, add_model},
    {"host", Kind::kText, "address to listen at", shown<&O::host>, set_text<&O::host>},
    number<&O::port, 0, 65535>("port", "port to listen at; 0: any that is free"),
    text<&O::unix_socket>("unix_socket", "listen at this socket file instead of host and port"),
    {"dtype", Kind::kText, "products in f32, bf16, int8 or auto", shown<&O::dtype>,
     set_text<&O::dtype>},
    text<&O::vocab>("vocab", "vocabulary [beside the model, else $FATHOM_VOCAB]"),
    text<&O::backend>("backend", "cpu or reference [$FATHOM_BACKEND, else cpu]"),
    text<&O::cache>("cache", "folder that keeps packed weights, for the next start"),
    {"threads", Kind::kNumber, "threads of the engine [all that the process may use]", nullptr,
     set_number<&O::threads, 1, 1024>},
    text<&O::layer>("layer", "layer of requests that name none [recommended, else final]"),
    text<&O::pooling>("pooling", "pooling of requests that name none [recommended, else mean]"),
    text<&O::norm>("norm", "norm of requests that name none [recommended, else none]"),
    {"policy", Kind::kNamed, "depth policy that requests may name, NAME=FILE or NAME=fixed:L",
     nullptr, add_policy},
    {"prompt", Kind::kNamed, "text in front of inputs of requests with prompt_name, NAME=TEXT",
     nullptr, add_prompt},
    text<&O::reranker>("reranker", "EmbeddingRWKV's reranker for /rerank [cosines]"),
    number<&O::batch_tokens, 16, 1 << 20>("batch_tokens", "tokens in one packed batch"),
    number<&O::max_wait_ms, 0, 60000>("max_wait", "milliseconds that a batch waits to fill"),
    number<&O::max_connections, 1, 1 << 20>("max_connections", "open connections"),
    number<&O::max_queued_tokens, 1, kMany>("max_queued_tokens", "tokens that wait or run"),
    number<&O::max_request_bytes, 1024, kMany>("max_request_bytes", "bytes of one body"),
    number<&O::max_buffered_bytes, 1024, kMany>("max_buffered_bytes",
                                                "bytes of all bodies that are held at once"),
    number<&O::max_client_batch, 1, 1 << 20>("max_client_batch", "texts in one request"),
    number<&O::max_reply_values, 1, kMany>("max_reply_values", "numbers in one reply"),
    number<&O::header_seconds, 1, kSeconds>("header_seconds", "for a request's header to come"),
    number<&O::body_seconds, 1, kSeconds>("body_seconds", "for its body to come"),
    number<&O::idle_seconds, 1, kSeconds>("idle_seconds", "between requests of a connection"),
    number<&O::write_seconds, 1, kSeconds>("write_seconds", "for a reply to be taken"),
    number<&O::drain_seconds, 0, kSeconds>("drain_seconds",
                                           "after SIGTERM, to answer what is in flight"),
    text<&O::api_key_file>("api_key_file", "keys, one a line; read again on SIGHUP [no keys]"),
    {"cors", Kind::kList, "origin that browsers may call from, or *; may be given again", nullptr,
     add_origin},
    number<&O::workers, 1, 64>("workers", "threads that parse, tokenise and write JSON"),
    {"log_format", Kind::kText, "text or json", shown<&O::log_format>, set_log_format},
    {"log_level", Kind::kText, "debug, info, warning or error", shown<&O::log_level>,
     set_log_level},
};

// The error of a value, by the name of its option and where it came from.
void set_from(ServeOptions& o, const OptionInfo& info, const std::string& value,
              const std::string& source) {
  try {
    info.set(o, value);
  } catch (const InvalidOption& e) {
    throw InvalidOption(info.name, e.expected(), concat(e.got(), source));
  }
}

// A field of the file as the texts that a flag would be given.
std::vector<std::string> texts_of(const OrderedJson& value, const OptionInfo& info,
                                  const std::string& where) {
  const auto one = [&](const OrderedJson& v) -> std::string {
    if (v.is_string()) return v.get<std::string>();
    if (v.is_number_unsigned() && info.kind == Kind::kNumber) return dump_json(v);
    throw Error(concat(where, ": ", info.name, ": expected ",
                       info.kind == Kind::kNumber ? "a whole number" : "a text", ", got ",
                       dump_json(v)));
  };
  std::vector<std::string> texts;
  if (value.is_object() && info.kind == Kind::kNamed) {
    for (const auto& [name, v] : value.items()) texts.push_back(concat(name, "=", one(v)));
  } else if (value.is_array() && info.is_list()) {
    for (const OrderedJson& v : value) texts.push_back(one(v));
  } else {
    texts.push_back(one(value));
  }
  return texts;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::string_view line : split_lines(text))
    if (!line.empty()) lines.emplace_back(line);
  return lines;
}

OrderedJson read_config(std::string_view text, const std::string& file) {
  OrderedJson j = parse_config(text, file);
  for (const auto& [name, value] : j.items())
    FATHOM_REQUIRE(std::ranges::find(kTable, name, &OptionInfo::name) != std::end(kTable), file,
                   ": ", name, ": there is no such option (fathom serve --help)");
  return j;
}

}  // namespace

std::string OptionInfo::variable() const {
  std::string out = "FATHOM_";
  for (const char* c = name; *c; ++c) out += static_cast<char>(*c == '_' ? '_' : *c - 'a' + 'A');
  return out;
}

std::span<const OptionInfo> option_table() { return kTable; }

ServeOptions read_options(const GivenOptions& flags, const Environment& environment) {
  const auto given = flags.find("config");
  const char* named = environment("FATHOM_CONFIG");
  const std::string file = given != flags.end() ? given->second.back() : named ? named : "";
  return read_options(flags, environment, file.empty() ? "" : read_text_file(file), file);
}

ServeOptions read_options(const GivenOptions& flags, const Environment& environment,
                          std::string_view text, const std::string& file) {
  const OrderedJson config = read_config(text, file);
  ServeOptions o;
  for (const OptionInfo& info : kTable) {
    std::vector<std::string> values;
    std::string source;
    if (const auto at = flags.find(info.name); at != flags.end()) {
      values = at->second;
    } else if (const char* set = environment(info.variable().c_str()); set && *set) {
      values = info.is_list() ? lines_of(set) : std::vector<std::string>{set};
      source = concat(" in $", info.variable());
    } else if (const auto at = config.find(info.name); at != config.end()) {
      values = texts_of(*at, info, file);
      source = concat(" in ", file);
    }
    for (const std::string& value : values) set_from(o, info, value, source);
  }
  if (o.models.empty()) throw UsageError("serve: expected at least one MODEL, got none");
  return o;
}

}  // namespace fathom::serve
