// SPDX-License-Identifier: Apache-2.0
#include "serve/reply.h"

#include <bit>
#include <charconv>

#include "base/json.h"

namespace fathom::serve {
namespace {

struct FaultRow {
  Fault fault;
  unsigned openai, tei;
  const char* type;        // OpenAI's
  const char* code;        // OpenAI's; "": null
  const char* error_type;  // TEI's
};
constexpr const char* kCaller = "invalid_request_error";
constexpr FaultRow kFaults[] = {
    {Fault::kMalformed, 400, 400, kCaller, "", "Validation"},
    {Fault::kInvalid, 400, 422, kCaller, "", "Validation"},
    {Fault::kUnprocessable, 422, 422, kCaller, "", "Tokenizer"},
    {Fault::kTooLarge, 413, 413, kCaller, "", "Validation"},
    {Fault::kUnauthorized, 401, 401, kCaller, "invalid_api_key", "Validation"},
    {Fault::kNotFound, 404, 404, kCaller, "", "Validation"},
    {Fault::kNoModel, 404, 404, kCaller, "model_not_found", "Validation"},
    {Fault::kMethod, 405, 405, kCaller, "", "Validation"},
    {Fault::kTimeout, 408, 408, kCaller, "", "Validation"},
    {Fault::kEncoding, 415, 415, kCaller, "", "Validation"},
    {Fault::kBackend, 424, 424, "server_error", "", "Backend"},
    {Fault::kOverloaded, 429, 429, "rate_limit_error", "rate_limit_exceeded", "Overloaded"},
    {Fault::kHeader, 431, 431, kCaller, "", "Validation"},
    {Fault::kBug, 500, 500, "server_error", "", "Backend"},
    {Fault::kNotReady, 503, 503, "server_error", "not_ready", "Unhealthy"},
};

const FaultRow& row_of(Fault fault) {
  for (const FaultRow& row : kFaults)
    if (row.fault == fault) return row;
  FATHOM_ASSERT(!"unknown Fault");
}

}  // namespace

unsigned status_of(Family family, Fault fault) {
  const FaultRow& row = row_of(fault);
  return family == Family::kOpenAi ? row.openai : row.tei;
}

Reply error_reply(Family family, const RequestError& error) {
  const FaultRow& row = row_of(error.fault());
  OrderedJson j;
  if (family == Family::kOpenAi) {
    OrderedJson& e = j["error"];
    e["message"] = error.what();
    e["type"] = row.type;
    e["param"] = error.param().empty() ? OrderedJson() : OrderedJson(error.param());
    e["code"] = *row.code ? OrderedJson(row.code) : OrderedJson();
  } else {
    j["error"] = error.what();
    j["error_type"] = row.error_type;
  }
  Reply reply{.status = status_of(family, error.fault()), .body = dump_json(j)};
  if (error.fault() == Fault::kOverloaded || error.fault() == Fault::kNotReady)
    reply.headers.emplace_back("Retry-After", "1");
  if (error.fault() == Fault::kUnauthorized)
    reply.headers.emplace_back("WWW-Authenticate", "Bearer");
  return reply;
}

void append_vector(std::span<const float> values, std::string& out) {
  char text[32];
  out += '[';
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ',';
    const auto [end, _] = std::to_chars(text, text + sizeof(text), values[i]);
    out.append(text, end);
  }
  out += ']';
}

std::string base64(std::span<const float> values) {
  static_assert(std::endian::native == std::endian::little);
  constexpr const char* kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
  const size_t n = values.size_bytes();
  std::string out;
  out.reserve((n + 2) / 3 * 4);
  for (size_t i = 0; i < n; i += 3) {
    const auto at = [&](size_t k) { return i + k < n ? unsigned{bytes[i + k]} : 0u; };
    const unsigned three = at(0) << 16 | at(1) << 8 | at(2);
    for (size_t k = 0; k < 4; ++k) out += i + k <= n ? kDigits[three >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

}  // namespace fathom::serve
