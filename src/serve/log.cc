// SPDX-License-Identifier: Apache-2.0
#include "serve/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "base/error.h"
#include "base/json.h"

namespace fathom::serve {
namespace {

// Written before the server has threads.
std::shared_ptr<spdlog::logger> logger;
bool as_json = false;

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      break;
  }
  return spdlog::level::err;
}

// Of JSON the pattern writes time and level, so that a line is one object.
void write_line(LogLevel level, const OrderedJson& fields, const std::string& text) {
  if (!logger || !logger->should_log(level_of(level))) return;
  logger->log(level_of(level), "{}", as_json ? dump_json(fields).substr(1) : text);
}

}  // namespace

void start_log(const std::string& format, const std::string& level) {
  logger =
      std::make_shared<spdlog::logger>("fathom", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  as_json = format == "json";
  logger->set_pattern(as_json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v)"
                              : "%Y-%m-%d %H:%M:%S.%e %l %v");
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::debug);
}

void log(LogLevel level, const std::string& message) {
  write_line(level, {{"message", message}}, message);
}

void log_request(const RequestLog& r) {
  const double ms = r.seconds * 1000;
  write_line(LogLevel::kInfo,
             {{"message", "request"},
              {"method", r.method},
              {"path", r.path},
              {"status", r.status},
              {"ms", ms},
              {"n_token", r.n_token}},
             concat(r.method, " ", r.path, " ", r.status, " ", ms, " ms, ", r.n_token, " tokens"));
}

}  // namespace fathom::serve
