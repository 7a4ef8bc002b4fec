// SPDX-License-Identifier: Apache-2.0
// Multiply-adds of a sublayer against docs/methods.md worked out by hand.
#include "model/block_cost.h"

#include <gtest/gtest.h>

#include "model/cost_models.h"

namespace fathom::block_cost_test {
namespace {

using test::finch_1b6;
using test::odd;

void expect_block(const BlockCost& block, uint64_t product, uint64_t lora, uint64_t wkv,
                  uint64_t channel) {
  EXPECT_EQ(block.time_mix.product, product);
  EXPECT_EQ(block.time_mix.lora, lora);
  EXPECT_EQ(block.time_mix.wkv, wkv);
  EXPECT_EQ(block.channel_mix.product, channel);
  EXPECT_EQ(block.channel_mix.lora, 0u);
  EXPECT_EQ(block.channel_mix.wkv, 0u);
  EXPECT_EQ(block.total(), product + lora + wkv + channel);
}

// docs/methods.md, "Cost":
// 20.97M (att) + 0.66M (maa) + 0.26M (decay) + 0.39M (wkv) + 29.36M + 4.19M (ffn)
// = 55.8M per token and layer, times 24 = 1.34G.
TEST(BlockCost, Finch1B6IsThePublishedFigure) {
  const BlockCost block = block_cost(finch_1b6(), 0);
  expect_block(block, 20971520, 655360 + 262144, 393216, 29360128 + 4194304);
  EXPECT_EQ(block.total(), 55836672u);
  EXPECT_NEAR(static_cast<double>(block.total()) * 24, 1.34e9, 0.005e9);
}

TEST(BlockCost, EachVersionHasItsFormula) {
  for (size_t layer : {0, 1, 2}) {
    expect_block(block_cost(odd(4), layer), 4 * 120, 0, 0, 2 * 370 + 100);
    expect_block(block_cost(odd(5), layer), 5 * 120, 0, 3 * 12 * 4, 2 * 370 + 100);
    expect_block(block_cost(odd(6), layer), 5 * 120, 10 * 10 * 3 + 10 * 5 + 5 * 12, 3 * 12 * 4,
                 2 * 370 + 100);
  }
  CostModel v5_0 = odd(5);
  v5_0.has_gate = false;
  expect_block(block_cost(v5_0, 1), 4 * 120, 0, 3 * 12 * 4, 2 * 370 + 100);
}

TEST(BlockCost, Version7HasNoValueLoraInBlock0) {
  expect_block(block_cost(odd(7), 0), 4 * 120, (10 + 12) * (7 + 11 + 17), 5 * 12 * 4, 2 * 370);
  for (size_t layer : {1, 2})
    expect_block(block_cost(odd(7), layer), 4 * 120, (10 + 12) * (7 + 11 + 17 + 13), 5 * 12 * 4,
                 2 * 370);

  // RWKV-7 0.1B, where d_att = d_model: 4 C A + 2 C (64 + 64 + 128) + 2 C 32 + 5 A N + 2 C F.
  const CostModel goose{.version = 7,
                        .n_layer = 12,
                        .d_model = 768,
                        .d_att = 768,
                        .d_ffn = 3072,
                        .head_size = 64,
                        .w_rank = 64,
                        .a_rank = 64,
                        .v_rank = 32,
                        .g_rank = 128};
  EXPECT_EQ(block_cost(goose, 0).total(), 2359296u + 393216 + 245760 + 4718592);
  EXPECT_EQ(block_cost(goose, 11).total() - block_cost(goose, 0).total(), 2u * 768 * 32);
}

// s1, the token's matrix, s2; and what s_emb_x makes of the embedding.
TEST(BlockCost, DeepEmbedBelongsToChannelMix) {
  CostModel v7a = odd(7);
  v7a.deep_in = 3;
  v7a.deep_out = 5;
  for (size_t layer : {0, 1, 2}) {
    const BlockCost plain = block_cost(odd(7), layer), deep = block_cost(v7a, layer);
    EXPECT_EQ(deep.channel_mix.product, plain.channel_mix.product);
    EXPECT_EQ(deep.channel_mix.lora, 10u * 3 + 3 * 5 + 5 * 37);
    EXPECT_EQ(deep.time_mix.total(), plain.time_mix.total());
  }
  v7a.deep_from_embedding = true;
  EXPECT_EQ(block_cost(v7a, 1).channel_mix.lora, 10u * 3 + 3 * 5 + 5 * 37 + 10 * 3 * 5);

  Config config;
  config.version = Version::kV7;
  config.deep_embed = {32, 33, true};
  EXPECT_EQ(cost_model(config).deep_in, 32u);
  EXPECT_EQ(cost_model(config).deep_out, 33u);
  EXPECT_TRUE(cost_model(config).deep_from_embedding);
}

}  // namespace
}  // namespace fathom::block_cost_test
