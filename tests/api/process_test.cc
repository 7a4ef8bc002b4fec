// SPDX-License-Identifier: Apache-2.0
// Hidden states, progress between batches, and processes that fork.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "api/api_models.h"

namespace fathom::test::process_test {
namespace {

std::vector<std::string> many_texts() {
  std::vector<std::string> texts;
  for (int i = 0; i < 60; ++i) texts.push_back("text number " + std::to_string(i));
  return texts;
}

TEST(HiddenStates, MeansAreMeanPooling) {
  const Embedder e = Embedder::open(finch(), {.threads = 2});
  const std::vector<Token> ids = e.tokenize("The cat sat.");
  const HiddenStates h = e.hidden_states(ids);
  EXPECT_EQ(h.n_layer, e.info().n_layer);
  EXPECT_EQ(h.n_token, ids.size());
  ASSERT_EQ(h.values.size(), (h.n_layer + 1) * h.n_token * h.d_model);
  std::vector<size_t> layers;
  for (size_t l = 0; l <= h.n_layer; ++l) layers.push_back(l);
  const std::vector<std::vector<Token>> one = {ids};
  const Embeddings v = e.embed_ids(one, {.layers = layers});
  for (size_t l = 0; l <= h.n_layer; ++l)
    for (size_t c = 0; c < h.d_model; ++c) {
      double sum = 0;
      for (size_t t = 0; t < h.n_token; ++t)
        sum += double{h.values[(l * h.n_token + t) * h.d_model + c]};
      EXPECT_FLOAT_EQ(v.row(l, 0)[c], static_cast<float>(sum / double(h.n_token)));
    }
  EXPECT_THROW(e.hidden_states({}), Error);
  const std::vector<Token> beyond = {Token(e.info().n_vocab)};
  EXPECT_THROW(e.hidden_states(beyond), Error);
  const Embedder shallow = Embedder::open(finch(), {.n_block = 1});
  EXPECT_THROW(shallow.hidden_states(ids), UsageError);
}

TEST(Progress, IsCalledBetweenBatchesAndMayStop) {
  const Embedder e = Embedder::open(finch(), {.threads = 1});
  const std::vector<std::string> texts = many_texts();
  std::vector<size_t> seen;
  e.embed(texts, {.batch_tokens = 16, .progress = [&](size_t done) { seen.push_back(done); }});
  EXPECT_GT(seen.size(), 3);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(seen.back(), texts.size());
  size_t n = 0;
  const EmbedOptions stops = {.batch_tokens = 16, .progress = [&](size_t) {
                                if (++n == 2) throw std::logic_error("enough");
                              }};
  EXPECT_THROW(e.embed(texts, stops), std::logic_error);
  EXPECT_EQ(n, 2);
}

// The parent's threads are not in the child: workspaces of the parent would wait for them.
TEST(Fork, ChildrenComputeWithTeamsOfTheirOwn) {
  const Embedder e = Embedder::open(finch(), {.threads = 3});
  const std::vector<std::string> texts = many_texts();
  const Embeddings want = e.embed(texts, {.layers = {1}});
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    bool ok = false;
    {
      const Embedder copy = e;
      ok = copy.embed(texts, {.layers = {1}}).values == want.values;
    }
    _exit(ok ? 0 : 1);
  }
  int status = 1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(e.embed(texts, {.layers = {1}}).values, want.values);
}

}  // namespace
}  // namespace fathom::test::process_test
