// SPDX-License-Identifier: Apache-2.0
// /rerank with EmbeddingRWKV's state reranker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "encode/embedding_rwkv.h"
#include "serve/serve_models.h"

namespace fathom::test::serve_rerank_test {
namespace {

// A World vocabulary of single bytes: id i + 1.
std::string byte_vocabulary() {
  std::string text;
  constexpr const char* kDigits = "0123456789abcdef";
  for (int i = 0; i < 256; ++i)
    text += concat(i + 1, " b'\\x", kDigits[i >> 4], kDigits[i & 15], "' 1\n");
  return text;
}

TEST(ServeRerank, ScoresAreThoseOfTheReranker) {
  const TempFolder folder;
  const SyntheticModel backbone = embedding_rwkv(3), blocks = reranker_blocks(backbone.shape, 3);
  const std::string model = folder.file("backbone.st");
  write_arrays(model, embedding_rwkv_arrays(backbone));
  const std::string file = folder.write("reranker.pth", pth(reranker_arrays(blocks, false), {})),
                    vocab = folder.write("vocab.txt", byte_vocabulary());
  TestService s([&](serve::ServeOptions& o) {
    o.models = {{"backbone", model}};
    o.policies.clear();
    o.vocab = vocab;
    o.reranker = file;
    o.batch_tokens = 64;  // documents in groups, one of them in pieces
  });
  const std::string long_text(300, 'z');
  const std::vector<std::string> texts = {"cats", "a dog", long_text, "rain"};
  OpenModel open({.model = model, .vocab = vocab, .options = {.n_thread = 1}});
  const Reranker reranker = Reranker::open(file, open.model, {.n_thread = 1});
  const RerankPrompt prompt;
  std::vector<std::vector<Token>> documents;
  for (const std::string& text : texts)
    documents.push_back(open.tokenizer().encode(prompt.document(text)));
  const std::vector<std::vector<Token>> query = {open.tokenizer().encode(prompt.query("who?"))};
  const auto expected = reranker.rerank(documents, query, 1024, open.work);

  const std::string body =
      concat(R"({"query": "who?", "texts": ["cats", "a dog", ")", long_text, R"(", "rain"])");
  const Json ranks = s.post_ok("/rerank", body + "}"),
             raw = s.post_ok("/rerank", body + R"(, "raw_scores": true})");
  ASSERT_EQ(ranks.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    const size_t index = ranks[i]["index"];
    const float score = ranks[i]["score"].get<float>();
    EXPECT_EQ(score, expected[index]);
    EXPECT_NEAR(raw[i]["score"].get<double>(), std::log(score / (1.0 - score)), 1e-4);
    if (i > 0) {
      EXPECT_LE(score, ranks[i - 1]["score"].get<float>());
    }
  }
  EXPECT_EQ(parse_json(s.call("GET", "/info").body)["fathom"]["rerank"], "state reranker");
  const serve::Reply refused = s.post("/rerank", R"({"query": "q", "texts": ["a"], "layer": 1})");
  EXPECT_EQ(refused.status, 422u);
  EXPECT_THAT(refused.body, testing::HasSubstr("layer"));
}

}  // namespace
}  // namespace fathom::test::serve_rerank_test
