// SPDX-License-Identifier: Apache-2.0
// Replies, and the errors of each family of routes: OpenAI's {"error": {message, type, param,
// code}} and Text Embeddings Inference's {"error", "error_type"}, with the status codes that each
// documents.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace fathom::serve {

enum class Family : uint8_t { kOpenAi, kTei };

struct Reply {
  unsigned status = 200;
  std::string body;
  std::string type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};
};

enum class Fault : uint8_t {
  kMalformed,      // no HTTP that we take; 400
  kInvalid,        // a field: 400 for OpenAI, 422 for TEI
  kUnprocessable,  // a text or token id: 422
  kTooLarge,       // 413
  kUnauthorized,   // 401
  kNotFound,       // 404
  kNoModel,        // 404
  kMethod,         // 405
  kTimeout,        // 408
  kEncoding,       // 415
  kBackend,        // 424
  kOverloaded,     // 429, with Retry-After
  kHeader,         // 431
  kBug,            // 500
  kNotReady,       // 503, with Retry-After
};

class RequestError : public Error {
 public:
  RequestError(Fault fault, std::string param, const std::string& message)
      : Error(message), fault_(fault), param_(std::move(param)) {}
  Fault fault() const { return fault_; }
  const std::string& param() const { return param_; }  // the field; "": none

 private:
  Fault fault_;
  std::string param_;
};

unsigned status_of(Family family, Fault fault);
Reply error_reply(Family family, const RequestError& error);

// JSON of numbers: each as the shortest text that gives the same float.
void append_vector(std::span<const float> values, std::string& out);
// Base64 of the floats' bytes, little-endian.
std::string base64(std::span<const float> values);

}  // namespace fathom::serve
