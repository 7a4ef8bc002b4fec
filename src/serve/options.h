// SPDX-License-Identifier: Apache-2.0
// Options of `fathom serve`. One table defines the flags, the environment variables (FATHOM_…) and
// the fields of --config.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fathom::serve {

using NamedText = std::pair<std::string, std::string>;

struct ServeOptions {
  std::vector<NamedText> models;  // name and path
  std::string host = "127.0.0.1";
  size_t port = 8080;  // 0: any that is free
  std::string unix_socket;
  // How models are opened, as `fathom embed` does.
  std::string dtype = "auto", vocab, backend, cache;
  size_t threads = 0;
  // The reading of requests that ask for none; "": what the model's folder recommends, else final.
  std::string layer, pooling, norm;
  std::vector<NamedText> policies, prompts;  // name and file; name and text
  std::string reranker;
  size_t batch_tokens = 1024, max_wait_ms = 0;
  size_t max_connections = 10240, max_queued_tokens = 1 << 20, max_request_bytes = 8 << 20,
         max_buffered_bytes = 64 << 20, max_client_batch = 2048, max_reply_values = 4 << 20;
  size_t header_seconds = 10, body_seconds = 60, idle_seconds = 75, write_seconds = 60,
         drain_seconds = 30;
  std::string api_key_file;
  std::vector<std::string> cors;  // origins, or "*"
  size_t workers = 2;             // threads that parse, tokenise and write JSON
  std::string log_format = "text", log_level = "info";
};

struct OptionInfo {
  enum class Kind { kText, kNumber, kList, kNamed };
  const char* name;  // as in ServeOptions; "models" are the command's words
  Kind kind;
  const char* help;
  std::string (*shown)(const ServeOptions&);             // the default, for --help; nullptr: none
  void (*set)(ServeOptions&, const std::string& value);  // lists: one more; throws InvalidOption

  bool is_list() const { return kind == Kind::kList || kind == Kind::kNamed; }
  std::string variable() const;  // FATHOM_BATCH_TOKENS
};
std::span<const OptionInfo> option_table();

// By OptionInfo::name.
using GivenOptions = std::map<std::string, std::vector<std::string>>;
using Environment = std::function<const char*(const char*)>;

// Flags before the environment (lists one item a line) before the file that `config` names, TOML or
// JSON (serve/config_file.h), before defaults. Throws InvalidOption; Error naming file and field.
ServeOptions read_options(const GivenOptions& flags, const Environment& environment);
// The same with the file's text, which errors call `file`.
ServeOptions read_options(const GivenOptions& flags, const Environment& environment,
                          std::string_view config, const std::string& file);

}  // namespace fathom::serve
