// SPDX-License-Identifier: Apache-2.0
// Files of torch.save: .pth and pytorch_model.bin, in the ZIP form (PyTorch 1.6 and later) and the
// legacy form before it. A pickle says which tensors view which part of which storage; the storages
// are raw bytes. Nothing of the pickle is executed (formats/pickle.h) and nothing is copied:
// transposed tensors come with strides, tensors that share a storage share its bytes.
// Source: docs/layouts.md, "PyTorch" (torch/serialization.py).
#pragma once

#include <cstddef>
#include <span>

#include "formats/file_contents.h"

namespace fathom {

// True if the file begins like one of the two forms (or like any other pickle, which is then
// refused with the reason).
bool looks_like_torch(std::span<const std::byte> file);

// Fills tensors, extras (top-level entries that are not tensors) and notes. A state dict inside a
// wrapper (state_dict, model_state_dict, model, module, params) is found. Tensors that are not plain
// numbers are listed (formats/torch_tensor.h). Refused: foreign globals, ChatRWKV's converted files,
// big-endian files, compressed entries, tensors that reach outside their storage, ...
FileContents parse_torch(std::span<const std::byte> file);

}  // namespace fathom
