// SPDX-License-Identifier: Apache-2.0
// State pooling: equal to the states of a trace at every layer, whatever shares the batch.
#include "encode/state_pooling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "encode/encoder.h"
#include "encode/trace.h"
#include "model/run_model.h"

namespace fathom::test::state_pooling_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

using Texts = std::vector<std::vector<Token>>;

constexpr Pooling kForms[] = {Pooling::kState, Pooling::kStateRows, Pooling::kStateCols};
constexpr Version kVersions[] = {Version::kV4,   Version::kV5_0, Version::kV5_1,
                                 Version::kV5_2, Version::kV6,   Version::kV7};

SyntheticModel small(Version version) {
  Shape s;
  s.version = version;
  s.n_layer = 3;
  s.d_model = 40;
  s.d_ffn = 65;
  s.head_size = 20;
  return make_model(s);
}

Texts some_texts() {
  Texts texts;
  for (size_t n : {5, 1, 33, 16, 2}) texts.push_back(random_ids(n, 37, 70 + texts.size()));
  return texts;
}

EncodeOptions state_options(Pooling pooling, std::vector<size_t> layers = {1, 2, 3}) {
  EncodeOptions options;
  options.layers = std::move(layers);
  options.pooling = pooling;
  return options;
}

std::vector<float> encode(const Model& model, const EncodeOptions& options, const Texts& texts,
                          EncodeStats* stats = nullptr) {
  const Encoder encoder(model, options);
  Workspace work(2);
  std::vector<float> out(options.layers.size() * texts.size() * encoder.dim());
  const EncodeStats s = encoder.encode(texts, out, work);
  if (stats) *stats = s;
  return out;
}

// The pooled state of block `layer` - 1, by definition.
std::vector<double> naive(Pooling pooling, const Config& c, std::span<const float> wkv) {
  std::vector<double> out;
  if (c.version == Version::kV4) {
    for (size_t i = 0; i < c.d_att; ++i) out.push_back(double{wkv[i]} / wkv[c.d_att + i]);
    return out;
  }
  if (pooling == Pooling::kState) return {wkv.begin(), wkv.end()};
  const size_t n = c.head_size;
  for (size_t h = 0; h < c.n_head(); ++h)
    for (size_t i = 0; i < n; ++i) {
      double sum = 0;
      for (size_t j = 0; j < n; ++j)
        sum += wkv[h * n * n + (pooling == Pooling::kStateRows ? i * n + j : j * n + i)];
      out.push_back(sum / static_cast<double>(n));
    }
  return out;
}

TEST(StatePooling, MeansOfRowsAndColumnsOfEachHead) {
  Config c;
  c.version = Version::kV6;
  c.d_att = 4;
  c.head_size = 2;
  const float wkv[] = {1, 2, 3, 5, -1, 0, 0, 7};
  std::vector<float> out(4);
  pool_state(Pooling::kStateRows, c, wkv, out);
  EXPECT_THAT(out, ElementsAre(1.5f, 4, -0.5f, 3.5f));
  pool_state(Pooling::kStateCols, c, wkv, out);
  EXPECT_THAT(out, ElementsAre(2, 3.5f, -0.5f, 3.5f));
  out.resize(8);
  pool_state(Pooling::kState, c, wkv, out);
  EXPECT_THAT(out, testing::ElementsAreArray(wkv));
}

TEST(StatePooling, OfVersion4IsTheWeightedAverage) {
  Config c;
  c.version = Version::kV4;
  c.d_att = 2;
  c.head_size = 1;
  const float wkv[] = {3, -8, /* bb */ 2, 4, /* pp */ 9, -9};
  for (Pooling pooling : kForms) {
    EXPECT_EQ(pooled_dim(pooling, c), 2u);
    std::vector<float> out(2);
    pool_state(pooling, c, wkv, out);
    EXPECT_THAT(out, ElementsAre(1.5f, -2));
  }
}

TEST(StatePooling, SaysWhichAxisARowIs) {
  EXPECT_EQ(state_meaning(Pooling::kState, state_layout(Version::kV6)), "S[head][key][value]");
  EXPECT_EQ(state_meaning(Pooling::kState, state_layout(Version::kV7)), "S[head][value][key]");
  EXPECT_THAT(state_meaning(Pooling::kStateRows, state_layout(Version::kV5_2)),
              AllOf(HasSubstr("mean over the values"), HasSubstr("one number a key channel")));
  EXPECT_THAT(state_meaning(Pooling::kStateCols, state_layout(Version::kV6)),
              HasSubstr("a value channel"));
  EXPECT_THAT(state_meaning(Pooling::kStateRows, state_layout(Version::kV7)),
              HasSubstr("a value channel"));
  EXPECT_THAT(state_meaning(Pooling::kStateCols, state_layout(Version::kV7)),
              HasSubstr("a key channel"));
  EXPECT_THAT(state_meaning(Pooling::kStateRows, state_layout(Version::kV4)), HasSubstr("aa / bb"));
}

TEST(StatePooling, IsTheStateOfTheTraceAtEveryLayer) {
  const Texts texts = some_texts();
  for (Version version : kVersions) {
    const Model model = open_blinkdl(small(version), cpu_backend());
    const Config& c = model.config();
    Workspace work(1);
    for (Pooling pooling : kForms) {
      const EncodeOptions options = state_options(pooling);
      const size_t dim = Encoder(model, options).dim();
      const bool whole = pooling == Pooling::kState && version != Version::kV4;
      EXPECT_EQ(dim, whole ? 40u * 20u : 40u);
      const auto got = encode(model, options, texts);
      for (size_t t = 0; t < texts.size(); ++t) {
        Trace trace_of = trace(model, texts[t], {}, work);
        for (size_t i = 0; i < 3; ++i) {
          const auto row = std::span(got).subspan((i * texts.size() + t) * dim, dim);
          const auto want = naive(pooling, c, trace_of.state.wkv(i));
          EXPECT_LE(relative_error(row, want), 1e-6)
              << name_of(version) << " " << name_of(pooling) << " layer " << i + 1 << " text " << t;
          if (whole && model.backend().rows_are_exact(Compute::kF32)) {
            EXPECT_TRUE(same_bits(row, trace_of.state.wkv(i)));
          }
        }
      }
    }
  }
}

TEST(StatePooling, IsTheLiteralState) {
  for (Version version : kVersions) {
    const SyntheticModel m = small(version);
    const Model model = open_blinkdl(m, cpu_backend());
    const auto ids = random_ids(19, 37, 4);
    const Expected e(m, ids);
    const auto got = encode(model, state_options(Pooling::kState), {ids});
    const size_t dim = got.size() / 3;
    for (size_t i = 0; i < 3; ++i) {
      LiteralRwkv::Row want = e.exact.carried[i].wkv, noisy = e.noisy.carried[i].wkv;
      if (version == Version::kV4) {
        want = e.exact.carried[i].aa;
        noisy = e.noisy.carried[i].aa;
        for (size_t k = 0; k < dim; ++k) {
          want[k] /= e.exact.carried[i].bb[k];
          noisy[k] /= e.noisy.carried[i].bb[k];
        }
      }
      expect_near(std::span(got).subspan(i * dim, dim), want, noisy,
                  concat("v", name_of(version), " layer ", i + 1));
    }
  }
}

TEST(StatePooling, DependsOnItsOwnTokensOnly) {
  const Texts texts = some_texts();
  for (Version version : {Version::kV4, Version::kV6, Version::kV7}) {
    const Model model = open_blinkdl(small(version), cpu_backend());
    if (!model.backend().rows_are_exact(Compute::kF32)) GTEST_SKIP() << "products are not exact";
    for (Pooling pooling : kForms) {
      EncodeOptions options = state_options(pooling);
      EncodeStats stats;
      const auto packed = encode(model, options, texts, &stats);
      EXPECT_EQ(stats.n_batch, 1u);
      for (size_t budget : {1, 7, 16, 34}) {  // in pieces; some together
        options.batch_tokens = budget;
        EXPECT_TRUE(same_bits(encode(model, options, texts, &stats), packed)) << budget;
        EXPECT_GT(stats.n_batch, 1u);
      }
      options.batch_tokens = 1024;
      const size_t dim = packed.size() / 3 / texts.size();
      for (size_t t = 0; t < texts.size(); ++t) {
        const auto alone = encode(model, options, {texts[t]});
        for (size_t i = 0; i < 3; ++i)
          EXPECT_TRUE(same_bits(std::span(alone).subspan(i * dim, dim),
                                std::span(packed).subspan((i * texts.size() + t) * dim, dim)));
      }
    }
  }
}

TEST(StatePooling, ChosenLayersKeepTheirOrderAndTheDeepestIsTheLastToRun) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  const Texts texts = some_texts();
  const auto all = encode(model, state_options(Pooling::kStateRows), texts);
  EncodeStats stats;
  const auto some = encode(model, state_options(Pooling::kStateRows, {2, 1, 2}), texts, &stats);
  EXPECT_EQ(stats.n_block_run, 2u);
  const size_t n = texts.size() * 40;
  EXPECT_TRUE(same_bits(std::span(some).subspan(0, n), std::span(all).subspan(n, n)));
  EXPECT_TRUE(same_bits(std::span(some).subspan(n, n), std::span(all).subspan(0, n)));
  EXPECT_TRUE(same_bits(std::span(some).subspan(2 * n, n), std::span(all).subspan(n, n)));
}

TEST(StatePooling, TakesScansAndBos) {
  const Model model = open_blinkdl(small(Version::kV7), cpu_backend());
  const std::vector<Token> text = random_ids(11, 37, 8);
  std::vector<Token> with_bos = text, reversed, twice;
  with_bos.insert(with_bos.begin(), 4);
  reversed = with_bos;
  std::reverse(reversed.begin() + 1, reversed.end());
  twice = with_bos;
  twice.insert(twice.end(), with_bos.begin(), with_bos.end());
  EncodeOptions plain = state_options(Pooling::kStateCols), options = plain;
  options.bos = 4;
  const auto forward = encode(model, options, {text});
  EXPECT_EQ(forward, encode(model, plain, {with_bos}));
  options.scan = Scan::kReverse;
  const auto reverse = encode(model, options, {text});
  EXPECT_EQ(reverse, encode(model, plain, {reversed}));
  options.scan = Scan::kEcho;
  EXPECT_EQ(encode(model, options, {text}), encode(model, plain, {twice}));
  options.scan = Scan::kBoth;
  const auto both = encode(model, options, {text});
  for (size_t i = 0; i < both.size(); ++i) EXPECT_EQ(both[i], (forward[i] + reverse[i]) / 2);
}

TEST(StatePooling, NormalisesAndStartsFromATunedState) {
  SyntheticModel m = small(Version::kV6);
  for (size_t i = 0; i < 3; ++i)
    m.arrays.push_back(
        {concat("blocks.", i, ".att.time_state"), {2, 20, 20}, std::vector<float>(800, 0.5f)});
  const Model model = open_blinkdl(m, cpu_backend());
  EncodeOptions options = state_options(Pooling::kState);
  options.normalize = true;
  const Texts texts = some_texts();
  const auto got = encode(model, options, texts);
  Workspace work(1);
  for (size_t t = 0; t < texts.size(); ++t) {
    Trace trace_of = trace(model, texts[t], {}, work);
    for (size_t i = 0; i < 3; ++i) {
      const auto row = std::span(got).subspan((i * texts.size() + t) * 800, 800);
      double length = 0;
      for (float v : row) length += double{v} * v;
      EXPECT_NEAR(length, 1, 1e-6);
      EXPECT_NEAR(cosine(row, trace_of.state.wkv(i)), 1, 1e-6);
    }
  }
}

// 256 MiB of states at a time, however short the texts are.
TEST(StatePooling, StatesOfABatchAreBounded) {
  Shape s;
  s.version = Version::kV6;
  s.n_layer = 2;
  s.d_model = 512;
  s.d_ffn = 32;
  s.head_size = 128;
  const Model model = open_blinkdl(make_model(s), cpu_backend());
  const size_t state_bytes = 4 * 2 * (2 * 512 + 512 * 128);
  const size_t at_a_time = (size_t{256} << 20) / state_bytes;
  const Texts texts(at_a_time + 1, std::vector<Token>{3});
  EncodeStats stats;
  EncodeOptions options = state_options(Pooling::kStateRows, {1});
  options.batch_tokens = 2 * texts.size();
  const auto got = encode(model, options, texts, &stats);
  EXPECT_EQ(stats.n_batch, 2u);
  EXPECT_TRUE(same_bits(std::span(got).subspan(0, 512), std::span(got).last(512)));
  options.pooling = Pooling::kMean;
  encode(model, options, texts, &stats);
  EXPECT_EQ(stats.n_batch, 1u);
}

TEST(StatePooling, LayersWithoutAStateAreRefused) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  for (Pooling pooling : kForms) {
    const auto refused = [&](std::vector<size_t> layers, const char* message) {
      EXPECT_THAT([&] { Encoder(model, state_options(pooling, layers)); },
                  ThrowsMessage<UsageError>(AllOf(HasSubstr(std::string(name_of(pooling))),
                                                  HasSubstr(message), HasSubstr("1-3"))));
    };
    refused({0}, "layer 0");
    refused({4}, "layer final");
    refused({1, 2, 0}, "layer 0");
    EncodeOptions normed = state_options(pooling);
    normed.norm = Norm::kLnOut;
    EXPECT_THAT([&] { Encoder(model, normed); },
                ThrowsMessage<UsageError>(HasSubstr("norm: expected none")));
    EXPECT_EQ(parse_pooling(name_of(pooling)), pooling);
  }
  EXPECT_THAT([] { parse_pooling("states"); }, ThrowsMessage<UsageError>(HasSubstr("state-rows")));
}

}  // namespace
}  // namespace fathom::test::state_pooling_test
