// SPDX-License-Identifier: Apache-2.0
#include "formats/pickle_names.h"

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "formats/checks.h"

namespace fathom {
namespace {

using Global = PickleGlobal;

struct Known {
  std::string_view module, name;
  Global global;
};

// Modules as Python 3 calls them; canonical_module() has the others.
constexpr Known kKnown[] = {
    {"collections", "OrderedDict", Global::kOrderedDict},
    {"collections", "Counter", Global::kOrderedDict},
    {"torch._utils", "_rebuild_tensor", Global::kRebuildTensor},
    {"torch._utils", "_rebuild_tensor_v2", Global::kRebuildTensor},
    {"torch._utils", "_rebuild_tensor_v3", Global::kRebuildTensorV3},
    {"torch._utils", "_rebuild_parameter", Global::kRebuildParameter},
    {"torch._utils", "_rebuild_parameter_with_state", Global::kRebuildParameter},
    {"torch.nn.parameter", "Parameter", Global::kRebuildParameter},
    {"torch._tensor", "_rebuild_from_type_v2", Global::kRebuildFromType},
    {"torch._utils", "_rebuild_qtensor", Global::kRebuildQuantised},
    {"torch._utils", "_rebuild_sparse_tensor", Global::kRebuildSparse},
    {"torch._utils", "_rebuild_meta_tensor_no_storage", Global::kRebuildMeta},
    {"torch._utils", "_rebuild_wrapper_subclass", Global::kRebuildSubclass},
    {"torch._utils", "_rebuild_device_tensor_from_numpy", Global::kRebuildOnDevice},
    {"torch._utils", "_rebuild_device_tensor_from_cpu_tensor", Global::kRebuildOnDevice},
    {"torch._utils", "_rebuild_xla_tensor", Global::kRebuildOnDevice},
    {"torch", "Size", Global::kSequence},
    {"builtins", "set", Global::kSequence},
    {"builtins", "frozenset", Global::kSequence},
    {"builtins", "bytes", Global::kData},
    {"builtins", "bytearray", Global::kData},
    {"builtins", "complex", Global::kData},
    {"_codecs", "encode", Global::kData},  // bytes, as protocol 2 writes them
    {"torch", "Tensor", Global::kData},
    {"torch", "device", Global::kData},
    {"torch.serialization", "_get_layout", Global::kData},
    {"torch", "per_tensor_affine", Global::kData},
    {"torch", "per_tensor_symmetric", Global::kData},
    {"torch", "per_channel_affine", Global::kData},
    {"torch", "per_channel_symmetric", Global::kData},
    {"torch", "per_channel_affine_float_qparams", Global::kData},
    {"numpy.core.multiarray", "scalar", Global::kData},
    {"numpy.core.multiarray", "_reconstruct", Global::kData},
    {"numpy", "dtype", Global::kData},
    {"numpy", "ndarray", Global::kData},
};

// Names of torch that stand for a type of numbers: its dtype, and what its storage class and its
// tensor class begin with ("" where it has none).
struct KnownType {
  std::string_view dtype, classes;
  TorchType type;
};

constexpr KnownType kTypes[] = {
    {"float64", "Double", {"F64", StoredType::kF64, 8}},
    {"double", "", {"F64", StoredType::kF64, 8}},
    {"float32", "Float", {"F32", StoredType::kF32, 4}},
    {"float", "", {"F32", StoredType::kF32, 4}},
    {"float16", "Half", {"F16", StoredType::kF16, 2}},
    {"half", "", {"F16", StoredType::kF16, 2}},
    {"bfloat16", "BFloat16", {"BF16", StoredType::kBF16, 2}},
    {"int64", "Long", {"I64", StoredType::kI64, 8}},
    {"long", "", {"I64", StoredType::kI64, 8}},
    {"int32", "Int", {"I32", StoredType::kI32, 4}},
    {"int", "", {"I32", StoredType::kI32, 4}},
    {"int16", "Short", {"I16", StoredType::kI16, 2}},
    {"short", "", {"I16", StoredType::kI16, 2}},
    {"int8", "Char", {"I8", StoredType::kI8, 1}},
    {"uint8", "Byte", {"U8", StoredType::kU8, 1}},
    {"bool", "Bool", {"BOOL", StoredType::kBool, 1}},
    {"float8_e4m3fn", "", {"F8_E4M3", StoredType::kF8E4M3, 1}},
    {"float8_e5m2", "", {"F8_E5M2", StoredType::kF8E5M2, 1}},
    {"float8_e4m3fnuz", "", {"F8_E4M3FNUZ", StoredType::kOther, 1}},
    {"float8_e5m2fnuz", "", {"F8_E5M2FNUZ", StoredType::kOther, 1}},
    {"float8_e8m0fnu", "", {"F8_E8M0", StoredType::kOther, 1}},
    {"float4_e2m1fn_x2", "", {"F4 in pairs", StoredType::kOther, 1}},
    {"uint16", "UInt16", {"U16", StoredType::kOther, 2}},
    {"uint32", "UInt32", {"U32", StoredType::kOther, 4}},
    {"uint64", "UInt64", {"U64", StoredType::kOther, 8}},
    {"complex32", "ComplexHalf", {"C32", StoredType::kOther, 4}},
    {"complex64", "ComplexFloat", {"C64", StoredType::kOther, 8}},
    {"complex128", "ComplexDouble", {"C128", StoredType::kOther, 16}},
    {"cfloat", "", {"C64", StoredType::kOther, 8}},
    {"cdouble", "", {"C128", StoredType::kOther, 16}},
    {"quint8", "QUInt8", {"quint8", StoredType::kOther, 1}},
    {"qint8", "QInt8", {"qint8", StoredType::kOther, 1}},
    {"qint32", "QInt32", {"qint32", StoredType::kOther, 4}},
    {"quint4x2", "QUInt4x2", {"quint4x2", StoredType::kOther, 1}},
    {"quint2x4", "QUInt2x4", {"quint2x4", StoredType::kOther, 1}},
    {"bits8", "", {"bits8", StoredType::kOther, 1}},
    {"bits16", "", {"bits16", StoredType::kOther, 2}},
    {"bits1x8", "", {"bits1x8", StoredType::kOther, 1}},
    {"bits2x4", "", {"bits2x4", StoredType::kOther, 1}},
    {"bits4x2", "", {"bits4x2", StoredType::kOther, 1}},
};
// torch.uint1 to torch.uint7, torch.int1 to torch.int7: an element a byte.
constexpr TorchType kFewBits{"of less than 8 bits", StoredType::kOther, 1};
// torch.storage.UntypedStorage: bytes, to which torch.load gives this type.
constexpr TorchType kBytes{"U8", StoredType::kU8, 1};

std::string_view canonical_module(std::string_view module) {
  if (module == "__builtin__") return "builtins";                          // Python 2
  if (module == "numpy._core.multiarray") return "numpy.core.multiarray";  // numpy 2
  return module;
}

bool is_few_bits(std::string_view name) {
  for (std::string_view prefix : {"uint", "int"})
    if (name.size() == prefix.size() + 1 && name.starts_with(prefix))
      return name.back() >= '1' && name.back() <= '7';
  return false;
}

// The type that a name of module torch (or torch.cuda) stands for; global tells how.
const TorchType* find_type(std::string_view name, Global& global) {
  global = Global::kDType;
  if (is_few_bits(name)) return &kFewBits;
  for (const KnownType& t : kTypes)
    if (t.dtype == name) return &t.type;
  global = Global::kStorageClass;
  std::string_view stem = name;
  for (std::string_view ending : {"Storage", "Tensor"})
    if (name.ends_with(ending)) {
      stem = name.substr(0, name.size() - ending.size());
      break;
    }
  if (stem.empty() || stem.size() == name.size()) return nullptr;
  for (const KnownType& t : kTypes)
    if (t.classes == stem) return &t.type;
  return nullptr;
}

}  // namespace

PickleName find_pickle_name(std::string_view module, std::string_view name) {
  const std::string_view canonical = canonical_module(module);
  const auto known = std::find_if(std::begin(kKnown), std::end(kKnown), [&](const Known& k) {
    return k.module == canonical && k.name == name;
  });
  if (known != std::end(kKnown)) return {known->global, nullptr};
  if (canonical == "torch.storage" && name == "UntypedStorage")
    return {Global::kStorageClass, &kBytes};
  if (canonical == "torch" || canonical == "torch.cuda") {
    Global global{};
    if (const TorchType* type = find_type(name, global)) return {global, type};
  }
  throw Error(concat("the pickle names ", excerpt(module), ".", excerpt(name),
                     ", which is not one of the few things that a file of weights needs; refused",
                     " (in Python, loading it could run code)"));
}

}  // namespace fathom
