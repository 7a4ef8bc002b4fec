// SPDX-License-Identifier: Apache-2.0
// Which products a model gets, for CPUs and memory of any kind.
#include "model/compute_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fathom::compute_choice_test {
namespace {

using testing::HasSubstr;

constexpr size_t kMB = 1'000'000;

// A 1.6B model on a machine with everything.
ComputeFacts facts() {
  ComputeFacts f;
  f.bf16 = f.int8 = true;
  f.f32_bytes = 5300 * kMB;
  f.bf16_bytes = 2650 * kMB;
  f.int8_bytes = 1350 * kMB;
  f.d_model = 2048;
  return f;
}

TEST(ComputeChoice, WhatIsAskedForIsDoneWhereThereAreSuchProducts) {
  for (Compute wanted : {Compute::kF32, Compute::kBF16, Compute::kInt8}) {
    ComputeFacts f = facts();
    f.available_bytes = 0;  // no reason to do something else than asked
    EXPECT_EQ(choose_compute(wanted, f).compute, wanted);
    EXPECT_EQ(choose_compute(wanted, f).why, "");
  }
}

TEST(ComputeChoice, OtherwiseF32AndWhy) {
  ComputeFacts f = facts();
  f.bf16 = f.int8 = false;
  for (Compute wanted : {Compute::kBF16, Compute::kInt8}) {
    const ComputeChoice choice = choose_compute(wanted, f);
    EXPECT_EQ(choice.compute, Compute::kF32);
    EXPECT_THAT(choice.why, HasSubstr(concat("this CPU has no ", name_of(wanted), " products")));
  }
  EXPECT_EQ(choose_compute(Compute::kF32, f).why, "");
}

TEST(ComputeChoice, SmallModelsInF32UnlessToldOtherwise) {
  ComputeFacts f = facts();
  f.d_model = 255;
  EXPECT_EQ(choose_compute(Compute::kBF16, f).compute, Compute::kF32);
  EXPECT_EQ(choose_compute(Compute::kInt8, f).compute, Compute::kF32);
  EXPECT_THAT(choose_compute(Compute::kInt8, f).why, HasSubstr("d_model below 256"));
  EXPECT_EQ(choose_compute(std::nullopt, f).compute, Compute::kF32);
  f.small_as_asked = true;
  EXPECT_EQ(choose_compute(Compute::kBF16, f).compute, Compute::kBF16);
  EXPECT_EQ(choose_compute(std::nullopt, f).compute, Compute::kBF16);
}

TEST(ComputeChoice, AutoByCpu) {
  ComputeFacts f = facts();
  EXPECT_EQ(choose_compute(std::nullopt, f).compute, Compute::kBF16);
  EXPECT_EQ(choose_compute(std::nullopt, f).why, "this CPU has bf16 products");
  f.bf16 = false;
  EXPECT_EQ(choose_compute(std::nullopt, f).compute, Compute::kF32);
  EXPECT_EQ(choose_compute(std::nullopt, f).why, "this CPU has no bf16 products");
}

TEST(ComputeChoice, AutoByMemory) {
  ComputeFacts f = facts();
  f.available_bytes = f.bf16_bytes + kMemoryBesideWeights;
  EXPECT_EQ(choose_compute(std::nullopt, f).compute, Compute::kBF16);
  f.available_bytes -= 1;
  EXPECT_EQ(choose_compute(std::nullopt, f).compute, Compute::kInt8);
  EXPECT_THAT(choose_compute(std::nullopt, f).why,
              HasSubstr("2949 MB of memory available, 2950 MB needed in bf16"));

  f.bf16 = false;  // f32 needs more
  f.available_bytes = f.f32_bytes + kMemoryBesideWeights;
  EXPECT_EQ(choose_compute(std::nullopt, f).compute, Compute::kF32);
  f.available_bytes -= 1;
  EXPECT_EQ(choose_compute(std::nullopt, f).compute, Compute::kInt8);

  f.int8 = false;
  EXPECT_EQ(choose_compute(std::nullopt, f).compute, Compute::kF32);
  EXPECT_THAT(choose_compute(std::nullopt, f).why, HasSubstr("has no int8 products"));
  f.available_bytes = 0;
  f.bf16 = true;
  EXPECT_EQ(choose_compute(std::nullopt, f).compute, Compute::kBF16);
}

TEST(ComputeChoice, FactsOfThisMachine) {
  Config config;
  config.version = Version::kV4;
  config.n_layer = 2;
  config.d_model = config.d_att = 512;
  config.d_ffn = 1024;
  const ComputeFacts f = compute_facts(cpu_backend(), config, {});
  EXPECT_EQ(f.bf16, cpu_backend().supports(Compute::kBF16));
  EXPECT_EQ(f.int8, cpu_backend().supports(Compute::kInt8));
  EXPECT_GT(f.f32_bytes, f.bf16_bytes);
  EXPECT_GT(f.bf16_bytes, f.int8_bytes);
  EXPECT_GT(f.available_bytes, size_t{0});
  EXPECT_EQ(f.d_model, 512u);
}

// Both numbers, and what would fit.
TEST(ComputeChoice, WhatDoesNotFitIsSaid) {
  ComputeFacts f = facts();
  f.available_bytes = 5600 * kMB;
  EXPECT_EQ(lack_of_memory(Compute::kF32, f), "");
  f.available_bytes = 5599 * kMB;
  EXPECT_EQ(lack_of_memory(Compute::kF32, f),
            "5600 MB of memory needed in f32, 5599 MB available; in bf16 it would be 2950 MB; in "
            "int8 it would be 1650 MB");
  EXPECT_EQ(lack_of_memory(Compute::kBF16, f), "");
  f.available_bytes = 1700 * kMB;
  EXPECT_EQ(lack_of_memory(Compute::kBF16, f),
            "2950 MB of memory needed in bf16, 1700 MB available; in int8 it would be 1650 MB");
  f.available_bytes = 100 * kMB;
  EXPECT_EQ(lack_of_memory(Compute::kInt8, f),
            "1650 MB of memory needed in int8, 100 MB available");
  f.f32_bytes = 50 * kMB;
  EXPECT_EQ(lack_of_memory(Compute::kF32, f), "")
      << "a small model needs little beside its weights";
}

}  // namespace
}  // namespace fathom::compute_choice_test
