// SPDX-License-Identifier: Apache-2.0
// Depth policies through the public interface: the vectors and the log of `fathom embed --depth`.
#include <cmath>

#include "api/api_models.h"
#include "base/error_of.h"
#include "depth/policy_file.h"
#include "encode/exit_rules.h"

namespace fathom::test::policy_test {
namespace {

using testing::HasSubstr;

class ApiPolicy : public testing::Test {
 protected:
  const TempFolder folder_;
  const std::string path_ = byte_model(folder_);
  const Embedder e_ = Embedder::open(path_, {.threads = 1});

  std::string write(const std::string& name, PolicyRule rule) const {
    PolicyFile file;
    file.model = fingerprint_of(Model::open(path_, cpu_backend()));
    file.reading.norm = Norm::kLnOut;
    file.reading.bos = 3;
    file.rule = std::move(rule);
    const std::string path = folder_.file(name);
    write_policy_file(path, file);
    return path;
  }
  std::string exit_file(Measure measure, bool pair, double threshold) const {
    ExitRule rule = RuleMaker(5).rule(measure, pair, 3, 24, {1, 2});
    set_thresholds(rule, threshold);
    return write(pair ? "pair.policy" : "exit.policy", std::move(rule));
  }

  // Vectors and log are the program's.
  void expect_same(const std::string& depth, const EmbedOptions& options,
                   std::vector<std::string> flags = {}) const {
    SCOPED_TRACE(depth);
    const std::string log = folder_.file("log.csv");
    flags.insert(flags.end(), {"--depth", depth, "--depth-log", log});
    const NpyArray program = embed_by_program(path_, sentences(), flags);
    const Embeddings v = e_.embed(sentences(), options);
    EXPECT_EQ(v.n_layer, 1u);
    EXPECT_TRUE(v.layers.empty());
    EXPECT_TRUE(same_bits(v.values, program.values));
    ASSERT_EQ(v.depth.size(), sentences().size());
    std::string rows = "line,exit_layer,time_mix,channel_mix,";
    std::istringstream lines(read_whole(log));
    std::string line;
    std::getline(lines, line);
    EXPECT_TRUE(line.starts_with(rows)) << line;
    for (size_t i = 0; std::getline(lines, line); ++i) {
      const TextDepth& d = v.depth[i];
      const std::string number = d.predicted_class < 0 ? "" : std::to_string(d.predicted_class);
      EXPECT_TRUE(line.starts_with(concat(i + 1, ',', d.exit_layer, ',', d.n_time_mix, ',',
                                          d.n_channel_mix, ",,", number, ',')))
          << line;
      EXPECT_EQ(line.ends_with(','), std::isnan(d.confidence)) << line;
    }
    // In a buffer and in a stream.
    std::vector<float> out(v.values.size());
    std::vector<TextDepth> traces(v.n_text);
    e_.embed_into(sentences(), options, out, traces);
    EXPECT_TRUE(same_bits(out, v.values));
    e_.embed(sentences(), options, [&](const EmbeddingBlock& block) {
      for (size_t i = block.begin; i < block.end; ++i) {
        EXPECT_EQ(block.depth[i - block.begin].exit_layer, v.depth[i].exit_layer);
        EXPECT_EQ(traces[i].exit_layer, v.depth[i].exit_layer);
      }
    });
  }
};

TEST_F(ApiPolicy, FixedDepth) {
  const Policy policy = e_.policy("fixed:2");
  EXPECT_EQ(policy.name(), "fixed:2");
  EXPECT_FALSE(policy.is_full());
  EXPECT_FALSE(policy.by_pair());
  expect_same("fixed:2", {.depth = policy});
  expect_same("fixed:2", {.pooling = Pooling::kLast, .normalize = true, .depth = policy},
              {"--pool", "last", "--normalize"});
  // The same vectors as that layer's.
  EXPECT_TRUE(same_bits(e_.embed(sentences(), {.depth = policy}).values,
                        e_.embed(sentences(), {.layers = {2}}).values));
}

TEST_F(ApiPolicy, FullIsNone) {
  const Policy full = e_.policy("full");
  EXPECT_TRUE(full.is_full());
  EXPECT_EQ(full.name(), "full");
  EXPECT_EQ(Policy().name(), "full");
  EXPECT_EQ(e_.embed(sentences(), {.layers = {1, 2}, .depth = full}).n_layer, 2u);
}

TEST_F(ApiPolicy, MaskFile) {
  BlockMask mask = BlockMask::all(3);
  mask.time_mix[1] = mask.channel_mix[2] = false;
  const std::string depth = "mask:" + write("mask.policy", mask);
  expect_same(depth, {.depth = e_.policy(depth)});
  // What the file was fitted with may be said again; something else may not.
  const EmbedOptions again{.norm = Norm::kLnOut, .bos = 3, .depth = e_.policy(depth)};
  expect_same(depth, again);
  for (const EmbedOptions& other :
       {EmbedOptions{.pooling = Pooling::kLast, .depth = e_.policy(depth)},
        EmbedOptions{.scan = Scan::kReverse, .depth = e_.policy(depth)},
        EmbedOptions{.bos = 4, .depth = e_.policy(depth)}})
    EXPECT_THAT(error_of([&] { e_.embed(sentences(), other); }), HasSubstr("was fitted with"));
}

TEST_F(ApiPolicy, ExitFileLeavesAtSeveralLayers) {
  const std::string depth = "exit:" + exit_file(Measure::kMaxProbability, false, 0.5);
  const EmbedOptions options{.depth = e_.policy(depth)};
  expect_same(depth, options);
  const Embeddings v = e_.embed(sentences(), options);
  size_t n_early = 0;
  for (const TextDepth& d : v.depth) {
    EXPECT_GE(d.predicted_class, 0);
    n_early += d.exit_layer < 3;
  }
  EXPECT_GT(n_early, 0u);
}

TEST_F(ApiPolicy, PairsDecideTogether) {
  const std::string depth = "exit:" + exit_file(Measure::kSaturation, true, 0.5);
  const EmbedOptions options{.depth = e_.policy(depth)};
  EXPECT_TRUE(options.depth.by_pair());
  expect_same(depth, options);
  const Embeddings v = e_.embed(sentences(), options);
  for (size_t i = 0; i < v.n_text; i += 2)
    EXPECT_EQ(v.depth[i].exit_layer, v.depth[i + 1].exit_layer);
  const std::vector<std::string> odd(3, "text"), gap = {"text", ""};
  EXPECT_THAT(error_of([&] { e_.embed(odd, options); }), HasSubstr("even number"));
  EmbedOptions zero = options;
  zero.empty = EmptyText::kZero;
  EXPECT_THAT(error_of([&] { e_.embed(gap, zero); }), HasSubstr("text 1 is empty"));
}

}  // namespace
}  // namespace fathom::test::policy_test
