// SPDX-License-Identifier: Apache-2.0
#include <map>

#include "serve/routes.h"

namespace fathom::serve {
namespace {

constexpr const char* kErrors[] = {
    R"({"type":"object","required":["error"],"properties":{"error":{"type":"object",
      "required":["message","type","param","code"],"properties":{"message":{"type":"string"},
      "type":{"type":"string"},"param":{"type":["string","null"]},
      "code":{"type":["string","null"]}}}}})",
    R"({"type":"object","required":["error","error_type"],"properties":{
      "error":{"type":"string"},"error_type":{"type":"string",
      "enum":["Unhealthy","Backend","Overloaded","Validation","Tokenizer"]}}})"};
constexpr const char* kErrorNames[] = {"OpenAiError", "TeiError"};

// A schema of the table, whose descriptions go on over lines.
OrderedJson parsed(const char* schema) {
  std::string text;
  for (const char* c = schema; *c; ++c) {
    const char one = *c == '\n' ? ' ' : *c;
    if (one != ' ' || text.empty() || text.back() != ' ') text += one;
  }
  return parse_ordered_json(text);
}

OrderedJson schema_of(const Shape& shape) {
  OrderedJson j = {{"type", "object"}, {"additionalProperties", false}};
  for (const auto& part : shape.parts)
    for (const Field& f : part) {
      j["properties"][f.name] = parsed(f.schema);
      if (f.required) j["required"].push_back(f.name);
    }
  return j;
}

OrderedJson ref(const char* name) {
  OrderedJson j;
  j["$ref"] = concat("#/components/schemas/", name);
  return j;
}

const char* described(const std::string& status) {
  static const std::map<std::string, const char*> kMeanings = {
      {"400", "a field, or the body, cannot be used"},
      {"401", "no key, or an unknown one"},
      {"404", "there is no such model"},
      {"408", "the request did not come in time"},
      {"413", "more than one request may have"},
      {"415", "a body in an encoding that is not taken"},
      {"422", "a field, a text or a token id cannot be used"},
      {"424", "the engine gave no usable vector"},
      {"429", "too much waits already; Retry-After says when to come again"},
      {"503", "the model is not ready"}};
  return kMeanings.at(status);
}

OrderedJson operation_of(const Route& route) {
  OrderedJson j;
  j["summary"] = route.summary;
  j["operationId"] = concat(route.method, route.path);
  j["tags"] = OrderedJson::array(
      {route.family == Family::kOpenAi ? "OpenAI and own" : "Text Embeddings Inference"});
  if (!route.is_open) {
    OrderedJson key;
    key["key"] = OrderedJson::array();
    j["security"] = OrderedJson::array({key, OrderedJson::object()});
  }
  if (const std::string_view path = route.path; path.find('{') != path.npos)
    j["parameters"] = parse_ordered_json(R"([{"name":"model","in":"path","required":true,
      "schema":{"type":"string","minLength":1}}])");
  if (route.shape) {
    j["requestBody"]["required"] = true;
    j["requestBody"]["content"]["application/json"]["schema"] = ref(route.shape->name);
  }
  OrderedJson& ok = j["responses"]["200"];
  ok["description"] = "done";
  ok["content"][route.type] = OrderedJson::object();
  if (route.response) ok["content"][route.type]["schema"] = parsed(route.response);
  std::string faults = route.faults;
  if (!route.is_open) faults = faults.empty() ? "401" : "401 " + faults;
  if (route.shape) faults += " 408 415";
  for (size_t at = 0; at + 3 <= faults.size(); at += 4) {
    const std::string status = faults.substr(at, 3);
    j["responses"][status]["description"] = described(status);
    j["responses"][status]["content"]["application/json"]["schema"] =
        ref(kErrorNames[static_cast<size_t>(route.family)]);
  }
  return j;
}

}  // namespace

std::string openapi() {
  OrderedJson j;
  j["openapi"] = "3.1.0";
  j["info"] = {{"title", "fathom serve"},
               {"version", FATHOM_VERSION},
               {"license", {{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}}};
  for (const Route& route : route_table()) {
    std::string method = route.method;
    for (char& c : method) c = static_cast<char>(c | 0x20);
    j["paths"][route.path][method] = operation_of(route);
    if (route.shape) j["components"]["schemas"][route.shape->name] = schema_of(*route.shape);
  }
  for (size_t i = 0; i < 2; ++i) j["components"]["schemas"][kErrorNames[i]] = parsed(kErrors[i]);
  j["components"]["securitySchemes"]["key"]["type"] = "http";
  j["components"]["securitySchemes"]["key"]["scheme"] = "bearer";
  return dump_json(j, 1);
}

}  // namespace fathom::serve
