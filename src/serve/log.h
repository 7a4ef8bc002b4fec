// SPDX-License-Identifier: Apache-2.0
// The server's log: lines or JSON on standard error. It never contains bodies, keys or query
// strings. Any thread may call any function.
#pragma once

#include <string>

namespace fathom::serve {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// format: "text" or "json"; level: "debug", "info", "warning", "error". Before it, nothing is
// logged.
void start_log(const std::string& format, const std::string& level);
void log(LogLevel level, const std::string& message);

struct RequestLog {
  std::string method, path;
  unsigned status = 0;
  double seconds = 0;
  size_t n_token = 0;
};
void log_request(const RequestLog& request);

}  // namespace fathom::serve
