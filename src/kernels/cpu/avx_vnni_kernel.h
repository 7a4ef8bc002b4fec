// SPDX-License-Identifier: Apache-2.0
// int8 products of one weight panel with AVX-VNNI's vpdpbusd on vectors of 32 bytes: CPUs without
// AVX-512 from Intel's 12th generation on. Behind kernels/cpu/dot_kernel.h, with the same results.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fathom::cpu {

// Whether this CPU has the instruction, and $FATHOM_MAX_ISA leaves it.
bool has_avx_vnni_kernel();

// As multiply_dot in kInt8.
void multiply_avx_vnni(const void* x, size_t rows, size_t n_in, const void* panel, size_t n_out,
                       const int32_t* compensation, void* acc);

}  // namespace fathom::cpu
