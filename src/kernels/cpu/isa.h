// SPDX-License-Identifier: Apache-2.0
// The newest instruction set that the CPU backend may use: one limit, $FATHOM_MAX_ISA, for its three
// parts, oneDNN, Highway and the kernels written with the compiler's intrinsics. For tests and
// measurements of what an older CPU does; the CPU's own instruction set bounds it as ever.
//
//   value         oneDNN             Highway   own kernels (kernels/cpu/dot_kernel.h)
//   sse4          SSE41              SSE4      f32
//   avx2          AVX2               AVX2      f32, bf16, int8 by widening
//   avx_vnni      AVX2_VNNI          AVX2      the same, int8 by AVX-VNNI
//   avx512        AVX512_CORE        AVX3      bf16, int8 by widening
//   avx512_vnni   AVX512_CORE_VNNI   AVX3      bf16 by widening, int8 by AVX-512
//   avx512_bf16   AVX512_CORE_BF16   AVX3      bf16, int8 by AVX-512: all that is used today
//
// Nothing newer than AVX3 of Highway is compiled in (CMakeLists.txt): these operators have no use
// for it. AMX is not used: see kernels/cpu/onednn.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace fathom::cpu {

enum class Isa : uint8_t { kSse4, kAvx2, kAvxVnni, kAvx512, kAvx512Vnni, kAvx512Bf16 };
std::string_view name_of(Isa isa);  // as $FATHOM_MAX_ISA spells it

// The limit in force, nullopt where the variable is empty or not set. Read at the first call, which
// gives Highway its part of the limit as well: so before the first operator runs. Throws UsageError
// for a value that is none of the above, or on a CPU that is no x86. Thread-safe.
std::optional<Isa> max_isa();

// Whether the limit, if there is one, leaves this instruction set. As max_isa().
bool is_allowed(Isa isa);

}  // namespace fathom::cpu
