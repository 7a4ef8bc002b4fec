// SPDX-License-Identifier: Apache-2.0
// Encoder: an embedding is what pooling the trace gives, whatever shares its batch; one pass for
// all layers; scans, BOS, norms, refusals.
#include "encode/encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "encode/batch.h"
#include "encode/block_runs.h"
#include "encode/settings.h"
#include "encode/trace.h"

namespace fathom::test::encoder_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(Encoder, PoolsTheTraceAtEveryLayer) {
  for (Version version : {Version::kV4, Version::kV5_2, Version::kV6, Version::kV7}) {
    const Model model = open_blinkdl(small(version), cpu_backend());
    const Texts texts = some_texts();
    Workspace work(1);
    for (Pooling pooling : kPoolings) {
      for (Norm norm : {Norm::kNone, Norm::kLnOut}) {
        EncodeOptions options = all_layers(3);
        options.pooling = pooling;
        options.norm = norm;
        const Encoded e = encode(model, options, texts);
        for (size_t t = 0; t < texts.size(); ++t) {
          const Trace trace_of = trace(model, texts[t], {}, work);
          const size_t n = texts[t].size() * 40;
          for (size_t layer = 0; layer <= 4; ++layer) {
            std::vector<float> rows(n);
            const float* hidden = trace_of.hidden.data() + std::min<size_t>(layer, 3) * n;
            std::copy_n(hidden, n, rows.data());
            if (layer == 4 || norm == Norm::kLnOut)
              model.norm_out({hidden, texts[t].size(), 40}, {rows.data(), texts[t].size(), 40},
                             work);
            EXPECT_LE(relative_error(row(e, layer, t, texts.size()), naive(pooling, rows, 40)),
                      1e-6)
                << name_of(version) << " " << name_of(pooling) << " layer " << layer << " text "
                << t;
          }
        }
      }
    }
  }
}

// ---- neighbours, budgets, threads: not a bit

class EverySetting : public SettingTest {};

std::vector<Setting> settings() {
  std::vector<Setting> all = cpu_settings();
  all.push_back({Version::kV6, &reference_backend(), Compute::kF32});
  all.push_back({Version::kV7, &reference_backend(), Compute::kBF16});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Settings, EverySetting, testing::ValuesIn(settings()), setting_name);

TEST_P(EverySetting, AnEmbeddingDependsOnItsOwnTokensOnly) {
  const Model model = open();
  const Texts texts = some_texts();
  const size_t n = texts.size();
  for (Pooling pooling : kPoolings) {
    EncodeOptions options = all_layers(3);
    options.pooling = pooling;
    const Encoded expected = encode(model, options, texts);
    EXPECT_EQ(expected.stats.n_batch, 1u);
    // Budgets: pieces of 1 and 7 tokens, a few texts a batch, one text a batch.
    for (size_t budget : {1, 7, 17, 33, 34}) {
      options.batch_tokens = budget;
      const Encoded e = encode(model, options, texts, 2);
      EXPECT_GT(e.stats.n_batch, 1u);
      EXPECT_EQ(e.stats.n_token, expected.stats.n_token);
      EXPECT_TRUE(same_bits(e.values, expected.values)) << name_of(pooling) << " " << budget;
    }
    options.batch_tokens = 1024;
    EXPECT_TRUE(same_bits(encode(model, options, texts, 3).values, expected.values));
    // The other order, and each alone.
    const Encoded reversed = encode(model, options, Texts(texts.rbegin(), texts.rend()));
    for (size_t t = 0; t < n; ++t) {
      const Encoded alone = encode(model, options, {texts[t]});
      for (size_t layer = 0; layer < 5; ++layer) {
        EXPECT_TRUE(same_bits(row(reversed, layer, n - 1 - t, n), row(expected, layer, t, n)));
        EXPECT_TRUE(same_bits(row(alone, layer, 0, 1), row(expected, layer, t, n)));
      }
    }
  }
}

TEST_P(EverySetting, ALongTextRunsInPiecesOnItsState) {
  const Model model = open();
  const Texts texts = {random_ids(150, 37, 1), random_ids(3, 37, 2), random_ids(64, 37, 3)};
  EncodeOptions options = all_layers(3);
  const Encoded whole = encode(model, options, texts);
  options.batch_tokens = 64;
  const Encoded pieces = encode(model, options, texts);
  EXPECT_EQ(pieces.stats.n_batch, 3u + 1u + 1u);
  EXPECT_TRUE(same_bits(pieces.values, whole.values));
}

// ---- cost

TEST(Encoder, AllLayersComeFromOnePass) {
  TimedBackend backend(cpu_backend());
  const Model model = open_blinkdl(small(Version::kV6, 12), backend);
  const Texts texts = some_texts();  // 88 tokens
  // Block runs that happened; the statistics must say the same.
  const auto blocks = [&](const char* layers, size_t budget, size_t n_batch) {
    EncodeOptions options;
    options.layers = parse_layers(layers, 12);
    options.batch_tokens = budget;
    backend.reset();
    const EncodeStats stats = encode(model, options, texts).stats;
    EXPECT_EQ(stats.n_block_run, n_block_run(backend));
    EXPECT_EQ(stats.n_batch, n_batch);
    EXPECT_EQ(stats.n_token, 88u);
    return n_block_run(backend);
  };
  EXPECT_EQ(parse_layers("all", 12).size(), 14u);
  EXPECT_EQ(blocks("all", 1024, 1), 12u);  // and not 14 * 12
  EXPECT_EQ(blocks("final", 1024, 1), 12u);
  EXPECT_EQ(blocks("12", 1024, 1), 12u);
  EXPECT_EQ(blocks("3", 1024, 1), 3u);
  EXPECT_EQ(blocks("3,1,3", 1024, 1), 3u);
  EXPECT_EQ(blocks("0", 1024, 1), 0u);
  EXPECT_EQ(blocks("all", 40, 3), 36u);  // 39, 39 and 10 tokens
}

TEST(Encoder, ChosenLayersKeepTheirOrderAndRepeats) {
  const Model model = open_blinkdl(small(Version::kV7), cpu_backend());
  const Texts texts = some_texts();
  const Encoded all = encode(model, all_layers(3), texts);
  EncodeOptions options;
  options.layers = {2, 0, 4, 2, 3};
  const Encoded some = encode(model, options, texts);
  for (size_t i = 0; i < options.layers.size(); ++i)
    for (size_t t = 0; t < texts.size(); ++t)
      EXPECT_TRUE(
          same_bits(row(some, i, t, texts.size()), row(all, options.layers[i], t, texts.size())));
}

TEST(Encoder, FinalIsLnOutOfTheLastLayer) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  const Texts texts = some_texts();
  for (Pooling pooling : kPoolings) {
    EncodeOptions options;
    options.layers = {4};
    options.pooling = pooling;
    const Encoded final = encode(model, options, texts);
    options.norm = Norm::kLnOut;
    EXPECT_TRUE(same_bits(encode(model, options, texts).values, final.values));
    options.layers = {3};
    EXPECT_TRUE(same_bits(encode(model, options, texts).values, final.values));
    options.norm = Norm::kNone;
    EXPECT_FALSE(same_bits(encode(model, options, texts).values, final.values));
  }
}

// ---- BOS, normalisation

TEST(Encoder, BosIsATokenInFrontThatIsPooledToo) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  const Texts texts = some_texts();
  Texts longer = texts;
  for (auto& t : longer) t.insert(t.begin(), 0);
  EncodeOptions options = all_layers(3);
  const Encoded expected = encode(model, options, longer);
  options.bos = 0;
  const Encoded got = encode(model, options, texts);
  EXPECT_TRUE(same_bits(got.values, expected.values));
  EXPECT_EQ(got.stats.n_token, 88u + texts.size());
  // In front of the reversed tokens as well.
  Texts backwards = reversed_tokens(texts);
  for (auto& t : backwards) t.insert(t.begin(), 0);
  options.scan = Scan::kReverse;
  const Encoded reverse = encode(model, options, texts);
  options.bos.reset();
  options.scan = Scan::kForward;
  EXPECT_TRUE(same_bits(reverse.values, encode(model, options, backwards).values));
  // It makes an empty text one token long.
  options.bos = 5;
  const Encoded only_bos = encode(model, options, {{}});
  options.bos.reset();
  EXPECT_TRUE(same_bits(only_bos.values, encode(model, options, {{5}}).values));
}

TEST(Encoder, NormalisedRowsHaveLengthOne) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  const Texts texts = some_texts();
  EncodeOptions options = all_layers(3);
  const Encoded raw = encode(model, options, texts);
  options.normalize = true;
  const Encoded unit = encode(model, options, texts);
  for (size_t i = 0; i < 5; ++i)
    for (size_t t = 0; t < texts.size(); ++t) {
      const auto u = row(unit, i, t, texts.size());
      EXPECT_NEAR(std::inner_product(u.begin(), u.end(), u.begin(), 0.0), 1, 1e-6);
      EXPECT_NEAR(cosine(u, row(raw, i, t, texts.size())), 1, 1e-6);
    }
}

TEST(Encoder, ANormalisedZeroVectorStaysZero) {
  SyntheticModel m = small(Version::kV6);
  for (Array& a : m.arrays)
    if (a.name.find(".ln0.") != std::string::npos) std::ranges::fill(a.values, 0.0f);
  const Model model = open_blinkdl(m, cpu_backend());
  EncodeOptions options;
  options.layers = {0, 1};
  options.normalize = true;
  const Encoded e = encode(model, options, {{3, 4}});
  EXPECT_THAT(std::vector<float>(e.values.begin(), e.values.begin() + 40), testing::Each(0.0f));
  for (float v : e.values) EXPECT_TRUE(std::isfinite(v));
}

TEST(Encoder, AStateTunedModelStartsEveryTextFromItsState) {
  SyntheticModel m = small(Version::kV7);
  const Model plain = open_blinkdl(m, cpu_backend());
  Random random(3);
  for (size_t i = 0; i < 3; ++i) {
    Array a{concat("blocks.", i, ".att.time_state"), {2, 20, 20}, {}};
    for (size_t j = 0; j < 800; ++j)
      a.values.push_back(static_cast<float>(random.below(9)) / 4 - 1);
    m.arrays.push_back(std::move(a));
  }
  const Model model = open_blinkdl(m, cpu_backend());
  const Texts texts = some_texts();
  EncodeOptions options = all_layers(3);
  const Encoded packed = encode(model, options, texts);
  EXPECT_EQ(packed.stats.n_batch, 1u);
  EXPECT_FALSE(same_bits(packed.values, encode(plain, options, texts).values));
  Workspace work(1);
  for (size_t t = 0; t < texts.size(); ++t) {
    const Trace trace_of = trace(model, texts[t], {}, work);
    for (size_t layer = 0; layer <= 3; ++layer)
      EXPECT_LE(relative_error(row(packed, layer, t, texts.size()),
                               std::span(trace_of.mean).subspan(layer * 40, 40)),
                1e-6);
  }
  options.batch_tokens = 7;
  EXPECT_TRUE(same_bits(encode(model, options, texts).values, packed.values));
}

// ---- progress and refusals

TEST(Encoder, ProgressCountsTextsAndEndsAtAll) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  Texts texts = some_texts();
  texts.pop_back();  // an odd number
  for (Scan scan : {Scan::kForward, Scan::kReverse, Scan::kBoth, Scan::kEcho}) {
    EncodeOptions options;
    options.layers = {1};
    options.scan = scan;
    options.batch_tokens = 16;
    const Encoder encoder(model, options);
    Workspace work(1);
    std::vector<float> out(texts.size() * 40);
    std::vector<size_t> seen;
    encoder.encode(texts, out, work, [&](size_t done) { seen.push_back(done); });
    ASSERT_GT(seen.size(), 2u);
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end())) << name_of(scan);
    EXPECT_EQ(seen.back(), texts.size()) << name_of(scan);
  }
}

TEST(Encoder, NoTextsAreNoWork) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  for (Scan scan : {Scan::kForward, Scan::kBoth}) {
    EncodeOptions options = all_layers(3);
    options.scan = scan;
    const Encoded e = encode(model, options, {});
    EXPECT_EQ(e.stats.n_batch, 0u);
    EXPECT_EQ(e.stats.n_token, 0u);
  }
}

TEST(Encoder, RefusesEmptyTextsAndUnknownTokens) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  const EncodeOptions options = all_layers(3);
  EXPECT_THAT(
      [&] {
        encode(model, options, {{1}, {}, {2}});
      },
      ThrowsMessage<Error>(AllOf(HasSubstr("text 2"), HasSubstr("empty"))));
  EXPECT_THAT(
      [&] {
        encode(model, options, {{1}, {37}});
      },
      ThrowsMessage<Error>(HasSubstr("token id 37")));
  EncodeOptions bos = options;
  bos.bos = 99;
  EXPECT_THAT([&] { encode(model, bos, {{1}}); }, ThrowsMessage<Error>(HasSubstr("token id 99")));
}

TEST(Encoder, RefusesOptionsThatCannotBe) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  EncodeOptions options;
  EXPECT_THAT([&] { Encoder(model, options); },
              ThrowsMessage<UsageError>(HasSubstr("at least one layer")));
  options.layers = {5};
  EXPECT_THAT([&] { Encoder(model, options); },
              ThrowsMessage<UsageError>(AllOf(HasSubstr("layer 5"), HasSubstr("0 to 3"))));
  options.layers = {4};
  EXPECT_NO_THROW(Encoder(model, options));
  options.batch_tokens = 0;
  EXPECT_THAT([&] { Encoder(model, options); },
              ThrowsMessage<UsageError>(HasSubstr("batch_tokens: expected at least 1")));
}

TEST(Encoder, NamesReadBack) {
  for (Norm n : {Norm::kNone, Norm::kLnOut}) EXPECT_EQ(parse_norm(name_of(n)), n);
  for (Scan s : {Scan::kForward, Scan::kReverse, Scan::kBoth, Scan::kEcho})
    EXPECT_EQ(parse_scan(name_of(s)), s);
  EXPECT_THAT([] { parse_norm("lnout"); }, ThrowsMessage<UsageError>(HasSubstr("none or ln_out")));
  EXPECT_THAT([] { parse_scan(""); },
              ThrowsMessage<UsageError>(HasSubstr("forward, reverse, both or echo")));
}

TEST(Batch, LaysSequencesEndToEnd) {
  Batch batch;
  EXPECT_EQ(batch.size(), 0u);
  const Token a[] = {1, 2, 3}, b[] = {4};
  batch.add(a);
  batch.add(b);
  EXPECT_EQ(batch.size(), 2u);
  EXPECT_THAT(std::vector<size_t>(batch.offsets().begin(), batch.offsets().end()),
              ElementsAre(0, 3, 4));
  EXPECT_THAT(std::vector<Token>(batch.tokens().begin(), batch.tokens().end()),
              ElementsAre(1, 2, 3, 4));
  EXPECT_THAT([&] { batch.add({}); }, ThrowsMessage<Error>(HasSubstr("empty")));
  batch.clear();
  EXPECT_EQ(batch.n_token(), 0u);
  EXPECT_EQ(batch.size(), 0u);
}

}  // namespace
}  // namespace fathom::test::encoder_test
