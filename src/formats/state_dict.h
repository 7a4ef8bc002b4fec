// SPDX-License-Identifier: Apache-2.0
// From the pickle of a state dict to tensors: finds the dict inside wrappers and binds every tensor
// to the bytes of its storage.
#pragma once

#include "formats/file_contents.h"
#include "formats/pickle.h"
#include "formats/torch_tensor.h"

namespace fathom {

// Fills tensors, extras and notes as parse_torch() says (formats/torch_zip.h).
FileContents read_state_dict(const Pickle& pickle, PickleValue root, const FindStorage& storage);

}  // namespace fathom
