// SPDX-License-Identifier: Apache-2.0
// A tensor of a torch pickle, bound to the bytes of its storage.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "formats/pickle.h"
#include "formats/tensor.h"

namespace fathom {

// Bytes of the storage with this key; they need not have the size the pickle claims. Throws Error
// if there is none.
using FindStorage = std::function<std::span<const std::byte>(std::string_view key)>;

// value: a kTensor of the pickle. What cannot be read as plain numbers comes as StoredType::kOther, with
// what it is in other_type: numbers of a type that Fathom has not, lazy negative and conjugate views
// (their bytes have the other sign), expanded views (more elements than their storage), sparse,
// quantised and meta tensors. Throws Error, naming the tensor: malformed, or outside its storage.
Tensor read_torch_tensor(const Pickle& pickle, PickleValue value, std::string name,
                         const FindStorage& find_storage);

}  // namespace fathom
