// SPDX-License-Identifier: Apache-2.0
// The server's options from any bytes: the text of a --config file in JSON, or the values of the
// environment, one a line. The first byte chooses. What is taken keeps every limit within its bounds.
// TOML is left out: that parser is a library's, and the file is the operator's own.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/error.h"
#include "serve/options.h"

namespace {

using fathom::serve::ServeOptions;

void check(const ServeOptions& o) {
  FATHOM_ASSERT(!o.models.empty() && o.port <= 65535);
  FATHOM_ASSERT(o.batch_tokens >= 16 && o.batch_tokens <= 1 << 20 && o.max_wait_ms <= 60000);
  for (size_t limit :
       {o.max_connections, o.max_queued_tokens, o.max_client_batch, o.max_reply_values,
        o.header_seconds, o.body_seconds, o.idle_seconds, o.write_seconds, o.workers})
    FATHOM_ASSERT(limit >= 1);
  // Sums of two of these must not run over.
  for (size_t limit : {o.max_request_bytes, o.max_buffered_bytes})
    FATHOM_ASSERT(limit >= 1024 && limit <= SIZE_MAX / 2);
  for (const auto* all : {&o.models, &o.policies, &o.prompts})
    for (const auto& [name, value] : *all) FATHOM_ASSERT(!name.empty() && !value.empty());
}

// The variables of all options, in the order of the table, a line each.
ServeOptions of_lines(std::string_view text) {
  std::map<std::string, std::string> values;
  for (const auto& info : fathom::serve::option_table()) {
    values[info.variable()] = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), values[info.variable()].size() + 1));
  }
  return fathom::serve::read_options(
      {{"models", {"m"}}},
      [&](const char* name) -> const char* {
        const auto at = values.find(name);
        return at == values.end() ? nullptr : at->second.c_str();
      },
      "", "");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto nothing = [](const char*) -> const char* { return nullptr; };
  try {
    check(data[0] % 3 == 2 ? of_lines(text)
                           : fathom::serve::read_options({}, nothing, text, "c.json"));
  } catch (const fathom::Error& e) {
    FATHOM_ASSERT(*e.what() != '\0');
  }
  return 0;
}
