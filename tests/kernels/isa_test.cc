// SPDX-License-Identifier: Apache-2.0
// $FATHOM_MAX_ISA limits all: oneDNN, Highway and the dot kernels. Checked for whatever limit
// this process runs under: CMakeLists.txt sets each in turn.
#include "kernels/cpu/isa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "base/error.h"
#include "kernels/backend.h"
#include "kernels/cpu/avx_vnni_kernel.h"
#include "kernels/cpu/dot_kernel.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/ops.h"

namespace fathom::cpu::isa_test {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

std::string limit() {
  const char* value = std::getenv("FATHOM_MAX_ISA");
  return value == nullptr ? "" : value;
}

TEST(Isa, TheDescriptionNamesTheLimit) {
  const std::string text = cpu_backend().description();
  EXPECT_THAT(text, HasSubstr("oneDNN "));
  EXPECT_THAT(text, HasSubstr("Highway "));
  if (limit().empty()) {
    EXPECT_EQ(max_isa(), std::nullopt);
    EXPECT_THAT(text, Not(HasSubstr("FATHOM_MAX_ISA")));
  } else {
    EXPECT_EQ(name_of(max_isa().value()), limit());
    EXPECT_TRUE(text.ends_with("; FATHOM_MAX_ISA=" + limit())) << text;
  }
}

TEST(Isa, NothingNewerThanTheLimitComputes) {
  const bool old = limit() == "sse4" || limit() == "avx2" || limit() == "avx_vnni";
  cpu_backend();
  if (limit() == "sse4") {
    EXPECT_THAT(instruction_set(), AnyOf("SSE4", "SSSE3", "SSE2"));
  } else if (old) {
    EXPECT_THAT(instruction_set(), AnyOf("AVX2", "SSE4", "SSSE3", "SSE2"));
  }
  if (const PanelProduct* product = PanelProduct::find(256, kBlockCols)) {
    EXPECT_THAT(product->implementation(), Not(HasSubstr("amx")));
    if (old) {
      EXPECT_THAT(product->implementation(), Not(HasSubstr("avx512")));
    }
    if (limit() == "sse4") {
      EXPECT_THAT(product->implementation(), Not(HasSubstr("avx")));
    }
  }
  if (limit() == "sse4") {
    EXPECT_FALSE(cpu_backend().supports(Compute::kInt8));
    EXPECT_FALSE(cpu_backend().supports(Compute::kBF16));
  }
  if (limit() == "avx2" || limit() == "avx512") {
    EXPECT_NE(dot_kernel(Compute::kInt8), DotKernel::kAvxVnni);
  }
  if (old || limit() == "avx512") {
    EXPECT_NE(dot_kernel(Compute::kInt8), DotKernel::kAvx512);
  }
  if (old || limit() == "avx512" || limit() == "avx512_vnni") {
    EXPECT_NE(dot_kernel(Compute::kBF16), DotKernel::kAvx512);
  }
  EXPECT_TRUE(cpu_backend().supports(Compute::kF32));
}

#ifdef __x86_64__
// And what the limit leaves is used: a limit that took too much would make the tests under it empty.
TEST(Isa, WhatTheLimitLeavesComputes) {
  cpu_backend();
  const auto want = [](std::initializer_list<const char*> limits) {
    for (const char* l : limits) {
      if (limit() == l) return true;
    }
    return limit().empty();
  };
  if (__builtin_cpu_supports("avx2") && want({"avx2"}) && !__builtin_cpu_supports("avx512bw")) {
    EXPECT_EQ(instruction_set(), "AVX2");
  }
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      want({"avx512", "avx512_vnni", "avx512_bf16"})) {
    EXPECT_EQ(instruction_set(), "AVX3");
  }
  if ((limit() == "avx2" || limit() == "avx_vnni") && __builtin_cpu_supports("avx2")) {
    EXPECT_EQ(instruction_set(), "AVX2");
  }
  if (limit() != "sse4" && __builtin_cpu_supports("avx2")) {
    EXPECT_TRUE(has_dot_kernel(Compute::kInt8) && has_dot_kernel(Compute::kBF16));
  }
  if (limit() == "avx_vnni") {
    EXPECT_EQ(dot_kernel(Compute::kInt8) == DotKernel::kAvxVnni, has_avx_vnni_kernel());
  }
  const bool vnni = __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw");
  EXPECT_EQ(dot_kernel(Compute::kInt8) == DotKernel::kAvx512,
            vnni && want({"avx512_vnni", "avx512_bf16"}));
  EXPECT_EQ(dot_kernel(Compute::kBF16) == DotKernel::kAvx512,
            vnni && __builtin_cpu_supports("avx512bf16") && want({"avx512_bf16"}));
}
#endif

}  // namespace
}  // namespace fathom::cpu::isa_test
