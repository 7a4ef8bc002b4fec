// SPDX-License-Identifier: Apache-2.0
// The service without sockets: replies of every route, and the errors of each family.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <thread>

#include "probe/features.h"
#include "serve/serve_models.h"

namespace fathom::test::service_test {
namespace {

using testing::HasSubstr;

std::vector<float> floats_of(const Json& list) {
  std::vector<float> out;
  for (const Json& x : list) out.push_back(x.get<float>());
  return out;
}

// The vectors of a text alone, as `fathom embed` makes them.
std::vector<float> embedded(TestService& s, const std::string& text, const Reading& reading,
                            const DepthPolicy* policy = nullptr) {
  static_cast<void>(s.options());
  OpenModel open({.model = s.model_path(), .options = {.n_thread = 1}});
  EncodeOptions how;
  static_cast<Reading&>(how) = reading;
  const Encoder encoder(open.model, how, policy);
  const std::vector<std::vector<Token>> ids = {open.tokenizer().encode(text)};
  std::vector<float> out(encoder.n_vector() * encoder.dim());
  encoder.encode(ids, out, open.work);
  return out;
}

Reading at_layer(size_t layer) { return {.layers = {layer}, .normalize = true}; }

TEST(Service, OpenAiEmbeddingsAreThoseOfTheEncoder) {
  TestService s;
  const Json j = s.post_ok("/v1/embeddings", R"({"input": ["Hello", "there"], "model": "tiny"})");
  EXPECT_EQ(j["object"], "list");
  EXPECT_EQ(j["model"], "tiny");
  EXPECT_EQ(j["usage"]["prompt_tokens"], 10);
  ASSERT_EQ(j["data"].size(), 2u);
  EXPECT_EQ(j["data"][1]["index"], 1);
  EXPECT_EQ(floats_of(j["data"][0]["embedding"]), embedded(s, "Hello", at_layer(2)));
  EXPECT_EQ(floats_of(j["data"][1]["embedding"]), embedded(s, "there", at_layer(2)));
}

TEST(Service, TakesIdsAndBase64) {
  TestService s;
  const Json a = s.post_ok("/v1/embeddings", R"({"input": "AB"})"),
             b = s.post_ok("/v1/embeddings", R"({"input": [65, 66]})"),
             c = s.post_ok("/v1/embeddings",
                           R"({"input": [[65, 66]], "encoding_format": "base64"})");
  EXPECT_EQ(a["data"], b["data"]);
  EXPECT_EQ(c["data"][0]["embedding"], serve::base64(floats_of(a["data"][0]["embedding"])));
}

TEST(Service, Base64IsThatOfTheRfc) {
  const float two[] = {1.0f, -2.5f};
  EXPECT_EQ(serve::base64(two), "AACAPwAAIMA=");
  EXPECT_EQ(serve::base64({two, 1}), "AACAPw==");
}

TEST(Service, ReadsAsEachRequestAsks) {
  TestService s;
  const Json list = s.post_ok("/v1/embeddings",
                              R"({"input": "Hello", "layer": [0, "final"], "pooling": "last"})");
  ASSERT_EQ(list["data"].size(), 2u);
  EXPECT_EQ(list["data"][1]["layer"], "final");
  Reading last = at_layer(4);
  last.pooling = Pooling::kLast;
  EXPECT_EQ(floats_of(list["data"][1]["embedding"]), embedded(s, "Hello", last));
  Reading shorter = at_layer(1);
  shorter.dimensions = 5;
  const Json tei = s.post_ok("/embed", R"({"inputs": "Hello", "layer": 1, "dimensions": 5})");
  EXPECT_EQ(floats_of(tei[0]), embedded(s, "Hello", shorter));
  Reading raw = at_layer(2);
  raw.normalize = false;
  const Json not_normalised = s.post_ok("/embed", R"({"inputs": "Hello", "normalize": false})");
  EXPECT_EQ(floats_of(not_normalised[0]), embedded(s, "Hello", raw));
  const Json prompted = s.post_ok("/embed", R"({"inputs": "Hello", "prompt_name": "query"})");
  EXPECT_EQ(floats_of(prompted[0]), embedded(s, "Q: Hello", at_layer(2)));
}

// An error leads on: the fields that there are, and a short value as it came; a long one is a text.
TEST(Service, RefusalsNameWhatWouldDo) {
  TestService s;
  const auto error = [&](const std::string& body) {
    const Json reply = parse_json(s.post("/v1/embeddings", body).body);
    return reply["error"]["message"].get<std::string>();
  };
  EXPECT_THAT(error(R"({"inputs": "a"})"),
              testing::AllOf(HasSubstr("inputs: there is no such field here; expected "),
                             HasSubstr("input, "), HasSubstr("layer")));
  EXPECT_THAT(error(R"({"input": "a", "depth": "nope"})"), HasSubstr("got \"nope\""));
  const std::string text(100, 'x');
  EXPECT_THAT(error(R"({"input": "a", "depth": ")" + text + "\"}"),
              testing::Not(HasSubstr("xxxx")));
}

TEST(Service, PromptsOfTheModelsFolder) {
  const auto write = [](const serve::ServeOptions& o, const char* name, const char* text) {
    std::ofstream(std::filesystem::path(o.models[0].second).parent_path() / name) << text;
  };
  TestService s([&](serve::ServeOptions& o) {
    write(o, "config_sentence_transformers.json",
          R"({"prompts": {"query": "no: ", "document": "D: ", "none": ""}, "similarity_fn": 1})");
    write(o, "fathom.json",
          R"({"recommended": {"layers": "2"}, "prompts": {"document": "Doc: ", "other": "O: "}})");
  });
  const auto with = [&](const std::string& prompt, const std::string& text) {
    return floats_of(s.post_ok(
        "/embed", concat(R"({"inputs": ")", text, R"(", "prompt_name": )", prompt, "}"))[0]);
  };
  const auto plain = [&](const std::string& text) { return with("null", text); };
  // What the server was told, then fathom.json, then sentence-transformers'.
  EXPECT_EQ(with(R"("query")", "Hello"), plain("Q: Hello"));
  EXPECT_EQ(with(R"("document")", "Hello"), plain("Doc: Hello"));
  EXPECT_EQ(with(R"("other")", "Hello"), plain("O: Hello"));
  EXPECT_EQ(with(R"("none")", "Hello"), plain("Hello"));
  EXPECT_EQ(s.post_ok("/similarity", R"({"inputs": {"source_sentence": "a", "sentences": ["b"]},
                                         "prompt_name": "other"})"),
            s.post_ok("/similarity",
                      R"({"inputs": {"source_sentence": "O: a", "sentences": ["O: b"]}})"));
  EXPECT_EQ(parse_json(s.call("GET", "/info").body)["fathom"]["prompts"],
            Json::array({"query", "document", "other", "none"}));
  EXPECT_EQ(s.post("/embed", R"({"inputs": "a", "prompt_name": "x"})").status, 422u);
}

TEST(Service, NamesPromptsOfTheFolderThatAreNoTexts) {
  EXPECT_THAT(
      [] {
        TestService s([](serve::ServeOptions& o) {
          const auto folder = std::filesystem::path(o.models[0].second).parent_path();
          std::ofstream(folder / "config_sentence_transformers.json") << R"({"prompts": {"q": 1}})";
        });
      },
      testing::ThrowsMessage<Error>(
          testing::AllOf(HasSubstr("config_sentence_transformers.json"), HasSubstr("prompts.q"))));
}

TEST(Service, PoliciesByNameAndWhatTheyDid) {
  TestService s;
  const Json j = s.post_ok(
      "/embed", R"({"inputs": ["Hello", "a longer text"], "depth": "exit", "fathom": true})");
  ASSERT_EQ(j["embeddings"].size(), 2u);
  const OpenModel open({.model = s.model_path(), .options = {.n_thread = 1}});
  const auto& exit = *s.service().models()[0]->find_policy("exit")->choice.policy;
  Reading reading = at_layer(2);
  reading.layers.clear();
  EXPECT_EQ(floats_of(j["embeddings"][1]), embedded(s, "a longer text", reading, &exit));
  EXPECT_LE(j["fathom"]["texts"][0]["exit_layer"].get<int>(), 3);
  EXPECT_EQ(j["fathom"]["texts"][1]["n_token"], 13);
  EXPECT_EQ(s.post_ok("/embed", R"({"inputs": "Hello", "depth": "shallow"})"),
            s.post_ok("/embed", R"({"inputs": "Hello", "layer": 1})"));
}

TEST(Service, EveryTextIsItsOwnWhateverRunsBesideIt) {
  TestService s([](serve::ServeOptions& o) { o.batch_tokens = 32; });
  const std::string alone = s.post("/embed", R"({"inputs": "one of many"})").body;
  const std::string long_text(5000, 'x');
  const std::string long_alone =
      s.post("/embed", concat(R"({"inputs": ")", long_text, R"("})")).body;
  const std::string exits_alone =
      s.post("/embed", concat(R"({"depth": "exit", "inputs": ")", long_text, R"("})")).body;
  std::vector<std::jthread> clients;
  for (int c = 0; c < 4; ++c)
    clients.emplace_back([&, c] {
      for (int i = 0; i < 12; ++i) {
        const std::string depth = c % 2 ? R"("depth": "exit", )" : "";
        if (i == 3) {
          EXPECT_EQ(s.post("/embed", concat("{", depth, R"("inputs": ")", long_text, R"("})")).body,
                    c % 2 ? exits_alone : long_alone);
        }
        EXPECT_EQ(s.post("/embed", R"({"inputs": "one of many"})").body, alone);
        s.post("/embed", concat(R"({"inputs": ["a", "bb", "ccc"], "layer": )", i % 4, "}"));
      }
    });
}

TEST(Service, ALongTextIsThatOfTheEncoder) {
  TestService s([](serve::ServeOptions& o) { o.batch_tokens = 32; });
  const std::string text(500, 'y');
  const Json j = s.post_ok("/embed", concat(R"({"inputs": ")", text, R"("})"));
  EXPECT_EQ(floats_of(j[0]), embedded(s, text, at_layer(2)));
}

TEST(Service, AllTokensAndAllLayers) {
  TestService s;
  const Json rows = s.post_ok("/embed_all", R"({"inputs": "Hello", "layer": 3})");
  ASSERT_EQ(rows[0].size(), 5u);
  Reading last{.layers = {3}, .pooling = Pooling::kLast};
  EXPECT_EQ(floats_of(rows[0][4]), embedded(s, "Hello", last));
  const Json layers = s.post_ok("/v1/layers", R"({"input": "Hello"})");
  EXPECT_EQ(layers["layers"], Json({"0", "1", "2", "3", "final"}));
  EXPECT_EQ(floats_of(layers["data"][0]["embeddings"][2]), embedded(s, "Hello", at_layer(2)));
  const Json states = s.post_ok("/v1/layers", R"({"input": "Hello", "pooling": "state-rows"})");
  EXPECT_EQ(states["layers"], Json({"1", "2", "3"}));
}

TEST(Service, SimilarityAtEveryDepth) {
  TestService s;
  const Json j =
      s.post_ok("/v1/layers", R"({"input": ["Hello", "Hallo"], "output": "similarity"})");
  const auto a = embedded(s, "Hello", at_layer(3)), b = embedded(s, "Hallo", at_layer(3));
  EXPECT_EQ(j["similarity"][3].get<double>(), cosine_of(a, b));
  ASSERT_EQ(j["exits"].size(), 3u);
  EXPECT_EQ(j["exits"][0]["exit_layer"], Json({1, 1}));
  EXPECT_EQ(j["exits"][2]["exit_layer"][0], j["exits"][2]["exit_layer"][1]);
  EXPECT_EQ(j["tokens"][1][1]["text"], "a");
  const Json tei = s.post_ok(
      "/similarity",
      R"({"inputs": {"source_sentence": "Hello", "sentences": ["Hallo", "Hello"]}, "layer": 3})");
  EXPECT_EQ(tei[0].get<float>(), static_cast<float>(cosine_of(a, b)));
  EXPECT_FLOAT_EQ(tei[1].get<float>(), 1);
  const Json ranks =
      s.post_ok("/rerank", R"({"query": "Hello", "texts": ["zzz", "Hello"], "return_text": true})");
  EXPECT_EQ(ranks[0]["index"], 1);
  EXPECT_EQ(ranks[0]["text"], "Hello");
  EXPECT_GE(ranks[0]["score"].get<double>(), ranks[1]["score"].get<double>());
  s.post_ok("/rerank", R"({"query": "Hello", "texts": ["zzz"], "depth": "pair"})");
}

TEST(Service, PredictsClasses) {
  TestService s;
  const Json one = s.post_ok("/predict", R"({"inputs": "Hello"})");
  ASSERT_EQ(one.size(), 3u);
  double sum = 0;
  for (const Json& p : one) sum += p["score"].get<double>();
  EXPECT_NEAR(sum, 1, 1e-9);
  EXPECT_GE(one[0]["score"].get<double>(), one[1]["score"].get<double>());
  const Json told = s.post_ok("/embed", R"({"inputs": "Hello", "depth": "exit", "fathom": true})");
  EXPECT_EQ(one[0]["label"], told["fathom"]["texts"][0]["predicted_class"]);
  EXPECT_NEAR(one[0]["score"].get<double>(), told["fathom"]["texts"][0]["confidence"].get<double>(),
              1e-6);
  const Json pairs =
      s.post_ok("/predict", R"({"inputs": [["a", "b"], ["c", "d"]], "depth": "pair"})");
  EXPECT_EQ(pairs.size(), 2u);
}

TEST(Service, TokenizesAndDecodes) {
  TestService s;
  const Json tokens = s.post_ok("/tokenize", R"({"inputs": "aé"})");
  ASSERT_EQ(tokens[0].size(), 3u);
  EXPECT_EQ(tokens[0][0],
            (Json{{"id", 97}, {"text", "a"}, {"special", false}, {"start", 0}, {"stop", 1}}));
  EXPECT_EQ(tokens[0][2]["stop"], 2);
  EXPECT_EQ(s.post_ok("/decode", R"({"ids": [[72, 105], [33]]})"), Json({"Hi", "!"}));
}

struct Refused {
  const char *target, *body;
  unsigned status;
  const char* says;
};

TEST(Service, RefusesByNameInEachFamilysWords) {
  TestService s([](serve::ServeOptions& o) {
    o.max_client_batch = 3;
    o.max_reply_values = 1000;
    o.max_queued_tokens = 200;
  });
  const std::string big = concat(R"({"inputs": ")", std::string(300, 'x'), R"("})");
  const Refused cases[] = {
      {"/v1/embeddings", "{", 400, "not JSON"},
      {"/v1/embeddings", "[1]", 400, "an object"},
      {"/v1/embeddings", "{}", 400, "input: missing"},
      {"/v1/embeddings", R"({"input": "a", "inputt": 1})", 400, "inputt"},
      {"/v1/embeddings", R"({"input": ""})", 422, "input[0]"},
      {"/v1/embeddings", R"({"input": ["a", ""]})", 422, "input[1]"},
      {"/v1/embeddings", R"({"input": []})", 400, "input"},
      {"/v1/embeddings", R"({"input": {"a": 1}})", 400, "input"},
      {"/v1/embeddings", R"({"input": [[1, 256]]})", 422, "check_embedding_ctx_length"},
      {"/v1/embeddings", R"({"input": [1, -1]})", 422, "-1"},
      {"/v1/embeddings", R"({"input": ["a", 1.5]})", 400, "input[1]"},
      {"/v1/embeddings", R"({"input": "a", "model": "gpt"})", 404, "'gpt' does not exist"},
      {"/v1/embeddings", R"({"input": "a", "dimensions": 25})", 400, "dimensions"},
      {"/v1/embeddings", R"({"input": "a", "dimensions": 0})", 400, "dimensions"},
      {"/v1/embeddings", R"({"input": "a", "truncate_dim": 99})", 400, "truncate_dim"},
      {"/v1/embeddings", R"({"input": "a", "layer": 5})", 400, "layer"},
      {"/v1/embeddings", R"({"input": "a", "layer": -1})", 400, "layer"},
      {"/v1/embeddings", R"({"input": "a", "pooling": "mode"})", 400, "pooling"},
      {"/v1/embeddings", R"({"input": "a", "depth": "deep"})", 400, "exit"},
      {"/v1/embeddings", R"({"input": "a", "depth": "exit", "layer": 1})", 400, "layer"},
      {"/v1/embeddings", R"({"input": "a", "depth": "exit", "pooling": "max"})", 400, "pooling"},
      {"/v1/embeddings", R"({"input": "a", "depth": "pair"})", 400, "even number"},
      {"/v1/embeddings", R"({"input": ["a","b","c","d"]})", 413, "batch size 4"},
      {"/v1/embeddings", R"({"input": "a", "encoding_format": "hex"})", 400, "encoding_format"},
      {"/embed", "{", 422, "not JSON"},
      {"/embed", R"({"inputs": "a", "layer": 9})", 422, "layer"},
      {"/embed", R"({"inputs": ["a","b","c","d"]})", 413, "batch size 4"},
      {"/embed", R"({"inputs": [""]})", 422, "inputs[0]"},
      {"/embed", R"({"inputs": "a", "truncation_direction": "up"})", 422, "truncation_direction"},
      {"/embed", R"({"inputs": "a", "prompt_name": "doc"})", 422, "query"},
      {"/embed", big.c_str(), 413, "200"},
      {"/embed_all", R"({"inputs": "a", "pooling": "max"})", 422, "pooling"},
      {"/embed_all", R"({"inputs": "0123456789012345678901234567890123456789012345"})", 413,
       "1000"},
      {"/similarity", R"({"inputs": {"source_sentence": "a"}})", 422, "inputs.sentences"},
      {"/similarity", R"({"inputs": {"source_sentence": "a", "sentences": ["b"]}, "layer": [1,2]})",
       422, "one layer"},
      {"/rerank", R"({"query": "", "texts": ["a"]})", 422, "query"},
      {"/rerank", R"({"query": "q", "texts": []})", 422, "texts"},
      {"/predict", R"({"inputs": ["a", "b"]})", 422, "single texts"},
      {"/predict", R"({"inputs": "a", "depth": "shallow"})", 424, "classes"},
      {"/tokenize", R"({"inputs": [1, 2]})", 422, "texts"},
      {"/decode", R"({"ids": [[1], [300]]})", 422, "ids[1]"},
      {"/v1/layers", R"({"input": "a", "output": "similarity"})", 400, "two texts"},
      {"/v1/layers", R"({"input": "a", "depth": "exit"})", 400, "depth"},
  };
  for (const Refused& c : cases) {
    const serve::Reply reply = s.post(c.target, c.body);
    EXPECT_EQ(reply.status, c.status) << c.target << " " << c.body << " " << reply.body;
    const Json j = parse_json(reply.body);
    const bool openai = std::string_view(c.target).starts_with("/v1");
    const std::string message = openai ? j["error"]["message"] : j["error"];
    EXPECT_THAT(message, HasSubstr(c.says)) << c.body;
    EXPECT_EQ(j.contains("error_type"), !openai);
    if (openai) {
      EXPECT_TRUE(j["error"].contains("param") && j["error"].contains("code"));
    }
  }
  EXPECT_EQ(s.service().n_token(), 0u);
}

TEST(Service, AVectorThatIsNotFiniteIsNeverGivenOut) {
  const TempFolder folder;
  SyntheticModel made = make_model(byte_shape());
  auto& embedding = const_cast<Array&>(made.get("emb.weight"));
  embedding.values['X' * 24] = std::numeric_limits<float>::quiet_NaN();
  const std::string path = folder.file("nan.safetensors");
  write_arrays(path, made.arrays);
  TestService s([&](serve::ServeOptions& o) {
    o.models = {{"nan", path}};
    o.policies.clear();
  });
  const serve::Reply reply = s.post("/v1/embeddings", R"({"input": ["fine", "X", "fine"]})");
  EXPECT_EQ(reply.status, 424u);
  EXPECT_THAT(reply.body, HasSubstr("input[1]"));
  EXPECT_EQ(s.post("/embed", R"({"inputs": "fine"})").status, 200u);
}

TEST(Service, SaysWhatIsServed) {
  TestService s;
  EXPECT_EQ(parse_json(s.call("GET", "/v1/models").body)["data"][0]["id"], "tiny");
  EXPECT_EQ(parse_json(s.call("GET", "/v1/models/ti%6Ey").body)["id"], "tiny");
  EXPECT_EQ(s.call("GET", "/v1/models/other").status, 404u);
  const Json info = parse_json(s.call("GET", "/info").body);
  EXPECT_EQ(info["model_type"]["embedding"]["pooling"], "mean");
  EXPECT_EQ(info["fathom"]["rerank"], "cosine");
  s.post_ok("/embed", R"({"inputs": ["a", "b"], "depth": "exit"})");
  const std::string metrics = s.call("GET", "/metrics").body;
  for (const char* line :
       {"te_request_count{method=\"batch\"} 1", "te_request_success{method=", "te_queue_size 0",
        "te_batch_next_tokens_count 1", "fathom_exit_layer_count 2", "fathom_texts_total 2"})
    EXPECT_THAT(metrics, HasSubstr(line));
}

TEST(Service, TheDocumentHasEveryRouteAndField) {
  const Json j = parse_json(serve::openapi());
  for (const serve::Route& route : serve::route_table()) {
    std::string method = route.method;
    for (char& c : method) c = static_cast<char>(c | 0x20);
    ASSERT_TRUE(j["paths"][route.path].contains(method)) << route.path;
    if (!route.shape) continue;
    for (const auto& part : route.shape->parts)
      for (const serve::Field& field : part)
        EXPECT_TRUE(
            j["components"]["schemas"][route.shape->name]["properties"].contains(field.name));
  }
}

TEST(Service, FindsRoutes) {
  EXPECT_EQ(serve::find_route("GET", "/embed").allowed, "POST");
  EXPECT_EQ(serve::find_route("GET", "/nothing").allowed, "");
  EXPECT_TRUE(serve::find_route("HEAD", "/health?x=1").route);
  EXPECT_EQ(serve::find_route("GET", "/v1/models/a%2Fb").parameter, "a/b");
  EXPECT_FALSE(serve::find_route("GET", "/v1/models/").route);
}

TEST(Service, KeysAreComparedWholeAndReadAgain) {
  const TempFolder folder;
  const std::string file = folder.write("keys", "# ours\nfirst-key\nsecond-key  \n");
  serve::Keys keys(file);
  EXPECT_EQ(keys.size(), 2u);
  EXPECT_TRUE(keys.let_in("Bearer first-key"));
  EXPECT_TRUE(keys.let_in("bearer second-key"));
  for (const char* wrong : {"", "Bearer ", "Bearer first-ke", "Bearer first-key1", "first-key",
                            "Basic first-key", "Bearer first-keyfirst-key"})
    EXPECT_FALSE(keys.let_in(wrong)) << wrong;
  folder.write("keys", "third\n");
  keys.reload();
  EXPECT_FALSE(keys.let_in("Bearer first-key"));
  EXPECT_TRUE(keys.let_in("Bearer third"));
  folder.write("keys", "\n");
  EXPECT_THROW(keys.reload(), Error);
  EXPECT_TRUE(keys.let_in("Bearer third"));
}

}  // namespace
}  // namespace fathom::test::service_test
