// SPDX-License-Identifier: Apache-2.0
#include "serve/routes.h"

#include <algorithm>

namespace fathom::serve {
namespace {

constexpr const char* kBool = R"({"type":["boolean","null"]})";
constexpr const char* kText = R"({"type":["string","null"]})";
constexpr const char* kOneText = R"({"type":"string","minLength":1})";
constexpr const char* kTexts =
    R"({"type":"array","minItems":1,"items":{"type":"string","minLength":1}})";
constexpr const char* kCount = R"({"type":["integer","null"],"minimum":1})";
constexpr const char* kInputs = R"({"anyOf":[
  {"type":"string","minLength":1},
  {"type":"array","minItems":1,"items":{"type":"integer","minimum":0}},
  {"type":"array","minItems":1,"items":{"anyOf":[
    {"type":"string","minLength":1},
    {"type":"array","minItems":1,"items":{"type":"integer","minimum":0}}]}}],
  "description":"a text, the token ids of one, or a list of either"})";

// Of every route that reads texts.
constexpr Field kReading[] = {
    {"model", R"({"type":["string","null"],"description":"default: the first that is served"})"},
    {"layer", R"({"description":"0 is the output of ln0, i the residual stream after block i, final
      ln_out of the last; a list gives a vector for each","anyOf":[
      {"type":"integer","minimum":0},{"type":"string"},{"type":"null"},
      {"type":"array","minItems":1,"items":{"anyOf":[{"type":"integer","minimum":0},
        {"type":"string"}]}}]})"},
    {"pooling", R"({"type":["string","null"],"enum":["mean","last","max","weighted","eos","state",
      "state-rows","state-cols",null]})"},
    {"norm", R"({"type":["string","null"],"enum":["none","ln_out",null]})"},
    {"normalize", R"({"type":["boolean","null"],"default":true,
      "description":"scale vectors to length 1"})"},
    {"depth",
     R"({"type":["string","null"],"description":"name of a loaded depth policy, or full"})"},
    {"truncate_dim", R"({"type":["integer","null"],"minimum":1,
      "description":"the first so many numbers of each vector"})"},
    {"prompt_name", R"({"type":["string","null"],"description":"text put in front of inputs"})"},
};
constexpr Field kTold[] = {{"fathom", R"({"type":["boolean","null"],"description":
      "tell what was read and where depth policies stopped"})"}};
// Text Embeddings Inference's, which cut texts there; here none is too long.
constexpr Field kTruncate[] = {
    {"truncate", kBool},
    {"truncation_direction", R"({"type":["string","null"],"enum":["left","right","Left","Right",
      null]})"},
};
constexpr Field kEncoding[] = {
    {"encoding_format", R"({"type":["string","null"],"enum":["float","base64",null]})"}};
constexpr Field kDimensions[] = {{"dimensions", kCount}};
constexpr Field kInput[] = {{"input", kInputs, true}};
constexpr Field kTeiInputs[] = {{"inputs", kInputs, true}};
constexpr Field kUser[] = {{"user", kText}};
constexpr Field kOutput[] = {
    {"output", R"({"type":["string","null"],"enum":["vectors","similarity",null]})"}};
constexpr Field kSentences[] = {
    {"inputs", R"({"type":"object","additionalProperties":false,
      "required":["source_sentence","sentences"],"properties":{
      "source_sentence":{"type":"string","minLength":1},
      "sentences":{"type":"array","minItems":1,"items":{"type":"string","minLength":1}}}})",
     true},
    {"parameters", R"({"type":["object","null"],"additionalProperties":false,
      "properties":{"truncate":{"type":["boolean","null"]},"prompt_name":{"type":["string","null"]},
      "truncation_direction":{"type":["string","null"],"enum":["left","right","Left","Right",
        null]}}})"},
};
constexpr Field kRanked[] = {{"query", kOneText, true},
                             {"texts", kTexts, true},
                             {"raw_scores", kBool},
                             {"return_text", kBool}};
constexpr Field kPredicted[] = {
    {"inputs", R"({"description":"a text, a pair of texts, or a list of [text] and [text, text]",
      "anyOf":[{"type":"string","minLength":1},
      {"type":"array","minItems":1,"maxItems":2,"items":{"type":"string","minLength":1}},
      {"type":"array","minItems":1,"items":{"type":"array","minItems":1,"maxItems":2,
        "items":{"type":"string","minLength":1}}}]})",
     true},
    {"raw_scores", kBool},
    {"model", kText},
    {"depth", kText}};
constexpr Field kTokenized[] = {
    {"inputs", R"({"anyOf":[{"type":"string","minLength":1},{"type":"array","minItems":1,
      "items":{"type":"string","minLength":1}}]})",
     true},
    {"add_special_tokens", kBool},
    {"prompt_name", kText},
    {"model", kText}};
constexpr Field kDecoded[] = {
    {"ids", R"({"anyOf":[{"type":"array","minItems":1,"items":{"type":"integer","minimum":0}},
      {"type":"array","minItems":1,"items":{"type":"array","minItems":1,
        "items":{"type":"integer","minimum":0}}}]})",
     true},
    {"skip_special_tokens", kBool},
    {"model", kText}};

const Shape kEmbeddingsShape{"EmbeddingsRequest",
                             {kInput, kReading, kDimensions, kEncoding, kUser, kTold}};
const Shape kLayersShape{"LayersRequest", {kInput, kOutput, kReading, kEncoding}};
const Shape kEmbedShape{"EmbedRequest", {kTeiInputs, kReading, kDimensions, kTruncate, kTold}};
const Shape kEmbedAllShape{"EmbedAllRequest", {kTeiInputs, kReading, kTruncate}};
const Shape kSimilarityShape{"SimilarityRequest", {kSentences, kReading, kTruncate}};
const Shape kRerankShape{"RerankRequest", {kRanked, kReading, kTruncate}};
const Shape kPredictShape{"PredictRequest", {kPredicted, kTruncate}};
const Shape kTokenizeShape{"TokenizeRequest", {kTokenized}};
const Shape kDecodeShape{"DecodeRequest", {kDecoded}};

constexpr const char* kEmbeddingsReply = R"({"type":"object","required":["object","data","model",
  "usage"],"properties":{"object":{"const":"list"},"model":{"type":"string"},
  "data":{"type":"array","items":{"type":"object","required":["object","index","embedding"],
    "properties":{"object":{"const":"embedding"},"index":{"type":"integer"},
      "layer":{"type":"string"},"embedding":{"anyOf":[{"type":"string"},
        {"type":"array","items":{"type":"number"}}]}}}},
  "usage":{"type":"object","properties":{"prompt_tokens":{"type":"integer"},
    "total_tokens":{"type":"integer"}}},"fathom":{"type":"object"}}})";
constexpr const char* kObject = R"({"type":"object"})";
constexpr const char* kNumbers = R"({"type":"array","items":{"type":"number"}})";
constexpr const char* kVectors =
    R"({"anyOf":[{"type":"array"},{"type":"object","required":["embeddings","fathom"]}]})";
constexpr const char* kNested = R"({"type":"array","items":{"type":"array"}})";
constexpr const char* kRanks = R"({"type":"array","items":{"type":"object",
  "required":["index","score"],"properties":{"index":{"type":"integer"},
    "score":{"type":"number"},"text":{"type":"string"}}}})";
constexpr const char* kTextList = R"({"type":"array","items":{"type":"string"}})";

constexpr const char* kWork = "404 413 422 424 429 503";
constexpr auto kOa = Family::kOpenAi, kTe = Family::kTei;
using A = Action;
const Route kRoutes[] = {
    {"POST", "/v1/embeddings", A::kEmbeddings, kOa, "Vectors of texts (OpenAI)", &kEmbeddingsShape,
     kEmbeddingsReply, "application/json", "400 404 413 422 424 429 503"},
    {"POST", "/embeddings", A::kEmbeddings, kOa, "The same", &kEmbeddingsShape, kEmbeddingsReply,
     "application/json", "400 404 413 422 424 429 503"},
    {"GET", "/v1/models", A::kModels, kOa, "What is served (OpenAI)", nullptr, kObject,
     "application/json", "503"},
    {"GET", "/v1/models/{model}", A::kModel, kOa, "One of them (OpenAI)", nullptr, kObject,
     "application/json", "404 503"},
    {"POST", "/v1/layers", A::kLayers, kOa,
     "Vectors at all layers, or the similarity of two texts at every depth", &kLayersShape, kObject,
     "application/json", "400 404 413 422 424 429 503"},
    {"POST", "/embed", A::kEmbed, kTe, "Vectors of texts (TEI)", &kEmbedShape, kVectors,
     "application/json", kWork},
    {"POST", "/", A::kEmbed, kTe, "The same: where Hugging Face's client asks", &kEmbedShape,
     kVectors, "application/json", kWork},
    {"POST", "/embed_all", A::kEmbedAll, kTe, "A vector of every token (TEI)", &kEmbedAllShape,
     kNested, "application/json", kWork},
    {"POST", "/similarity", A::kSimilarity, kTe, "Cosines with a sentence (TEI)", &kSimilarityShape,
     kNumbers, "application/json", kWork},
    {"POST", "/rerank", A::kRerank, kTe, "Texts by how well they answer (TEI)", &kRerankShape,
     kRanks, "application/json", kWork},
    {"POST", "/predict", A::kPredict, kTe, "Classes by a depth policy's heads (TEI)",
     &kPredictShape, R"({"type":"array"})", "application/json", kWork},
    {"POST", "/tokenize", A::kTokenize, kTe, "Token ids of texts (TEI)", &kTokenizeShape, kNested,
     "application/json", "404 413 422 429 503"},
    {"POST", "/decode", A::kDecode, kTe, "Texts of token ids (TEI)", &kDecodeShape, kTextList,
     "application/json", "404 413 422 429 503"},
    {"GET", "/info", A::kInfo, kTe, "The model and the limits (TEI)", nullptr, kObject,
     "application/json", "503"},
    {"GET", "/health", A::kHealth, kTe, "Whether requests are answered", nullptr, kObject,
     "application/json", "503", true},
    {"GET", "/ping", A::kHealth, kTe, "The same", nullptr, kObject, "application/json", "503",
     true},
    {"GET", "/health/live", A::kLive, kTe, "Whether the program runs", nullptr, kObject,
     "application/json", "", true},
    {"GET", "/metrics", A::kMetrics, kTe, "Metrics in Prometheus' format", nullptr, nullptr,
     "text/plain; version=0.0.4"},
    {"GET", "/openapi.json", A::kOpenApi, kOa, "This document", nullptr, kObject,
     "application/json", "", true},
    {"GET", "/docs", A::kDocs, kOa, "The routes, to read", nullptr, nullptr,
     "text/html; charset=utf-8", "", true},
    {"GET", "/", A::kPage, kOa, "A page to try it", nullptr, nullptr, "text/html; charset=utf-8",
     "", true},
};

// %41 in a target; what is ill-formed stays.
std::string percent_decoded(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 &&
        digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

// Whether the path of the route is that of the target; parameter gets what {name} stands for.
bool matches(const Route& route, std::string_view path, std::string& parameter) {
  const std::string_view pattern = route.path;
  const size_t brace = pattern.find('{');
  if (brace == std::string_view::npos) return pattern == path;
  if (!path.starts_with(pattern.substr(0, brace)) || path.size() == brace) return false;
  parameter = percent_decoded(path.substr(brace));
  return true;
}

}  // namespace

std::span<const Route> route_table() { return kRoutes; }

Found find_route(std::string_view method, std::string_view target) {
  const std::string_view path = target.substr(0, target.find('?'));
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  Found found;
  for (const Route& route : kRoutes) {
    std::string parameter;
    if (!matches(route, path, parameter)) continue;
    if (wanted == route.method) return {&route, std::move(parameter), {}};
    if (!found.allowed.empty()) found.allowed += ", ";
    found.allowed += route.is_post() ? "POST" : "GET, HEAD";
  }
  return found;
}

Family family_of(std::string_view target) {
  const std::string_view path = target.substr(0, target.find('?'));
  std::string ignored;
  for (const Route& route : kRoutes)
    if (matches(route, path, ignored)) return route.family;
  return Family::kOpenAi;
}

}  // namespace fathom::serve
