// SPDX-License-Identifier: Apache-2.0
#include "formats/torch_tensor.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/error.h"
#include "formats/byte_reader.h"
#include "formats/checks.h"

namespace fathom {
namespace {

using Kind = PickleValue::Kind;
using Global = PickleGlobal;

std::vector<size_t> sizes_of(const Pickle& pickle, PickleValue tuple, const std::string& name,
                             std::string_view what) {
  const auto items = pickle.items(tuple);
  FATHOM_REQUIRE(items.size() <= kMaxDimensions, name, ": ", items.size(), " dimensions; at most ",
                 kMaxDimensions, " are read");
  std::vector<size_t> sizes;
  for (PickleValue item : items) {
    FATHOM_REQUIRE(item.is(Kind::kInt) && item.as_int() >= 0, name, ": the ", what,
                   " must be numbers of 0 or more");
    sizes.push_back(static_cast<size_t>(item.as_int()));
  }
  return sizes;
}

bool is_contiguous(std::span<const size_t> shape, std::span<const size_t> strides) {
  size_t expected = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    if (shape[d] != 1 && strides[d] != expected) return false;
    expected *= shape[d];
  }
  return true;
}

// Elements from the first to the last that is reached, at least one.
size_t extent(const std::string& name, std::span<const size_t> shape,
              std::span<const size_t> strides) {
  size_t last = 0;
  for (size_t d = 0; d < shape.size(); ++d) {
    size_t step = 0;
    FATHOM_REQUIRE(!__builtin_mul_overflow(shape[d] - 1, strides[d], &step), name,
                   ": strides overflow");
    FATHOM_REQUIRE(!__builtin_add_overflow(last, step, &last), name, ": strides overflow");
  }
  FATHOM_REQUIRE(last < SIZE_MAX, name, ": strides overflow");
  return last + 1;
}

// What the last argument of _rebuild_tensor_v2 and v3 makes of the numbers in the storage; "" for
// nothing. {"neg": True}: they are the negatives of the tensor's (torch._neg_view).
std::string view_kind(const Pickle& pickle, PickleValue metadata) {
  if (metadata.is(Kind::kNone)) return {};
  if (!metadata.is(Kind::kDict)) return "a view of an unknown kind";
  const auto items = pickle.items(metadata);
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    if (items[i + 1].is(Kind::kBool) && !items[i + 1].as_bool()) continue;
    const std::string_view key = items[i].is(Kind::kString) ? items[i].as_text() : "";
    if (key == "neg") return "a lazy negative view (in Python: tensor.resolve_neg())";
    if (key == "conj") return "a lazy conjugate view (in Python: tensor.resolve_conj())";
    return concat("a view of kind '", excerpt(key), "'");
  }
  return {};
}

// A tensor that is listed and never read.
Tensor other(std::string name, std::string what, std::vector<size_t> shape) {
  Tensor t;
  t.name = std::move(name);
  t.dtype = StoredType::kOther;
  t.other_type = std::move(what);
  t.shape = std::move(shape);
  return t;
}

// The shape in field `at`, or {} where there is none.
std::vector<size_t> shape_in(const Pickle& pickle, std::span<const PickleValue> fields, size_t at,
                             const std::string& name) {
  if (fields.size() <= at || !(fields[at].is(Kind::kTuple) || fields[at].is(Kind::kList)))
    return {};
  std::vector<size_t> shape = sizes_of(pickle, fields[at], name, "shape");
  size_t n = 1;
  for (size_t d : shape) n = checked_mul(n, d, name);
  return shape;
}

Tensor read_special(const Pickle& pickle, PickleValue value, std::string name) {
  const auto fields = pickle.items(value);
  switch (value.global()) {
    case Global::kRebuildQuantised: {  // storage, offset, shape, strides, scales, ...
      std::vector<size_t> shape = shape_in(pickle, fields, 2, name);
      return other(std::move(name), "a quantised tensor of torch", std::move(shape));
    }
    case Global::kRebuildSparse: {  // layout, (indices, [more indices,] values, shape, ...)
      std::vector<size_t> shape;
      if (fields.size() > 1 && fields[1].is(Kind::kTuple))
        for (size_t at : {2, 3})
          if (shape.empty()) shape = shape_in(pickle, pickle.items(fields[1]), at, name);
      return other(std::move(name), "a sparse tensor", std::move(shape));
    }
    case Global::kRebuildMeta: {  // dtype, shape, strides, gradient
      std::vector<size_t> shape = shape_in(pickle, fields, 1, name);
      return other(std::move(name), "a meta tensor, which has no data", std::move(shape));
    }
    case Global::kRebuildSubclass: {  // class, dtype, shape, strides, ...
      std::vector<size_t> shape = shape_in(pickle, fields, 2, name);
      return other(std::move(name), "a tensor of another class", std::move(shape));
    }
    default:
      return other(std::move(name), "a tensor of another device (in Python: tensor.cpu())", {});
  }
}

}  // namespace

Tensor read_torch_tensor(const Pickle& pickle, PickleValue value, std::string name,
                         const FindStorage& find_storage) {
  const bool v3 = value.global() == Global::kRebuildTensorV3;
  if (value.global() != Global::kRebuildTensor && !v3)
    return read_special(pickle, value, std::move(name));
  // storage, offset, shape, strides, gradient, hooks[, dtype if v3][, view]
  const auto fields = pickle.items(value);
  const auto storage = pickle.items(fields[0]);
  const TorchType& type = v3 ? fields[6].type() : storage[1].type();
  const size_t item = type.bytes, storage_item = storage[1].type().bytes, view_at = v3 ? 7 : 6;
  Tensor t;
  t.dtype = type.dtype;
  t.shape = sizes_of(pickle, fields[2], name, "shape");
  t.strides = sizes_of(pickle, fields[3], name, "strides");
  FATHOM_REQUIRE(t.shape.size() == t.strides.size(), name, ": ", t.shape.size(),
                 " dimensions, but ", t.strides.size(), " strides");
  const int64_t claimed = storage[4].as_int(), offset = fields[1].as_int();
  const auto bytes = find_storage(storage[2].as_text());
  FATHOM_REQUIRE(claimed >= 0 && static_cast<size_t>(claimed) <= bytes.size() / storage_item, name,
                 ": its storage should have ", claimed, " elements of ", storage_item,
                 " bytes, the file has ", bytes.size(), " bytes");
  const size_t n_storage = static_cast<size_t>(claimed) * storage_item / item;
  size_t n_element = 1;
  for (size_t d : t.shape) n_element = checked_mul(n_element, d, name);
  checked_mul(n_element, item, name);
  const size_t n_reached = n_element == 0 ? 0 : extent(name, t.shape, t.strides);
  FATHOM_REQUIRE(offset >= 0 && static_cast<size_t>(offset) <= n_storage &&
                     n_reached <= n_storage - static_cast<size_t>(offset),
                 name, ": reaches outside its storage of ", n_storage, " elements");
  t.bytes = bytes.subspan(static_cast<size_t>(offset) * item, n_reached * item);
  if (n_element == 0 || is_contiguous(t.shape, t.strides)) t.strides.clear();
  t.name = std::move(name);

  // The sizes that a reader allocates are bounded by the file's: no element counts twice.
  std::string what;
  if (n_element > n_storage) what = "an expanded view (in Python: tensor.contiguous())";
  if (view_at < fields.size())
    if (std::string kind = view_kind(pickle, fields[view_at]); !kind.empty()) what = kind;
  if (type.dtype == StoredType::kOther) {
    t.other_type = type.name;
  } else if (!what.empty()) {
    t.dtype = StoredType::kOther;
    t.other_type = concat(type.name, " as ", what);
  }
  return t;
}

}  // namespace fathom
