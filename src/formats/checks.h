// SPDX-License-Identifier: Apache-2.0
// What every parser checks of what it read, and the limits that keep the memory of opening a file
// constant: counts come from the file, so nothing is kept of it beyond these. All functions are
// pure; those that return nothing throw Error.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "formats/tensor.h"

namespace fathom {

// The largest RWKV, 14 B in 61 blocks, has about 2,500 tensors.
inline constexpr size_t kMaxTensors = 16384;
inline constexpr size_t kMaxNameBytes = 256;
inline constexpr size_t kMaxDimensions = 8;

// Runs f; its Errors get "NAME: " in front.
template <class F>
auto naming(std::string_view name, F&& f) {
  try {
    return f();
  } catch (const Error& e) {
    throw Error(concat(name, ": ", e.what()));
  }
}

// At most 60 bytes of untrusted text for an error message; what is not printable ASCII becomes '?'.
std::string excerpt(std::string_view text);

// A tensor's or a field's name: 1 to kMaxNameBytes bytes of UTF-8 without control characters.
// Returns it, so that it can be checked where it is read.
std::string_view checked_name(std::string_view name, std::string_view what);

// Bytes of a contiguous tensor of this shape; Error if they overflow.
size_t shape_bytes(const std::string& name, StoredType dtype, std::span<const size_t> shape);

// Appends, or throws if that would be more than kMaxTensors.
void add_tensor(std::vector<Tensor>& tensors, Tensor tensor);

// Indices of the tensors in the order of their names; Error if two have the same name.
std::vector<uint32_t> sorted_by_name(std::span<const Tensor> tensors);

// Error if the bytes of two tensors overlap.
void check_no_overlap(std::span<const Tensor> tensors);

}  // namespace fathom
