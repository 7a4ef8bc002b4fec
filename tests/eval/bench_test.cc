// SPDX-License-Identifier: Apache-2.0
// The benchmark: its products are those of the cost model, its parts add up, timing changes no bit,
// and the ceiling runs every product once more and nothing else. Nothing here asks how long a thing
// takes.
#include "eval/bench.h"

#include <gtest/gtest.h>

#include "eval/cost.h"
#include "formats/temp_folder.h"
#include "model/synthetic_layouts.h"
#include "model/synthetic_model.h"

namespace fathom::test::bench_test {
namespace {

constexpr Version kVersions[] = {Version::kV4, Version::kV5_0, Version::kV5_2, Version::kV6,
                                 Version::kV7};

Shape shape_of(Version version) {
  Shape s;
  s.version = version;
  s.n_layer = 3;
  s.d_model = 40;
  s.d_ffn = 65;
  s.head_size = 20;
  return s;
}

CostModel cost_of(const Shape& s) {
  CostModel m{.version = 5,
              .n_layer = s.n_layer,
              .d_model = s.d_model,
              .d_att = s.att(),
              .d_ffn = s.d_ffn,
              .head_size = s.head_size};
  m.has_gate = s.version != Version::kV5_0;
  if (s.version == Version::kV4) m.version = 4;
  if (s.version == Version::kV6) {
    m.version = 6;
    m.mix_rank = s.rank.mix;
    m.decay_rank = s.rank.decay;
  }
  if (s.version == Version::kV7) {
    m.version = 7;
    m.w_rank = s.rank.decay;
    m.a_rank = s.rank.iclr;
    m.v_rank = s.rank.value;
    m.g_rank = s.rank.gate;
  }
  return m;
}

// FLOPs of the products of one token in all blocks.
uint64_t product_flop(const CostModel& m) {
  uint64_t sum = 0;
  for (size_t i = 0; i < m.n_layer; ++i) {
    const BlockCost b = block_cost(m, i);
    sum += 2 * (b.time_mix.product + b.time_mix.lora + b.channel_mix.product);
  }
  return sum;
}

// A model on a timed backend, and a workspace.
struct Bench {
  TempFolder folder;
  TimedBackend timed;
  std::optional<Model> model;
  Workspace work{2};
  EncodeOptions options;

  explicit Bench(Version version, const Backend& inner = cpu_backend(),
                 Compute compute = Compute::kF32)
      : timed(inner) {
    const auto path = folder.file("m.safetensors");
    write_arrays(path, make_model(shape_of(version)).arrays);
    ModelOptions how;
    how.compute = compute;
    how.small_as_asked = true;
    how.n_thread = 1;
    model.emplace(Model::open(path, timed, how));
    options.layers = {final_layer(model->config().n_layer)};
  }
  BenchResult run(const Workload& workload, const BenchOptions& how,
                  const Tokenizer* tokenizer = nullptr) {
    WorkloadBench bench(workload, *model, options, tokenizer, timed, work);
    return bench.run(how);
  }
};

const BenchOptions kTwice = {.n_repeat = 2, .min_seconds = 0};

TEST(Bench, CountsTheProductsOfTheCostModel) {
  for (Version version : kVersions) {
    SCOPED_TRACE(name_of(version));
    const CostModel cost = cost_of(shape_of(version));
    Bench b(version);
    const Workload workload{.name = "w", .ids = random_sequences(75, 32, 37), .batch_tokens = 40};
    const BenchResult result = b.run(workload, kTwice);
    EXPECT_EQ(result.total_flop(), 75 * product_flop(cost));
    EXPECT_EQ(result.flop[static_cast<size_t>(Compute::kF32)], result.total_flop());
    EXPECT_EQ(result.n_sequence, 3u);
    EXPECT_EQ(result.n_token, 75u);
    EXPECT_EQ(result.n_batch, 3u);
    EXPECT_EQ(result.samples.size(), 2u);
    // Every batch reads every matrix.
    EXPECT_EQ(result.weight_bytes % result.n_batch, 0u);
    EXPECT_GT(result.weight_bytes, 0u);
    EXPECT_LT(result.weight_bytes / result.n_batch, b.model->weight_bytes());  // without vectors
  }
}

TEST(Bench, OneBlockCostsOneBlock) {
  Bench b(Version::kV6);
  b.options.layers = {1};
  const BlockCost block = block_cost(cost_of(shape_of(Version::kV6)), 0);
  EXPECT_EQ(b.run({.name = "w", .ids = {{1, 2, 3}}}, kTwice).total_flop(),
            3 * 2 * (block.time_mix.product + block.time_mix.lora + block.channel_mix.product));
}

TEST(Bench, KindsOfProductsAreKeptApart) {
  if (!cpu_backend().supports(Compute::kInt8)) GTEST_SKIP() << "no int8 products on this CPU";
  Bench b(Version::kV6, cpu_backend(), Compute::kInt8);
  const BenchResult result = b.run({.name = "w", .ids = {{1, 2, 3}}}, kTwice);
  const CostModel cost = cost_of(shape_of(Version::kV6));
  uint64_t large = 0, lora = 0;
  for (size_t i = 0; i < cost.n_layer; ++i) {
    const BlockCost c = block_cost(cost, i);
    large += 3 * 2 * (c.time_mix.product + c.channel_mix.product);
    lora += 3 * 2 * c.time_mix.lora;
  }
  const size_t int8 = static_cast<size_t>(Compute::kInt8);
  EXPECT_EQ(result.total_flop(), large + lora);
  EXPECT_GT(result.flop[int8], 0u);
  EXPECT_LE(result.flop[int8], large);
  for (size_t c = 0; c < kComputeCount; ++c) {
    EXPECT_EQ((*result.samples[0].ceiling)[c] > 0, result.flop[c] > 0) << c;
    EXPECT_EQ(result.samples[0].product_seconds[c] > 0, result.flop[c] > 0) << c;
  }
}

TEST(Bench, PartsAddUp) {
  Bench b(Version::kV7);
  const auto tokenizer = byte_tokenizer();
  const Workload workload{.name = "w", .texts = {"\x01\x02\x03", "\x04", "\x05\x06"}};
  BenchOptions how = kTwice;
  how.all_layers = true;
  const BenchResult result = b.run(workload, how, tokenizer.get());
  EXPECT_EQ(result.n_token, 6u);
  for (const BenchSample& s : result.samples) {
    double sum = s.tokenizer_seconds + s.rest_seconds();
    for (Part part : {Part::kProducts, Part::kWkv, Part::kMixing, Part::kPooling}) {
      EXPECT_GT(s.part_seconds(part), 0) << name_of(part);
      sum += s.part_seconds(part);
    }
    EXPECT_NEAR(sum, s.seconds, 1e-9);
    EXPECT_GT(s.tokenizer_seconds, 0);
    EXPECT_GE(s.rest_seconds(), 0);
    double products = 0;
    for (double seconds : s.product_seconds) products += seconds;
    EXPECT_NEAR(products, s.part_seconds(Part::kProducts), 1e-9);
    EXPECT_GT(s.ceiling_seconds(), 0);
    EXPECT_GT(s.all_layers_seconds.value_or(0), 0);
    EXPECT_EQ(s.operators[static_cast<size_t>(Operator::kWkv7)].n_call, 3u);  // 1 batch, 3 blocks
    EXPECT_EQ(s.operators[static_cast<size_t>(Operator::kAddRows)].n_call, 1u);
  }
}

TEST(Bench, TimingChangesNoBit) {
  for (Version version : kVersions) {
    SCOPED_TRACE(name_of(version));
    Bench b(version);
    ModelOptions how;
    how.n_thread = 1;
    const Model plain = Model::open(b.folder.file("m.safetensors"), cpu_backend(), how);
    const auto texts = random_sequences(50, 7, 37);
    std::vector<float> timed_out(texts.size() * 40), out(timed_out.size());
    Encoder(*b.model, b.options).encode(texts, timed_out, b.work);
    Encoder(plain, b.options).encode(texts, out, b.work);
    EXPECT_EQ(timed_out, out);
  }
}

// Counts products and forwards to the CPU backend, so that what the ceiling runs can be seen: it
// goes round the clock.
TEST(Bench, TheCeilingIsTheProductsAndNothingElse) {
  TimedBackend counter(cpu_backend());
  Bench b(Version::kV6, counter);
  const Workload workload{.name = "w", .ids = random_sequences(10, 10, 37)};
  WorkloadBench bench(workload, *b.model, b.options, nullptr, b.timed, b.work);
  const std::vector<ProductCall> forward = b.timed.products();
  counter.reset();
  bench.run({.n_repeat = 1, .min_seconds = 0});
  // In all: to warm the ceiling up, the forward pass, the ceiling.
  const std::vector<ProductCall>& all = counter.products();
  ASSERT_EQ(all.size(), 3 * forward.size());
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].weight, forward[i % forward.size()].weight) << i;
    EXPECT_EQ(all[i].rows, forward[i % forward.size()].rows) << i;
  }
  EXPECT_EQ(counter.tallies()[static_cast<size_t>(Operator::kWkv6)].n_call, 3u);  // one forward
}

TEST(Bench, WithoutACeilingNoneIsRun) {
  Bench b(Version::kV6);
  const BenchResult result =
      b.run({.name = "w", .ids = {{1}}}, {.n_repeat = 1, .min_seconds = 0, .ceiling = false});
  EXPECT_FALSE(result.samples[0].ceiling.has_value());
  EXPECT_EQ(result.samples[0].ceiling_seconds(), 0);
  EXPECT_FALSE(result.samples[0].all_layers_seconds.has_value());
}

TEST(Bench, LongSequencesRunInPieces) {
  Bench b(Version::kV6);
  const Workload workload{.name = "w", .ids = random_sequences(100, 100, 37), .batch_tokens = 30};
  const BenchResult result = b.run(workload, kTwice);
  EXPECT_EQ(result.n_sequence, 1u);
  EXPECT_EQ(result.n_batch, 4u);
  EXPECT_EQ(result.total_flop(), 100 * product_flop(cost_of(shape_of(Version::kV6))));
}

TEST(Bench, RepeatsUntilItHasRunLongEnough) {
  Bench b(Version::kV6);
  const BenchResult result =
      b.run({.name = "w", .ids = {{1}}}, {.n_repeat = 2, .min_seconds = 0.02});
  double sum = 0;
  for (const BenchSample& s : result.samples) sum += s.seconds;
  EXPECT_GE(sum, 0.02);
  EXPECT_GE(result.samples.size(), 2u);
}

TEST(Bench, ProgressEndsAtOne) {
  Bench b(Version::kV6);
  const Workload workload{.name = "w", .ids = {{1}}};
  WorkloadBench bench(workload, *b.model, b.options, nullptr, b.timed, b.work);
  std::vector<double> shares;
  bench.run({.n_repeat = 4, .min_seconds = 0}, [&](double share) { shares.push_back(share); });
  EXPECT_EQ(shares, (std::vector<double>{0.25, 0.5, 0.75, 1}));
}

TEST(Bench, AStateCanBePooled) {
  Bench b(Version::kV6);
  b.options.pooling = Pooling::kStateRows;
  b.options.layers = {3};
  BenchOptions how = kTwice;
  how.all_layers = true;  // those that have a state
  EXPECT_TRUE(b.run({.name = "w", .ids = {{1, 2}}}, how).samples[0].all_layers_seconds);
}

TEST(Bench, WrongSequencesAreRefused) {
  Bench b(Version::kV6);
  EXPECT_THROW(b.run({.name = "w", .ids = {{1}, {37}}}, kTwice), Error);  // n_vocab is 37
  EXPECT_THROW(b.run({.name = "w", .ids = {{}}}, kTwice), Error);
}

TEST(BenchResult, PicksTheMedianOrTheBest) {
  BenchResult result;
  for (double s : {4.0, 1.0, 3.0, 2.0}) {
    BenchSample& sample = result.samples.emplace_back();
    sample.seconds = s;
  }
  const auto seconds = [](const BenchSample& s) { return s.seconds; };
  EXPECT_EQ(result.pick(TimeStatistic::kBest, seconds).seconds, 1);
  EXPECT_EQ(result.pick(TimeStatistic::kMedian, seconds).seconds, 2);
  result.samples.pop_back();
  EXPECT_EQ(result.pick(TimeStatistic::kMedian, seconds).seconds, 3);
}

TEST(RandomSequences, HaveTheLengthsAndIdsAskedFor) {
  const auto sequences = random_sequences(70, 32, 11);
  ASSERT_EQ(sequences.size(), 3u);
  EXPECT_EQ(sequences[0].size(), 32u);
  EXPECT_EQ(sequences[2].size(), 6u);
  for (const auto& s : sequences)
    for (Token id : s) EXPECT_LT(id, 11u);
  EXPECT_EQ(random_sequences(70, 32, 11), sequences);
  EXPECT_EQ(random_sequences(3, 100, 11).size(), 1u);
}

TEST(MemoryReadRate, IsANumber) {
  ThreadPool pool(2);
  EXPECT_GT(memory_read_rate(pool), 0);
}

}  // namespace
}  // namespace fathom::test::bench_test
