// SPDX-License-Identifier: Apache-2.0
// embed_texts(): all texts once and in order, with the vectors of Encoder::encode(), in blocks of
// bounded size; and how it ends early.
#include "encode/embed_texts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "encode/depth_encode.h"

namespace fathom::test::embed_texts_test {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

// One token a byte, below the vocabulary of the small models.
class ByteTokenizer : public Tokenizer {
 public:
  void encode(std::string_view text, std::vector<Token>& out) const override {
    for (char c : text) out.push_back(static_cast<unsigned char>(c) % 37);
  }
  using Tokenizer::encode;
  std::string_view name() const override { return "test"; }
  size_t n_vocab() const override { return 37; }
  std::string piece(Token id) const override { return {static_cast<char>(id)}; }
};

std::vector<std::string> sentences(size_t n, size_t longest = 30) {
  Random random(9);
  std::vector<std::string> texts;
  for (size_t i = 0; i < n; ++i) {
    std::string& text = texts.emplace_back();
    for (size_t k = 1 + random.below(longest); k-- > 0;)
      text += static_cast<char>('a' + random.below(26));
  }
  return texts;
}

std::vector<std::string_view> views(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

// What a sink got, text by text.
struct Collected {
  std::vector<std::vector<float>> vectors;  // (n_text) each (n_vector, dim)
  std::vector<DepthTrace> trace;
  std::vector<size_t> sizes;  // of the blocks

  void operator()(const EmbeddedBlock& block) {
    EXPECT_EQ(block.begin, vectors.size());
    EXPECT_EQ(block.ids.size(), block.size());
    EXPECT_EQ(block.vectors.size(), block.n_vector * block.size() * block.dim);
    for (size_t i = 0; i < block.size(); ++i) {
      std::vector<float>& all = vectors.emplace_back();
      for (size_t v = 0; v < block.n_vector; ++v)
        all.insert(all.end(), block.row(v, i).begin(), block.row(v, i).end());
    }
    trace.insert(trace.end(), block.trace.begin(), block.trace.end());
    sizes.push_back(block.size());
  }
};

// The same by Encoder::encode(), one text a call.
std::vector<float> alone(const Encoder& encoder, std::string_view text) {
  Workspace work(1);
  std::vector<float> out(encoder.n_vector() * encoder.dim());
  encoder.encode(std::vector<std::vector<Token>>{ByteTokenizer().encode(text)}, out, work);
  return out;
}

Model a_model() { return open_blinkdl(small(Version::kV6), cpu_backend()); }

TEST(EmbedTexts, GivesEveryTextInOrderInBlocks) {
  const Model model = a_model();
  EncodeOptions options = all_layers(3);
  options.batch_tokens = 50;
  const Encoder encoder(model, options);
  const auto texts = sentences(60);
  Workspace work(2);
  Collected got;
  std::vector<size_t> progress;
  const EncodeStats stats =
      embed_texts(encoder, ByteTokenizer(), views(texts), work, std::ref(got),
                  {.max_texts = 25, .progress = [&](size_t n) { progress.push_back(n); }});
  ASSERT_EQ(got.vectors.size(), texts.size());
  size_t n_token = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_TRUE(same_bits(got.vectors[i], alone(encoder, texts[i]))) << i;
    n_token += texts[i].size();
  }
  EXPECT_EQ(got.sizes, (std::vector<size_t>{25, 25, 10}));
  EXPECT_EQ(progress, (std::vector<size_t>{25, 50, 60}));
  EXPECT_EQ(stats.n_token, n_token);
  EXPECT_TRUE(got.trace.empty());
}

// A block ends when it holds enough tokens for many batches, and where vectors are long.
TEST(EmbedTexts, BoundsBlocksByTokensToo) {
  const Model model = a_model();
  EncodeOptions options;
  options.layers = {1};
  options.batch_tokens = 10;
  const auto texts = sentences(100);
  Workspace work(1);
  Collected got;
  embed_texts(Encoder(model, options), ByteTokenizer(), views(texts), work, std::ref(got));
  EXPECT_EQ(got.vectors.size(), texts.size());
  EXPECT_GT(got.sizes.size(), 3u);
}

// A text whose tokens are never all held has the bits of one that is.
TEST(EmbedTexts, StreamsLongTextsToTheSameBits) {
  const Model model = a_model();
  std::string longest;
  for (size_t i = 0; i < 700; ++i) longest += static_cast<char>(' ' + i % 37);
  const std::vector<std::string_view> texts = {"ab", longest, "cd",
                                               std::string_view(longest).substr(0, 301)};
  class Bytes final : public ByteTokenizer {  // in parts
   public:
    bool takes_parts() const override { return true; }
    size_t encode_front(std::string_view text, std::vector<Token>& out) const override {
      encode(text, out);
      return text.size();
    }
  };
  std::vector<EncodeOptions> readings(6, all_layers(3));
  readings[1].pooling = Pooling::kLast;
  readings[2].pooling = Pooling::kWeighted;
  readings[2].bos = 3;
  readings[3].pooling = Pooling::kEos;
  readings[3].eos = 5;
  readings[3].bos = 1;
  readings[4].pooling = Pooling::kMax;
  readings[4].normalize = true;
  readings[5].scan = Scan::kEcho;  // has to be held
  for (EncodeOptions options : readings)
    for (size_t budget : {1u, 64u, 300u, 2000u}) {
      options.batch_tokens = budget;
      const Encoder encoder(model, options);
      Workspace work(2);
      Collected want, got;
      const EncodeStats held = embed_texts(encoder, Bytes(), texts, work, std::ref(want));
      TextSpan source(texts);
      const EncodeStats streamed =
          embed_stream(encoder, Bytes(), source, work, std::ref(got), {}, 100);
      EXPECT_EQ(held.n_token, streamed.n_token);
      ASSERT_EQ(got.vectors.size(), want.vectors.size());
      for (size_t i = 0; i < texts.size(); ++i)
        EXPECT_TRUE(same_bits(got.vectors[i], want.vectors[i])) << budget << " text " << i;
    }
}

TEST(EmbedTexts, TakesNoTexts) {
  const Model model = a_model();
  const Encoder encoder(model, all_layers(3));
  Workspace work(1);
  Collected got;
  const EncodeStats stats = embed_texts(encoder, ByteTokenizer(), {}, work, std::ref(got));
  EXPECT_TRUE(got.sizes.empty());
  EXPECT_EQ(stats.n_token, 0u);
}

TEST(EmbedTexts, GivesTracesAndKeepsPairsTogether) {
  const Model model = a_model();
  const ErraticPolicy policy(true);
  const Encoder encoder(model, {}, &policy);
  const auto texts = sentences(22);
  Workspace work(1);
  Collected got;
  embed_texts(encoder, ByteTokenizer(), views(texts), work, std::ref(got), {.max_texts = 5});
  EXPECT_EQ(got.sizes, (std::vector<size_t>{4, 4, 4, 4, 4, 2}));
  ASSERT_EQ(got.trace.size(), texts.size());
  Texts ids;
  for (const auto& text : texts) ids.push_back(ByteTokenizer().encode(text));
  const DepthEncoded want = encode_depth(model, policy, {}, ids);
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(got.trace[i].exit_layer, want.trace[i].exit_layer);
    EXPECT_TRUE(same_bits(got.vectors[i], want.row(i)));
  }
  const std::vector<std::string_view> odd = {"a", "b", "c"};
  EXPECT_THAT([&] { embed_texts(encoder, ByteTokenizer(), odd, work, std::ref(got)); },
              ThrowsMessage<Error>(HasSubstr("expected an even number of texts, got 3")));
}

TEST(EmbedTexts, KeepsSoManyTextsTogether) {
  const Model model = a_model();
  const Encoder encoder(model, all_layers(3));
  const auto texts = sentences(14);
  Workspace work(1);
  Collected got;
  embed_texts(encoder, ByteTokenizer(), views(texts), work, std::ref(got),
              {.together = 3, .max_texts = 4});
  EXPECT_EQ(got.sizes, (std::vector<size_t>{3, 3, 3, 3, 2}));
}

TEST(EmbedTexts, TextsWithoutATokenAreRefusedByNameOrZero) {
  const Model model = a_model();
  const Encoder encoder(model, all_layers(3));
  const std::vector<std::string_view> texts = {"one", "", "three", ""};
  Workspace work(1);
  Collected got;
  const auto run = [&](EmbedTextsOptions options) {
    embed_texts(encoder, ByteTokenizer(), texts, work, std::ref(got), options);
  };
  EXPECT_THAT([&] { run({}); }, ThrowsMessage<Error>(HasSubstr("text 2: no token in it")));
  EXPECT_THAT([&] { run({.place = [](size_t i) { return concat("s.txt, line ", i + 10); }}); },
              ThrowsMessage<Error>(HasSubstr("s.txt, line 11: no token in it")));
  EXPECT_TRUE(got.vectors.empty());
  run({.no_tokens = NoTokens::kZero});
  ASSERT_EQ(got.vectors.size(), 4u);
  const std::vector<float> zeros(got.vectors[0].size());
  EXPECT_TRUE(same_bits(got.vectors[0], alone(encoder, "one")));
  EXPECT_TRUE(same_bits(got.vectors[1], zeros));
  EXPECT_TRUE(same_bits(got.vectors[2], alone(encoder, "three")));
  EXPECT_TRUE(same_bits(got.vectors[3], zeros));
  // A pair without one of its sentences is no pair.
  const ErraticPolicy policy(true);
  const Encoder by_pair(model, {}, &policy);
  EXPECT_THROW(embed_texts(by_pair, ByteTokenizer(), texts, work, std::ref(got),
                           {.no_tokens = NoTokens::kZero}),
               Error);
}

// Asks for a stop when the first batch has begun, and counts batches.
class StoppingPolicy final : public DepthPolicy {
 public:
  explicit StoppingPolicy(std::stop_source& stop) : stop_(stop) {}
  std::string name() const override { return "stopping"; }
  void decide(const Boundary& at, std::span<Step> steps) const override {
    std::ranges::fill(steps, Step::kStop);
    n_batch += at.layer == 0;
    stop_.request_stop();
  }
  mutable std::atomic<size_t> n_batch = 0;

 private:
  std::stop_source& stop_;
};

TEST(EmbedTexts, StopsBetweenTwoBatches) {
  const Model model = a_model();
  std::stop_source stop;
  const StoppingPolicy policy(stop);
  EncodeOptions options;
  options.batch_tokens = 10;
  const Encoder encoder(model, options, &policy);
  const auto texts = sentences(40);
  Workspace work(1);
  Collected got;
  EXPECT_THROW(embed_texts(encoder, ByteTokenizer(), views(texts), work, std::ref(got),
                           {.stop = stop.get_token()}),
               Stopped);
  EXPECT_EQ(policy.n_batch, 1u) << "of many in the first block";
  EXPECT_TRUE(got.sizes.empty());
}

TEST(EmbedTexts, StopsFromAnotherThreadBehindAWholeBlock) {
  const Model model = a_model();
  const Encoder encoder(model, all_layers(3));
  const auto texts = sentences(40);
  Workspace work(1);
  std::stop_source stop;
  Collected got;
  const auto sink = [&](const EmbeddedBlock& block) {
    got(block);
    std::jthread([&] { stop.request_stop(); });
  };
  EXPECT_THAT(
      [&] {
        embed_texts(encoder, ByteTokenizer(), views(texts), work, sink,
                    {.max_texts = 8, .stop = stop.get_token()});
      },
      ThrowsMessage<Stopped>(HasSubstr("stopped before all texts were done")));
  EXPECT_EQ(got.sizes, (std::vector<size_t>{8}));
}

TEST(EmbedTexts, PassesOnWhatTheSinkThrows) {
  const Model model = a_model();
  const Encoder encoder(model, all_layers(3));
  const auto texts = sentences(40);
  Workspace work(1);
  EXPECT_THAT(
      [&] {
        embed_texts(encoder, ByteTokenizer(), views(texts), work,
                    [](const EmbeddedBlock& block) { throw Error(concat("full at ", block.end)); },
                    {.max_texts = 8});
      },
      ThrowsMessage<Error>(HasSubstr("full at 8")));
}

}  // namespace
}  // namespace fathom::test::embed_texts_test
