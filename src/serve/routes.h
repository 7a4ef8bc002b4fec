// SPDX-License-Identifier: Apache-2.0
// The table of routes. Requests are routed by it, bodies are read by its fields, and /openapi.json
// is generated from it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "serve/body.h"
#include "serve/reply.h"

namespace fathom::serve {

enum class Action : uint8_t {
  kEmbeddings,
  kModels,
  kModel,
  kLayers,
  kEmbed,
  kEmbedAll,
  kSimilarity,
  kRerank,
  kTokenize,
  kDecode,
  kPredict,
  kInfo,
  kHealth,
  kLive,
  kMetrics,
  kOpenApi,
  kDocs,
  kPage,
};

struct Route {
  const char* method;
  const char* path;  // its last part may be {name}: the rest of the target
  Action action;
  Family family;
  const char* summary;
  const Shape* shape = nullptr;    // of the body; nullptr: there is none
  const char* response = nullptr;  // JSON schema of a 200
  const char* type = "application/json";
  const char* faults = "";  // status codes beside those of every route, "413 422"
  bool is_open = false;     // answered without a key

  bool is_post() const { return shape != nullptr; }  // work that admission may turn away
};
std::span<const Route> route_table();

// A target without its query, matched; parameter: of {name}, decoded.
struct Found {
  const Route* route = nullptr;  // nullptr: nothing is there
  std::string parameter;
  std::string allowed;  // methods of the path, where it is there with another one: "GET, HEAD"
};
// method: HEAD finds GET's routes.
Found find_route(std::string_view method, std::string_view target);
// The API family whose error format this target uses.
Family family_of(std::string_view target);

// The document, OpenAPI 3.1.
std::string openapi();

}  // namespace fathom::serve
