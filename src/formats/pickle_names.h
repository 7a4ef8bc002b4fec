// SPDX-License-Identifier: Apache-2.0
// The names that a pickle of torch.save may speak, and what each means here. They are what
// torch.load reads with weights_only=True, and a few more that are as harmless (frozenset, bytes,
// numpy's scalars and arrays): words for data. Nothing is imported and nothing is called.
// Source: PyTorch, torch/_weights_only_unpickler.py, torch/_utils.py, torch/storage.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/dtype.h"

namespace fathom {

// What a name of a pickle stands for.
enum class PickleGlobal : uint8_t {
  kOrderedDict,       // collections.OrderedDict, Counter
  kRebuildTensor,     // (storage, offset, shape, strides, gradient, hooks, view)
  kRebuildTensorV3,   // the same with a dtype in front of view: (..., hooks, dtype, view)
  kRebuildParameter,  // (tensor, ...): the tensor
  kRebuildFromType,   // (function, class, arguments, attributes): what the function gives
  kRebuildQuantised,  // the rest are tensors that are listed and never read
  kRebuildSparse,
  kRebuildMeta,
  kRebuildSubclass,
  kRebuildOnDevice,
  kStorageClass,  // torch.FloatStorage, ...
  kDType,         // torch.float32, ...
  kSequence,      // torch.Size, set, frozenset: (a list or tuple), or ()
  kData,          // torch.device, bytes, numpy.dtype, ...: a value that is read over
};

// An element of a torch tensor.
struct TorchType {
  std::string_view name;  // "BF16", "U16", "C64"
  StoredType dtype;       // kOther: listed, never read
  size_t bytes;           // of one element in its storage
};

struct PickleName {
  PickleGlobal global;
  const TorchType* type;  // of a kStorageClass and a kDType; else nullptr
};

// Throws Error, which names it, for any other name.
PickleName find_pickle_name(std::string_view module, std::string_view name);

}  // namespace fathom
