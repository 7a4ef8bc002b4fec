// SPDX-License-Identifier: Apache-2.0
// From the pickle of a state dict to tensors: finds the dict inside wrappers, takes prefixes off
// the names, binds every tensor to the bytes of its storage.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>

#include "formats/file_contents.h"
#include "formats/pickle.h"

namespace fathom {

// Bytes of the storage with this key; they need not have the size the pickle claims. Throws Error
// if there is none.
using FindStorage = std::function<std::span<const std::byte>(std::string_view key)>;

// Fills tensors, extras and notes as parse_torch() says (formats/torch_zip.h).
FileContents read_state_dict(const Pickle& pickle, PickleValue root, const FindStorage& storage);

}  // namespace fathom
