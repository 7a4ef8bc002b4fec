// SPDX-License-Identifier: Apache-2.0
// The encoder under depth policies: exactly the sublayers that a policy names run, on the rows that
// are left, and nothing else about a batch matters.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "depth/mask.h"
#include "encode/block_runs.h"
#include "encode/depth_encode.h"
#include "encode/settings.h"
#include "encode/telltale_model.h"

namespace fathom::test::depth_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr Version kTelltale[] = {Version::kV4, Version::kV6, Version::kV7};

BlockMask random_mask(size_t n_layer, Random& random) {
  BlockMask mask = BlockMask::all(n_layer);
  for (size_t l = 0; l < n_layer; ++l) {
    mask.time_mix[l] = random.below(2) == 1;
    mask.channel_mix[l] = random.below(2) == 1;
  }
  return mask;
}

// ---- which sublayers ran

TEST(Depth, TheSublayersOfAMaskRunAndNoOthers) {
  for (Version version : kTelltale) {
    const Model model = open_blinkdl(telltale_model(version, 5), cpu_backend());
    const Texts texts = some_texts();
    Random random(4);
    for (int round = 0; round < 12; ++round) {
      const BlockMask mask = random_mask(5, random);
      const MaskedDepth policy("mask", mask);
      const DepthEncoded e = encode_depth(model, policy, {}, texts);
      size_t n_time_mix = 0, n_channel_mix = 0;
      for (size_t l = 0; l < 5; ++l) {
        n_time_mix += mask.time_mix[l];
        n_channel_mix += mask.channel_mix[l];
        EXPECT_EQ(e.stats.rows[l].time_mix, mask.time_mix[l] ? 88u : 0u);
        EXPECT_EQ(e.stats.rows[l].channel_mix, mask.channel_mix[l] ? 88u : 0u);
      }
      const bool alone = version == Version::kV7 && mask.depth() > 0 && !mask.time_mix[0];
      EXPECT_EQ(e.stats.rows[0].v_first, alone ? 88u : 0u);
      for (size_t t = 0; t < texts.size(); ++t) {
        const std::vector<Step> told = steps_told(e.row(t), 5);
        for (size_t l = 0; l < 5; ++l) EXPECT_EQ(told[l], mask.step(l)) << name_of(version);
        EXPECT_EQ(e.trace[t].n_time_mix, n_time_mix);
        EXPECT_EQ(e.trace[t].n_channel_mix, n_channel_mix);
        EXPECT_EQ(e.trace[t].n_sublayer(), mask.n_kept());
        EXPECT_EQ(e.trace[t].exit_layer, mask.depth());
        EXPECT_EQ(e.trace[t].v_first_alone, alone);
      }
    }
  }
}

TEST(Depth, EverySequenceTakesItsOwnSteps) {
  for (Version version : kTelltale) {
    const Model model = open_blinkdl(telltale_model(version, 6), cpu_backend());
    const ErraticPolicy policy;
    const Texts texts = some_texts();
    const DepthEncoded e = encode_depth(model, policy, {}, texts);
    std::vector<size_t> exits;
    for (size_t t = 0; t < texts.size(); ++t) {
      const std::vector<Step> told = steps_told(e.row(t), 6);
      size_t n_time_mix = 0, n_channel_mix = 0;
      for (size_t l = 0; l < 6; ++l) {
        n_time_mix += runs(told[l], Step::kTimeMix);
        n_channel_mix += runs(told[l], Step::kChannelMix);
        if (l >= e.trace[t].exit_layer) {
          EXPECT_EQ(told[l], Step::kSkip);
        }
      }
      EXPECT_EQ(e.trace[t].n_time_mix, n_time_mix);
      EXPECT_EQ(e.trace[t].n_channel_mix, n_channel_mix);
      EXPECT_EQ(e.trace[t].confidence, static_cast<float>(e.trace[t].exit_layer));
      exits.push_back(e.trace[t].exit_layer);
    }
    EXPECT_NE(*std::ranges::min_element(exits), *std::ranges::max_element(exits));
  }
}

TEST(Depth, StoppedSequencesLeaveTheBatch) {
  const Model model = open_blinkdl(telltale_model(Version::kV6, 6), cpu_backend());
  const Texts texts = some_texts();
  const DepthEncoded e = encode_depth(model, ErraticPolicy(), {}, texts);
  std::vector<uint64_t> time_mix(6, 0), channel_mix(6, 0);
  uint64_t pooled = 0;
  for (size_t t = 0; t < texts.size(); ++t) {
    const std::vector<Step> told = steps_told(e.row(t), 6);
    for (size_t l = 0; l < 6; ++l) {
      time_mix[l] += runs(told[l], Step::kTimeMix) ? texts[t].size() : 0;
      channel_mix[l] += runs(told[l], Step::kChannelMix) ? texts[t].size() : 0;
    }
    for (size_t l = 0; l <= e.trace[t].exit_layer; ++l)
      pooled += l != 1 || e.trace[t].exit_layer == 1 ? texts[t].size() : 0;
  }
  for (size_t l = 0; l < 6; ++l) {
    EXPECT_EQ(e.stats.rows[l].time_mix, time_mix[l]);
    EXPECT_EQ(e.stats.rows[l].channel_mix, channel_mix[l]);
  }
  EXPECT_LE(pooled, e.stats.n_pooled_row);  // at boundary 1 all are pooled if one stops there
  EXPECT_EQ(e.stats.n_token, 88u);
}

TEST(Depth, NoBlockRunsOnceAllHaveStopped) {
  TimedBackend backend(cpu_backend());
  const Model model = open_blinkdl(small(Version::kV6, 12), backend);
  for (size_t depth : {0, 1, 5, 12}) {
    backend.reset();
    const DepthEncoded e = encode_depth(model, FixedDepth(depth), {}, some_texts());
    EXPECT_EQ(n_block_run(backend), depth);
    EXPECT_EQ(e.stats.n_block_run, depth);
  }
}

// ---- the same bits as all layers

TEST(Depth, FixedIsThatLayerOfAllLayers) {
  for (Version version : {Version::kV4, Version::kV5_2, Version::kV6, Version::kV7}) {
    const Model model = open_blinkdl(small(version), cpu_backend());
    const Texts texts = some_texts();
    for (Pooling pooling : {Pooling::kMean, Pooling::kMax})
      for (Norm norm : {Norm::kNone, Norm::kLnOut})
        for (Scan scan : {Scan::kForward, Scan::kBoth, Scan::kEcho}) {
          if (pooling == Pooling::kMax && scan != Scan::kForward) continue;
          EncodeOptions options = all_layers(3);
          options.pooling = pooling;
          options.norm = norm;
          options.scan = scan;
          options.bos = 3;
          const Encoded all = encode(model, options, texts);
          options.layers.clear();
          for (size_t depth = 0; depth <= 3; ++depth) {
            const DepthEncoded e = encode_depth(model, FixedDepth(depth), options, texts);
            for (size_t t = 0; t < texts.size(); ++t)
              EXPECT_TRUE(same_bits(e.row(t), row(all, depth, t, texts.size())));
          }
          const MaskedDepth keep_all("mask", BlockMask::all(3));
          const DepthEncoded e = encode_depth(model, keep_all, options, texts);
          for (size_t t = 0; t < texts.size(); ++t)
            EXPECT_TRUE(same_bits(e.row(t), row(all, 3, t, texts.size())));
        }
  }
}

TEST(Depth, NormalisesWhatItReturns) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  EncodeOptions options;
  options.normalize = true;
  const DepthEncoded e = encode_depth(model, FixedDepth(2), options, some_texts());
  for (size_t t = 0; t < e.trace.size(); ++t)
    EXPECT_NEAR(std::inner_product(e.row(t).begin(), e.row(t).end(), e.row(t).begin(), 0.0), 1,
                1e-6);
}

// ---- against one sequence at a time, straight through the model; neighbours, budgets, threads

class EveryDepthSetting : public SettingTest {};

std::vector<Setting> settings() {
  std::vector<Setting> all = cpu_settings();
  all.push_back({Version::kV7, &reference_backend(), Compute::kF32});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Settings, EveryDepthSetting, testing::ValuesIn(settings()), setting_name);

TEST_P(EveryDepthSetting, EqualsOneSequenceStraightThroughTheModel) {
  const Model model = open(5);
  const Texts texts = some_texts();
  Workspace work(1);
  for (const auto& [seed, norm] : {std::pair<uint64_t, Norm>{1, Norm::kNone}, {2, Norm::kLnOut}}) {
    const ErraticPolicy policy(false, seed);
    EncodeOptions options;
    options.norm = norm;
    const DepthEncoded e = encode_depth(model, policy, options, texts);
    for (size_t t = 0; t < texts.size(); ++t) {
      SimpleDepth simple(model, texts[t], work);
      std::vector<float> now, before;
      for (size_t layer = 0;; ++layer) {
        now =
            policy.reads_pooled(layer) ? simple.pooled(Pooling::kMean, norm) : std::vector<float>();
        const Step step = policy.step_for(layer, now, before);
        if (layer == 5 || step == Step::kStop) {
          EXPECT_EQ(e.trace[t].exit_layer, layer);
          EXPECT_TRUE(same_bits(e.row(t), simple.pooled(Pooling::kMean, norm)));
          break;
        }
        simple.run(layer, step);
        if (!now.empty()) before = now;
      }
    }
  }
}

TEST_P(EveryDepthSetting, AnEmbeddingDependsOnItsOwnTokensOnly) {
  const Model model = open(5);
  Texts texts = some_texts();
  texts.push_back(random_ids(70, 37, 90));
  const size_t n = texts.size();
  const ErraticPolicy policy;
  for (Pooling pooling : {Pooling::kMean, Pooling::kMax}) {
    EncodeOptions options;
    options.pooling = pooling;
    const DepthEncoded expected = encode_depth(model, policy, options, texts);
    EXPECT_EQ(expected.stats.n_batch, 1u);
    const auto expect_same = [&](const DepthEncoded& e, const char* what) {
      EXPECT_TRUE(same_bits(e.values, expected.values)) << what;
      for (size_t t = 0; t < n; ++t) {
        EXPECT_EQ(e.trace[t].exit_layer, expected.trace[t].exit_layer) << what;
        EXPECT_EQ(e.trace[t].n_sublayer(), expected.trace[t].n_sublayer()) << what;
      }
    };
    // Budgets: long texts in pieces inside a batch, several batches.
    const std::vector<size_t> budgets =
        pooling == Pooling::kMean ? std::vector<size_t>{5, 33, 64} : std::vector<size_t>{17};
    for (size_t budget : budgets) {
      options.batch_tokens = budget;
      const DepthEncoded e = encode_depth(model, policy, options, texts, 2);
      EXPECT_EQ(e.stats.n_token, expected.stats.n_token);
      expect_same(e, concat("budget ", budget).c_str());
    }
    options.batch_tokens = 1024;
    expect_same(encode_depth(model, policy, options, texts, 3), "threads");
    const DepthEncoded reversed =
        encode_depth(model, policy, options, Texts(texts.rbegin(), texts.rend()));
    for (size_t t = 0; t < n; ++t) {
      EXPECT_TRUE(same_bits(reversed.row(n - 1 - t), expected.row(t)));
      EXPECT_TRUE(
          same_bits(encode_depth(model, policy, options, {texts[t]}).row(0), expected.row(t)));
    }
  }
}

TEST_P(EveryDepthSetting, ALongTextUnderAMaskRunsInPieces) {
  const Model model = open(5);
  const Texts texts = {random_ids(150, 37, 1), random_ids(3, 37, 2), random_ids(64, 37, 3)};
  Random random(8);
  for (int round = 0; round < 2; ++round) {
    const MaskedDepth policy("mask", random_mask(5, random));
    EncodeOptions options;
    const DepthEncoded whole = encode_depth(model, policy, options, texts);
    options.batch_tokens = 64;
    const DepthEncoded pieces = encode_depth(model, policy, options, texts);
    EXPECT_EQ(pieces.stats.n_batch, 3u + 1u + 1u);
    EXPECT_TRUE(same_bits(pieces.values, whole.values));
    for (size_t t = 0; t < 3; ++t)
      EXPECT_EQ(pieces.trace[t].n_sublayer(), whole.trace[t].n_sublayer());
  }
}

TEST(Depth, EchoIsReadOnceMoreAndPooledThere) {
  const Model model = open_blinkdl(small(Version::kV7, 5), cpu_backend());
  const Texts texts = some_texts();
  EncodeOptions options;
  options.scan = Scan::kEcho;
  const DepthEncoded whole = encode_depth(model, ErraticPolicy(), options, texts);
  EXPECT_EQ(whole.stats.n_token, 176u);
  options.batch_tokens = 7;
  EXPECT_TRUE(same_bits(encode_depth(model, ErraticPolicy(), options, texts).values, whole.values));
}

TEST(Depth, AStateTunedModelStartsEveryTextFromItsState) {
  SyntheticModel m = small(Version::kV6, 5);
  Random random(3);
  for (size_t i = 0; i < 5; ++i) {
    Array a{concat("blocks.", i, ".att.time_state"), {2, 20, 20}, {}};
    for (size_t j = 0; j < 800; ++j)
      a.values.push_back(static_cast<float>(random.below(9)) / 4 - 1);
    m.arrays.push_back(std::move(a));
  }
  const Model model = open_blinkdl(m, cpu_backend());
  const Texts texts = some_texts();
  EncodeOptions options;
  const DepthEncoded packed = encode_depth(model, ErraticPolicy(), options, texts);
  for (size_t t = 0; t < texts.size(); ++t)
    EXPECT_TRUE(
        same_bits(encode_depth(model, ErraticPolicy(), options, {texts[t]}).row(0), packed.row(t)));
  options.batch_tokens = 7;
  EXPECT_TRUE(
      same_bits(encode_depth(model, ErraticPolicy(), options, texts).values, packed.values));
}

// ---- pairs

TEST(Depth, APairTakesEveryStepTogether) {
  for (Version version : kTelltale) {
    const Model model = open_blinkdl(telltale_model(version, 6), cpu_backend());
    Texts texts = some_texts();
    texts.push_back(random_ids(40, 37, 5));
    texts.push_back(random_ids(2, 37, 6));
    const ErraticPolicy policy(true);
    EncodeOptions options;
    const DepthEncoded e = encode_depth(model, policy, options, texts);
    for (size_t t = 0; t < texts.size(); t += 2) {
      EXPECT_EQ(e.trace[t].exit_layer, e.trace[t + 1].exit_layer);
      EXPECT_EQ(steps_told(e.row(t), 6), steps_told(e.row(t + 1), 6));
      // The same alone, and whatever the budget.
      const DepthEncoded alone = encode_depth(model, policy, options, {texts[t], texts[t + 1]});
      EXPECT_TRUE(same_bits(alone.row(0), e.row(t)));
      EXPECT_TRUE(same_bits(alone.row(1), e.row(t + 1)));
    }
    for (size_t budget : {3, 39}) {
      options.batch_tokens = budget;
      EXPECT_TRUE(same_bits(encode_depth(model, policy, options, texts).values, e.values));
    }
  }
}

TEST(Depth, RefusesAnOddNumberOfTextsByPair) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  EXPECT_THAT(
      [&] {
        encode_depth(model, ErraticPolicy(true), {}, {{1}, {2}, {3}});
      },
      ThrowsMessage<Error>(AllOf(HasSubstr("erratic"), HasSubstr("even"), HasSubstr("got 3"))));
}

// ---- refusals

TEST(Depth, RefusesOptionsThatCannotBe) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  const ErraticPolicy policy;
  const auto refused = [&](EncodeOptions options, const char* why) {
    EXPECT_THAT([&] { Encoder(model, options, &policy); },
                ThrowsMessage<UsageError>(AllOf(HasSubstr("`depth` erratic"), HasSubstr(why))));
  };
  EncodeOptions layers;
  layers.layers = {1};
  refused(layers, "layers: expected none");
  EncodeOptions both;
  both.scan = Scan::kBoth;
  refused(both, "scan: ");
  EncodeOptions state;
  state.pooling = Pooling::kState;
  refused(state, "pooling: ");
  EncodeOptions eos;
  eos.pooling = Pooling::kEos;
  EXPECT_THAT([&] { Encoder(model, eos, &policy); },
              ThrowsMessage<UsageError>(HasSubstr("`pooling` eos")));
  EncodeOptions none;
  none.batch_tokens = 0;
  EXPECT_THAT([&] { Encoder(model, none, &policy); },
              ThrowsMessage<UsageError>(HasSubstr("batch_tokens: expected at least 1")));
}

}  // namespace
}  // namespace fathom::test::depth_test
