// SPDX-License-Identifier: Apache-2.0
// One batch of texts that are read in different ways and under different depth policies: every
// vector and every trace is that of the text alone, to the last bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <filesystem>
#include <memory>
#include <numeric>
#include <set>

#include "depth/exit.h"
#include "depth/mask.h"
#include "depth/route.h"
#include "encode/depth_encode.h"
#include "encode/exit_rules.h"
#include "encode/settings.h"

namespace fathom::test::mixed_test {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

// A way to read a text.
struct Way {
  Reading reading;
  const DepthPolicy* policy = nullptr;
};

std::vector<std::unique_ptr<DepthPolicy>> every_policy(size_t n_layer, size_t d_model) {
  std::vector<std::unique_ptr<DepthPolicy>> all;
  for (size_t depth : {size_t{0}, size_t{1}, n_layer})
    all.push_back(std::make_unique<FixedDepth>(depth));
  BlockMask mask = BlockMask::all(n_layer), shallow = mask;
  mask.time_mix[0] = mask.channel_mix[1] = false;
  shallow.time_mix[n_layer - 1] = shallow.channel_mix[n_layer - 1] = false;
  all.push_back(std::make_unique<MaskedDepth>("mask", mask));
  all.push_back(std::make_unique<MaskedDepth>("shallow", shallow));
  RuleMaker make(8);
  std::vector<size_t> exits(n_layer);
  std::iota(exits.begin(), exits.end(), size_t{1});
  for (bool pair : {false, true}) {
    for (Measure measure : kMeasures) {
      if (measure == Measure::kScore && !pair) continue;
      ExitRule rule = make.rule(measure, pair, n_layer, d_model, exits);
      make.add_post(rule, d_model);
      set_thresholds(rule, 0.5);
      rule.check(n_layer, d_model);
      all.push_back(std::make_unique<EarlyExit>("exit", std::move(rule)));
    }
    all.push_back(std::make_unique<ErraticPolicy>(pair, pair ? 3 : 2));
  }
  for (Router router : {Router::kCentroid, Router::kRidge}) {
    RouteRule rule;
    rule.layer = router == Router::kRidge ? 0 : 1;
    rule.router = router;
    rule.masks = {BlockMask::all(n_layer), BlockMask::all(n_layer)};
    rule.masks[1].channel_mix[n_layer - 1] = rule.masks[1].time_mix[n_layer - 1] = false;
    rule.weight = make.numbers(2 * d_model);
    if (router == Router::kRidge) rule.bias = make.numbers(2);
    rule.check(n_layer, d_model);
    all.push_back(std::make_unique<RoutedDepth>("route", std::move(rule)));
  }
  return all;
}

// Every pooling at several layers, with every scan; norms, BOS, EOS, length 1 and fewer dimensions
// change along.
std::vector<Way> layered_ways(size_t n_layer) {
  const std::vector<size_t> some[] = {
      {1}, {final_layer(n_layer)}, {2, n_layer}, {0, 1, final_layer(n_layer)}};
  std::vector<Way> ways;
  for (Pooling pooling : {Pooling::kMean, Pooling::kLast, Pooling::kMax, Pooling::kWeighted,
                          Pooling::kEos, Pooling::kState, Pooling::kStateRows, Pooling::kStateCols})
    for (Scan scan : {Scan::kForward, Scan::kReverse, Scan::kBoth, Scan::kEcho}) {
      const size_t i = ways.size();
      Reading r{.layers = some[i % 4], .pooling = pooling, .scan = scan};
      r.eos.reset();
      if (pooling == Pooling::kEos && i % 2) r.eos = 36;
      if (i % 3 == 0) r.bos = 35;
      if (pools_state(pooling))
        r.layers = i % 2 ? std::vector<size_t>{1} : std::vector<size_t>{n_layer, 2};
      else if (i % 5 < 2)
        r.norm = Norm::kLnOut;
      r.normalize = i % 4 == 1;
      if (i % 7 == 2) r.dimensions = 9;
      ways.push_back({r});
    }
  return ways;
}

std::vector<Way> policy_ways(const std::vector<std::unique_ptr<DepthPolicy>>& policies) {
  std::vector<Way> ways;
  for (const auto& policy : policies) {
    const size_t i = ways.size();
    Reading r{.pooling = kPoolings[i % 4]};
    if (i % 3 == 1) r.norm = Norm::kLnOut;
    if (i % 3 == 2) r.bos = 34;
    r.scan = i % 4 == 3 ? Scan::kEcho : i % 4 == 1 ? Scan::kReverse : Scan::kForward;
    if (policy->depth() && i % 2) r.scan = Scan::kBoth;
    r.normalize = i % 5 == 0;
    if (i % 5 == 1) r.dimensions = 3;
    ways.push_back({r, policy.get()});
  }
  return ways;
}

struct Mixed {
  Texts texts;
  std::vector<Way> ways;  // (n_text)

  // The ways in an order drawn by the seed, texts of other lengths each time.
  Mixed(std::vector<Way> all, uint64_t seed, size_t n_vocab) {
    Random random(seed);
    for (size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[random.below(i)]);
    for (const Way& way : all)
      for (size_t n = way.policy && way.policy->by_pair() ? 2 : 1; n-- > 0;) {
        const size_t length = random.below(9) == 0 ? 40 + random.below(60) : 1 + random.below(24);
        texts.push_back(random_ids(length, n_vocab, random.next()));
        ways.push_back(way);
      }
  }
};

struct Answer {
  std::vector<float> values;
  DepthTrace trace;
};

EncodeOptions options_of(const Reading& reading, size_t batch_tokens) {
  EncodeOptions options{reading, {}};
  options.batch_tokens = batch_tokens;
  return options;
}

std::vector<Answer> each_alone(const Model& model, const Mixed& mixed) {
  Workspace work(1);
  std::vector<Answer> answers;
  for (size_t i = 0; i < mixed.texts.size();) {
    const Way& way = mixed.ways[i];
    const size_t n = way.policy && way.policy->by_pair() ? 2 : 1;
    const Encoder encoder(model, options_of(way.reading, 1024), way.policy);
    const size_t dim = encoder.dim(), n_vector = encoder.n_vector();
    std::vector<float> out(n_vector * n * dim);
    std::vector<DepthTrace> trace(way.policy ? n : 0);
    encoder.encode(std::span(mixed.texts).subspan(i, n), out, work, {}, trace);
    for (size_t t = 0; t < n; ++t, ++i) {
      Answer& a = answers.emplace_back();
      for (size_t v = 0; v < n_vector; ++v) {
        const auto row = std::span(out).subspan((v * n + t) * dim, dim);
        a.values.insert(a.values.end(), row.begin(), row.end());
      }
      if (way.policy) a.trace = trace[t];
    }
  }
  return answers;
}

std::vector<Answer> all_at_once(const Encoder& encoder, const Mixed& mixed, size_t n_thread,
                                EncodeStats* stats = nullptr) {
  Workspace work(n_thread);
  std::vector<Answer> answers(mixed.texts.size());
  std::vector<Request> requests;
  for (size_t i = 0; i < mixed.texts.size(); ++i) {
    const Way& way = mixed.ways[i];
    const VectorShape shape = encoder.shape(way.reading, way.policy);
    answers[i].values.resize(shape.n_vector * shape.dim);
    requests.push_back({.tokens = mixed.texts[i],
                        .reading = &way.reading,
                        .policy = way.policy,
                        .out = answers[i].values,
                        .trace = way.policy ? &answers[i].trace : nullptr});
  }
  const EncodeStats total = encoder.encode(requests, work);
  if (stats) *stats = total;
  return answers;
}

void expect_same(const Answer& got, const Answer& want, const Way& way, size_t text) {
  const std::string what =
      concat("text ", text, ", pool ", name_of(way.reading.pooling), ", scan ",
             name_of(way.reading.scan), ", ", way.policy ? way.policy->name() : "layers");
  EXPECT_TRUE(same_bits(got.values, want.values)) << what;
  EXPECT_EQ(got.trace.exit_layer, want.trace.exit_layer) << what;
  EXPECT_EQ(got.trace.n_time_mix, want.trace.n_time_mix) << what;
  EXPECT_EQ(got.trace.n_channel_mix, want.trace.n_channel_mix) << what;
  EXPECT_EQ(got.trace.v_first_alone, want.trace.v_first_alone) << what;
  EXPECT_EQ(got.trace.route, want.trace.route) << what;
  EXPECT_EQ(got.trace.predicted_class, want.trace.predicted_class) << what;
  EXPECT_EQ(std::bit_cast<uint32_t>(got.trace.predicted_value),
            std::bit_cast<uint32_t>(want.trace.predicted_value))
      << what;
  EXPECT_EQ(std::bit_cast<uint32_t>(got.trace.confidence),
            std::bit_cast<uint32_t>(want.trace.confidence))
      << what;
}

std::vector<Way> every_way(const std::vector<std::unique_ptr<DepthPolicy>>& policies,
                           size_t n_layer) {
  std::vector<Way> ways = layered_ways(n_layer);
  for (const Way& way : policy_ways(policies)) ways.push_back(way);
  return ways;
}

// Budgets that cut texts, that hold a few, and that hold all.
void expect_as_alone(const Model& model, const Mixed& mixed) {
  const std::vector<Answer> alone = each_alone(model, mixed);
  std::set<uint32_t> exits;
  for (size_t i = 0; i < alone.size(); ++i)
    if (mixed.ways[i].policy) exits.insert(alone[i].trace.exit_layer);
  EXPECT_EQ(exits.size(), model.config().n_layer + 1) << "texts should stop at many layers";
  for (const auto& [budget, n_thread] : {std::pair<size_t, size_t>{7, 1}, {64, 3}, {4096, 2}}) {
    const Encoder encoder(model, options_of({.layers = {0}}, budget));
    const std::vector<Answer> together = all_at_once(encoder, mixed, n_thread);
    for (size_t i = 0; i < alone.size(); ++i) expect_same(together[i], alone[i], mixed.ways[i], i);
  }
}

using MixedEverySetting = SettingTest;

TEST_P(MixedEverySetting, IsEachAloneBitForBit) {
  const size_t n_layer = 4;
  const Model model = open(n_layer);
  const auto policies = every_policy(n_layer, model.config().d_model);
  expect_as_alone(model, Mixed(every_way(policies, n_layer), 1, 34));
}

INSTANTIATE_TEST_SUITE_P(Mixed, MixedEverySetting, testing::ValuesIn(cpu_settings()), setting_name);

TEST(Mixed, IsEachAloneOnGoldenModels) {
  size_t n_model = 0;
  for (const char* name : {"v4_hf", "v5_hf", "v6_hf", "v7_fla"}) {
    const auto folder = shared_folder() / "golden" / name;
    if (!std::filesystem::exists(folder)) continue;
    const Model model = Model::open(folder, cpu_backend());
    if (!cpu_backend().rows_are_exact(model.compute())) continue;
    const size_t n_layer = model.config().n_layer;
    const auto policies = every_policy(n_layer, model.config().d_model);
    expect_as_alone(model, Mixed(every_way(policies, n_layer), 2, 34));
    ++n_model;
  }
  if (n_model == 0) GTEST_SKIP() << "no golden models in " << shared_folder();
}

// Readings that stop at one depth are packed as one reading is, whatever else differs.
TEST(Mixed, FillsBatchesAsOneReadingDoes) {
  const Model model = open_blinkdl(small(Version::kV6, 3), cpu_backend());
  std::vector<Way> ways;
  for (size_t i = 0; i < 40; ++i) {
    Reading r{.layers = {3}, .pooling = kPoolings[i % 4]};
    if (i % 3 == 0) r.layers = {0, 2, final_layer(3)};
    if (i % 2) r.norm = Norm::kLnOut;
    ways.push_back({r});
  }
  const Mixed mixed(ways, 3, 37);
  const Encoder encoder(model, options_of({.layers = {3}}, 128));
  EncodeStats stats;
  all_at_once(encoder, mixed, 1, &stats);
  std::vector<float> out(mixed.texts.size() * encoder.dim());
  Workspace work(1);
  const EncodeStats uniform = encoder.encode(mixed.texts, out, work);
  EXPECT_GT(uniform.n_batch, 3u);
  EXPECT_EQ(stats.n_batch, uniform.n_batch);
  EXPECT_EQ(stats.n_token, uniform.n_token);
  EXPECT_EQ(stats.n_block_run, uniform.n_block_run);
}

// A block sees the tokens of those texts alone that are still to be read there.
TEST(Mixed, RunsNoBlockFurtherThanATextIsRead) {
  const Model model = open_blinkdl(small(Version::kV7, 3), cpu_backend());
  const FixedDepth two(2);
  const std::vector<Way> ways = {
      {{.layers = {1}}}, {{.layers = {0}}}, {{.layers = {3, 1}}}, {{}, &two}};
  const Mixed mixed(ways, 4, 37);
  EncodeStats stats;
  all_at_once(Encoder(model, options_of({.layers = {0}}, 1024)), mixed, 1, &stats);
  EXPECT_EQ(stats.n_batch, 1u);
  for (size_t layer = 0; layer < 3; ++layer) {
    uint64_t n = 0;
    for (size_t i = 0; i < mixed.texts.size(); ++i) {
      const Way& way = mixed.ways[i];
      const size_t depth =
          way.policy ? *way.policy->depth() : *std::ranges::max_element(way.reading.layers);
      if (depth > layer) n += mixed.texts[i].size();
    }
    EXPECT_EQ(stats.rows[layer].time_mix, n) << layer;
    EXPECT_EQ(stats.rows[layer].channel_mix, n) << layer;
  }
}

// Texts without a reading get the encoder's own, with its head and post-processing, also beside
// others.
TEST(Mixed, TextsWithoutAReadingAreTheEncoders) {
  const Model model = open_blinkdl(small(Version::kV6, 3), cpu_backend());
  EncodeOptions options{Reading{.layers = {1, 3}, .scan = Scan::kBoth, .normalize = true}, {}};
  RuleMaker make(5);
  options.post.resize(2);
  for (Postprocess& post : options.post) post.mean = make.numbers(40);
  const Encoder encoder(model, options);
  const Texts texts = some_texts();
  const Encoded want = encode(model, options, texts);
  Workspace work(1);
  std::vector<float> got(want.values.size()), other(40);
  const Reading last{.layers = {2}, .pooling = Pooling::kLast};
  std::vector<Request> requests;
  for (size_t i = 0; i < texts.size(); ++i) {
    requests.push_back(
        {.tokens = texts[i], .out = std::span(got).subspan(i * 40), .step = texts.size() * 40});
    requests.push_back({.tokens = texts[0], .reading = &last, .out = other});
  }
  encoder.encode(requests, work);
  EXPECT_TRUE(same_bits(got, want.values));
  const Encoded of_other = encode(model, {last, {}}, {texts[0]});
  EXPECT_TRUE(same_bits(other, of_other.values));
}

TEST(Mixed, ProgressReachesEveryTextOnce) {
  const Model model = open_blinkdl(small(Version::kV6, 3), cpu_backend());
  const Encoder encoder(model, options_of({.layers = {1}}, 16));
  const Texts texts = some_texts();
  const Reading both{.layers = {1}, .scan = Scan::kBoth};
  std::vector<float> out(texts.size() * 40);
  std::vector<Request> requests;
  for (size_t i = 0; i < texts.size(); ++i)
    requests.push_back({.tokens = texts[i],
                        .reading = i % 2 ? &both : nullptr,
                        .out = std::span(out).subspan(i * 40, 40)});
  Workspace work(1);
  std::vector<size_t> done;
  encoder.encode(requests, work, [&](size_t n) { done.push_back(n); });
  EXPECT_TRUE(std::ranges::is_sorted(done));
  EXPECT_GT(done.size(), 2u);
  EXPECT_EQ(done.back(), texts.size());
}

TEST(Mixed, RefusesWhatDoesNotFitAndWritesNothing) {
  const Model model = open_blinkdl(small(Version::kV6, 3), cpu_backend());
  const Encoder encoder(model, options_of({.layers = {1}}, 64));
  const std::vector<Token> text = {1, 2, 3};
  const FixedDepth fixed(2);
  const ErraticPolicy pair(true);
  const Reading plain{.layers = {1}}, none{}, beyond{.layers = {9}};
  std::vector<float> first(40, 7), out(40);
  DepthTrace trace;
  const auto refused = [&](std::vector<Request> requests, const char* why) {
    requests.insert(requests.begin(), {.tokens = text, .out = first});
    Workspace work(1);
    EXPECT_THAT([&] { encoder.encode(requests, work); }, ThrowsMessage<Error>(HasSubstr(why)));
    EXPECT_THAT(first, testing::Each(7.0f)) << why;
  };
  refused({{.tokens = {}, .out = out}}, "text 2: empty, and no BOS");
  refused({{.tokens = text, .reading = &beyond, .out = out}}, "layers 0 to 3 and final");
  refused({{.tokens = text, .reading = &none, .out = out}}, "at least one layer");
  refused({{.tokens = text, .policy = &fixed, .out = out}}, "without a reading");
  refused({{.tokens = text, .reading = &plain, .policy = &fixed, .out = out}}, "chooses the layer");
  refused({{.tokens = text, .reading = &plain, .out = out, .trace = &trace}},
          "text 2: a trace without a depth policy");
  refused({{.tokens = text, .reading = &plain, .out = std::span(out).first(39)}},
          "text 2: room for 39 numbers, expected 1 vectors of 40");
  refused({{.tokens = text, .out = out, .step = 39}}, "text 2: room for");
  refused({{.tokens = text, .reading = &none, .policy = &pair, .out = out}}, "decides by pair");
  refused({{.tokens = text, .reading = &none, .policy = &pair, .out = out},
           {.tokens = text, .out = out},
           {.tokens = text, .reading = &none, .policy = &pair, .out = out}},
          "text 2: erratic decides by pair");
}

}  // namespace
}  // namespace fathom::test::mixed_test
