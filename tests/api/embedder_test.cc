// SPDX-License-Identifier: Apache-2.0
// The public interface gives what the program gives, to the bit, whichever way it is called.
#include <atomic>
#include <stdexcept>
#include <thread>

#include "api/api_models.h"

namespace fathom::test::embedder_test {
namespace {

using testing::ElementsAre;

const Embedder& shared_finch() {
  static const Embedder e = Embedder::open(finch(), {.threads = 2});
  return e;
}

// The vectors that arrive block by block, put together.
struct Collected {
  std::vector<float> values;
  std::vector<size_t> ends;
};
Collected collect(const EmbeddingShape& shape,
                  const std::function<void(const EmbeddingSink&)>& run) {
  Collected c{std::vector<float>(shape.size()), {}};
  run([&](const EmbeddingBlock& block) {
    EXPECT_EQ(block.begin, c.ends.empty() ? 0 : c.ends.back());
    EXPECT_LT(block.begin, block.end);
    EXPECT_EQ(block.n_layer, shape.n_layer);
    EXPECT_EQ(block.dim, shape.dim);
    const size_t n = block.end - block.begin;
    ASSERT_EQ(block.values.size(), shape.n_layer * n * shape.dim);
    for (size_t l = 0; l < shape.n_layer; ++l)
      std::copy_n(&block.values[l * n * shape.dim], n * shape.dim,
                  &c.values[(l * shape.n_text + block.begin) * shape.dim]);
    c.ends.push_back(block.end);
  });
  return c;
}

TEST(Embedder, TellsWhatTheModelIs) {
  const Info& info = shared_finch().info();
  EXPECT_EQ(info.version, "6");
  EXPECT_EQ(info.n_layer, 12u);
  EXPECT_EQ(info.final_layer(), 13u);
  EXPECT_EQ(info.n_block, 12u);
  EXPECT_EQ(info.d_model, 192u);
  EXPECT_EQ(info.n_vocab, 4097u);
  EXPECT_EQ(info.stored_dtype, "BF16");
  EXPECT_EQ(info.dtype, DType::kF32);
  EXPECT_EQ(info.backend, "cpu");
  EXPECT_EQ(info.vocabulary, (finch() / "vocab.txt").string());
  EXPECT_TRUE(info.heads.empty());
  EXPECT_STREQ(version(), FATHOM_VERSION_STRING);
}

TEST(Embedder, TokenisesAsTheProgramDoes) {
  const Embedder& e = shared_finch();
  const std::string text = sentences()[3];
  const Json ids = Json::parse(run_ok({"tokenize", finch().string(), text, "--json"}).out);
  EXPECT_EQ(e.tokenize(text), ids.get<std::vector<Token>>());
  for (const std::string& s : sentences()) EXPECT_EQ(e.decode(e.tokenize(s)), s);
  EXPECT_TRUE(e.tokenize("").empty());
}

TEST(Embedder, ReadsListsOfLayers) {
  EXPECT_THAT(shared_finch().layers("0,3-5,final"), ElementsAre(0, 3, 4, 5, 13));
  EXPECT_EQ(shared_finch().layers("all").size(), 14u);
}

TEST(Embedder, CutsVectorsToTheirFirstNumbers) {
  const Embedder& e = shared_finch();
  const Embeddings whole = e.embed(sentences(), {.layers = {2, 5}});
  const Embeddings cut = e.embed(sentences(), {.layers = {2, 5}, .dimensions = 7});
  EXPECT_EQ(cut.dim, 7u);
  for (size_t l = 0; l < 2; ++l)
    for (size_t i = 0; i < sentences().size(); ++i)
      EXPECT_THAT(cut.row(l, i), testing::ElementsAreArray(whole.row(l, i).first(7)));
  // Length 1 is that of what is left.
  const Embeddings unit = e.embed(sentences(), {.layers = {2}, .normalize = true, .dimensions = 7});
  double square = 0;
  for (float x : unit.row(0, 0)) square += double{x} * x;
  EXPECT_NEAR(square, 1, 1e-6);
}

TEST(Embedder, GivesTheBitsOfTheProgram) {
  struct Case {
    EmbedOptions options;
    std::vector<std::string> flags;
  };
  const Case cases[] = {
      // The program would take the layer that the model's folder recommends.
      {{}, {"--layers", "final"}},
      {{.layers = {1, 3, 11, kFinalLayer}, .normalize = true},
       {"--layers", "1,3,11,final", "--normalize"}},
      {{.layers = {12}, .pooling = Pooling::kLast, .norm = Norm::kLnOut},
       {"--layers", "12", "--pool", "last", "--norm", "ln_out"}},
      {{.layers = {4, 2}, .pooling = Pooling::kMax, .scan = Scan::kBoth},
       {"--layers", "4,2", "--pool", "max", "--scan", "both"}},
      {{.layers = {5}, .pooling = Pooling::kStateRows, .bos = 0},
       {"--layers", "5", "--pool", "state-rows", "--bos", "0"}},
      {{.pooling = Pooling::kEos, .scan = Scan::kEcho, .eos = 0},
       {"--pool", "eos", "--scan", "echo", "--eos", "0"}},
      {{.layers = {6}, .pooling = Pooling::kWeighted, .batch_tokens = 7},
       {"--layers", "6", "--pool", "weighted"}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(testing::PrintToString(c.flags));
    const NpyArray program = embed_by_program(finch().string(), sentences(), c.flags);
    const Embeddings e = shared_finch().embed(sentences(), c.options);
    EXPECT_EQ(e.n_text, sentences().size());
    EXPECT_EQ(e.n_layer, std::max<size_t>(1, c.options.layers.size()));
    EXPECT_TRUE(e.depth.empty());
    EXPECT_TRUE(same_bits(e.values, program.values));
  }
}

TEST(Embedder, StreamsBuffersAndIdsGiveTheSameBits) {
  const Embedder& e = shared_finch();
  std::vector<std::string> texts;
  for (size_t i = 0; i < 1100; ++i) texts.push_back(sentences()[i % 8]);  // several groups
  std::vector<std::vector<Token>> ids;
  for (const std::string& text : texts) ids.push_back(e.tokenize(text));
  // A budget other than the whole's: it changes no bit.
  const EmbedOptions options{.layers = {0, 2}}, small{.layers = {0, 2}, .batch_tokens = 64};
  const Embeddings whole = e.embed(texts, options);
  EXPECT_GT(whole.n_token, 1100u);

  const EmbeddingShape shape = e.shape(texts.size(), options);
  EXPECT_EQ(shape.size(), whole.values.size());
  const Collected blocks =
      collect(shape, [&](const EmbeddingSink& sink) { e.embed(texts, small, sink); });
  EXPECT_GT(blocks.ends.size(), 2u);
  EXPECT_EQ(blocks.ends.back(), texts.size());
  EXPECT_TRUE(same_bits(blocks.values, whole.values));
  const Collected of_ids =
      collect(shape, [&](const EmbeddingSink& sink) { e.embed_ids(ids, small, sink); });
  EXPECT_TRUE(same_bits(of_ids.values, whole.values));

  std::vector<float> out(shape.size());
  e.embed_into(texts, small, out);
  EXPECT_TRUE(same_bits(out, whole.values));
  std::fill(out.begin(), out.end(), 0.0f);
  e.embed_ids_into(ids, small, out);
  EXPECT_TRUE(same_bits(out, whole.values));
  const Embeddings by_ids = e.embed_ids(ids, options);
  EXPECT_TRUE(same_bits(by_ids.values, whole.values));
  EXPECT_EQ(by_ids.n_token, whole.n_token);

  EXPECT_TRUE(same_bits(whole.row(1, 3), std::span(whole.values).subspan((1100 + 3) * 192, 192)));
}

TEST(Embedder, NoTextsGiveNoVectors) {
  const Embeddings e = shared_finch().embed({}, {.layers = {1, 2}});
  EXPECT_EQ(e.n_layer, 2u);
  EXPECT_EQ(e.n_text, 0u);
  EXPECT_TRUE(e.values.empty());
  shared_finch().embed({}, {},
                       [](const EmbeddingBlock&) { ADD_FAILURE() << "a block of nothing"; });
}

TEST(Embedder, EmptyTextsAreZerosWhereAskedFor) {
  std::vector<std::string> texts = sentences();
  const Embeddings plain = shared_finch().embed(texts, {.layers = {1, 2}});
  texts.insert(texts.begin() + 2, "");
  texts.emplace_back();
  const Embeddings e = shared_finch().embed(texts, {.layers = {1, 2}, .empty = EmptyText::kZero});
  const std::vector<float> zero(192, 0);
  for (size_t l = 0; l < 2; ++l) {
    EXPECT_TRUE(same_bits(e.row(l, 2), zero));
    EXPECT_TRUE(same_bits(e.row(l, 9), zero));
    for (size_t i = 0; i < plain.n_text; ++i)
      EXPECT_TRUE(same_bits(e.row(l, i + (i >= 2)), plain.row(l, i)));
  }
}

TEST(Embedder, OneObjectServesManyThreads) {
  const Embedder& e = shared_finch();
  const std::vector<EmbedOptions> kinds = {{.layers = {1}},
                                           {.layers = {2, 5}, .pooling = Pooling::kLast},
                                           {.layers = {3}, .pooling = Pooling::kState},
                                           {.depth = e.policy("fixed:2")}};
  std::vector<Embeddings> alone;
  for (const EmbedOptions& options : kinds) alone.push_back(e.embed(sentences(), options));
  std::atomic<size_t> n_same = 0;
  std::vector<std::jthread> threads;
  for (size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      const Embedder copy = e;
      for (size_t i = 0; i < 8; ++i) {
        const size_t kind = (t + i) % kinds.size();
        const Embeddings own = (i % 2 ? copy : e).embed(sentences(), kinds[kind]);
        n_same += same_bits(own.values, alone[kind].values);
      }
    });
  threads.clear();
  EXPECT_EQ(n_same, 32u);
}

TEST(Embedder, CopiesOutliveTheFirst) {
  const TempFolder folder;
  const std::string path = byte_model(folder);
  auto first = std::make_unique<Embedder>(Embedder::open(path));
  const Embedder copy = *first;
  Embedder moved = std::move(*first);
  EXPECT_EQ(first->info().n_vocab, 256u);  // moving shares, too
  const Policy policy = first->policy("fixed:1");
  first.reset();
  EXPECT_EQ(copy.embed(sentences(), {.depth = policy}).n_text, sentences().size());
  moved = copy;
  EXPECT_EQ(moved.info().d_model, 24u);
}

TEST(EmbedderStop, StopsBetweenBatchesAndKeepsWhatWasGiven) {
  const Embedder& e = shared_finch();
  const std::vector<std::string> texts(3000, sentences()[0]);
  std::stop_source stop;
  size_t n_block = 0;
  const EmbedOptions options{.layers = {1}, .batch_tokens = 32, .stop = stop.get_token()};
  EXPECT_THROW(e.embed(texts, options,
                       [&](const EmbeddingBlock&) {
                         if (++n_block == 2) stop.request_stop();
                       }),
               Stopped);
  EXPECT_EQ(n_block, 2u);
  EXPECT_THROW(e.embed(texts, options), Stopped);               // before anything was done
  EXPECT_EQ(e.embed(sentences(), {.layers = {1}}).n_text, 8u);  // it is as good as before
}

TEST(EmbedderStop, MayBeAskedForByAnotherThread) {
  const Embedder& e = shared_finch();
  const std::vector<std::string> texts(1 << 20, sentences()[3]);  // minutes of work
  std::stop_source stop;
  std::atomic<bool> has_begun = false;
  std::jthread other([&] {
    has_begun.wait(false);
    stop.request_stop();
  });
  EXPECT_THROW(e.embed(texts, {.stop = stop.get_token()},
                       [&](const EmbeddingBlock&) {
                         has_begun = true;
                         has_begun.notify_all();
                       }),
               Stopped);
}

TEST(EmbedderSink, ItsOwnExceptionsComeOutAsTheyAre) {
  struct Mine {};
  const Embedder& e = shared_finch();
  EXPECT_THROW(e.embed(sentences(), {}, [](const EmbeddingBlock&) { throw Mine(); }), Mine);
  EXPECT_THROW(
      e.embed(sentences(), {},
              [](const EmbeddingBlock&) { throw std::filesystem::filesystem_error("mine", {}); }),
      std::filesystem::filesystem_error);
  // A sink may use the embedder itself.
  size_t n = 0;
  e.embed(sentences(), {.layers = {1}}, [&](const EmbeddingBlock& block) {
    const Embeddings again = e.embed(sentences(), {.layers = {1}});
    EXPECT_TRUE(same_bits(again.values, block.values));
    ++n;
  });
  EXPECT_EQ(n, 1u);
}

}  // namespace
}  // namespace fathom::test::embedder_test
