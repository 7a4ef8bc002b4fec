// SPDX-License-Identifier: Apache-2.0
// Pickle: the part of Python's pickle format that torch.save writes, read as plain data. Nothing is
// imported and nothing is called: the names that torch.load takes with weights_only=True are words
// here (formats/pickle_names.h), and REDUCE or NEWOBJ with one of them makes a record of its
// arguments, or a value that says nothing. Any other name is refused.
// Source: docs/layouts.md, "PyTorch" (CPython, Lib/pickletools.py; torch/serialization.py).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "formats/byte_reader.h"
#include "formats/pickle_names.h"

namespace fathom {

// 16 bytes, copied freely. Strings point into the pickle; containers and records are indices into
// the Pickle that made them.
class PickleValue {
 public:
  enum class Kind : uint8_t {
    kNone,
    kBool,
    kInt,
    kHugeInt,
    kFloat,
    kString,
    kTuple,
    kList,
    kDict,
    kGlobal,
    kStorage,  // a persistent id; items: "storage", class, key, location, number of elements, ...
    kTensor,   // items: the arguments of global(), one of kRebuild...
    kOpaque,   // data of no use here: bytes, a torch.device, a numpy scalar, ...
  };

  static PickleValue none() { return PickleValue(Kind::kNone, 0); }
  static PickleValue boolean(bool v) { return PickleValue(Kind::kBool, v); }
  static PickleValue integer(int64_t v) { return PickleValue(Kind::kInt, v); }
  static PickleValue real(double v);
  static PickleValue text(Kind kind, std::string_view v);  // kString, kHugeInt (little-endian)
  static PickleValue container(Kind kind, uint32_t index) { return PickleValue(kind, index); }
  static PickleValue global(const PickleName& name);
  static PickleValue tensor(PickleGlobal rebuild, uint32_t index);
  static PickleValue opaque() { return PickleValue(Kind::kOpaque, 0); }

  Kind kind() const { return kind_; }
  bool is(Kind k) const { return kind_ == k; }
  bool is(PickleGlobal g) const { return kind_ == Kind::kGlobal && global_ == g; }

  // Each may be called only for values of its kind (the others are bugs).
  bool as_bool() const;
  int64_t as_int() const;
  double as_real() const;
  std::string_view as_text() const;
  uint32_t index() const;
  PickleGlobal global() const;    // of a kGlobal; of a kTensor: how it is rebuilt
  const TorchType& type() const;  // of a kStorageClass or kDType

 private:
  PickleValue(Kind kind, int64_t v) : kind_(kind), integer_(v) {}

  Kind kind_;
  PickleGlobal global_{};
  uint32_t size_ = 0;
  union {
    int64_t integer_;
    double real_;
    const char* text_;
    const TorchType* type_;
  };
};

class Pickle {
 public:
  // Reads one pickle, up to and including its STOP. Can be called again for the pickles that follow
  // in a legacy file; older values stay valid. Throws Error: unknown opcodes, foreign names,
  // malformed or truncated input, or more values than any checkpoint needs (memory stays constant).
  PickleValue read(ByteReader& in);

  // The elements of a tuple, list or record; of a dict: key, value, key, value, ...
  std::span<const PickleValue> items(PickleValue container) const;

  // Every storage that was named, in the order of the pickle, repeats included.
  std::span<const PickleValue> storages() const { return storages_; }

 private:
  void step(ByteReader& in, uint8_t opcode);
  bool step_scalar(ByteReader& in, uint8_t opcode);
  bool step_bytes(ByteReader& in, uint8_t opcode);
  bool step_container(uint8_t opcode);
  void append_to_container(uint8_t opcode);
  bool step_memo(ByteReader& in, uint8_t opcode);
  void push(PickleValue value);
  PickleValue pop();
  size_t pop_mark();  // position on the stack of the first value after the mark
  PickleValue make(PickleValue::Kind kind, size_t first);  // takes the stack from `first` on
  std::vector<PickleValue>& dict_or_list(size_t position, PickleValue::Kind kind);
  void put_memo(size_t index);
  void get_memo(size_t index);
  void persistent_id();
  void call();  // REDUCE, NEWOBJ
  void rebuild(PickleValue function, PickleValue arguments);
  void ordered_dict(PickleValue arguments);
  void build();

  static constexpr size_t kMaxPushed = size_t{1} << 18;  // pickle.cc says why
  static constexpr size_t kMaxStorages = size_t{1} << 16;

  std::vector<std::vector<PickleValue>> containers_;
  std::vector<PickleValue> stack_;
  std::vector<size_t> marks_;  // stack heights
  std::vector<PickleValue> memo_;
  std::vector<PickleValue> storages_;
  size_t n_pushed_ = 0;
};

}  // namespace fathom
