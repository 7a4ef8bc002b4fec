// SPDX-License-Identifier: Apache-2.0
// GCC puts an array of sums into registers only if its loops are unrolled early.
#pragma once

#ifdef __clang__
#define FATHOM_UNROLL _Pragma("unroll")
#else
#define FATHOM_UNROLL _Pragma("GCC unroll 8")
#endif
