// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/isa.h"

#include <cstdlib>
#include <iterator>
#include <string>

#include "base/error.h"
#include "hwy/targets.h"

namespace fathom::cpu {
namespace {

// By Isa. Targets are Highway's bits, newer ones lower.
struct Limit {
  std::string_view name;
  int64_t newest_target;
};
constexpr Limit kLimits[] = {{"sse4", HWY_SSE4},        {"avx2", HWY_AVX2},
                             {"avx_vnni", HWY_AVX2},    {"avx512", HWY_AVX3},
                             {"avx512_vnni", HWY_AVX3}, {"avx512_bf16", HWY_AVX3}};

std::optional<Isa> read_limit() {
  const char* value = std::getenv("FATHOM_MAX_ISA");
  if (value == nullptr || *value == '\0') return std::nullopt;
  if (!HWY_ARCH_X86) throw UsageError("FATHOM_MAX_ISA: only for x86 CPUs, and this is none");
  std::string known;
  for (size_t i = 0; i < std::size(kLimits); ++i) {
    if (kLimits[i].name == value) {
      hwy::DisableTargets(kLimits[i].newest_target - 1);
      return static_cast<Isa>(i);
    }
    known += concat(i == 0 ? "" : i + 1 < std::size(kLimits) ? ", " : " or ", kLimits[i].name);
  }
  throw UsageError(
      concat("FATHOM_MAX_ISA: instruction set '", value, "' is unknown; expected ", known));
}

}  // namespace

std::string_view name_of(Isa isa) { return kLimits[static_cast<size_t>(isa)].name; }

std::optional<Isa> max_isa() {
  static const std::optional<Isa> limit = read_limit();
  return limit;
}

bool is_allowed(Isa isa) { return !max_isa() || isa <= *max_isa(); }

}  // namespace fathom::cpu
