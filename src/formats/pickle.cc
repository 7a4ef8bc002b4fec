// SPDX-License-Identifier: Apache-2.0
#include "formats/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <utility>

#include "formats/checks.h"

namespace fathom {
namespace {

using Kind = PickleValue::Kind;

// Limits: a state dict takes about 30 pushes, 6 containers and 9 memo entries per tensor, and the
// largest RWKV has 2,500 tensors (four times as many with an optimiser's states). Together they
// keep a Pickle below about 13 MB.
constexpr size_t kMaxContainers = size_t{1} << 16;
constexpr size_t kMaxMemo = size_t{1} << 17;
constexpr size_t kMaxStack = size_t{1} << 13;

// The rest of the line, without its '\n'.
std::string_view read_line(ByteReader& in) {
  ByteReader ahead = in;
  const std::string_view rest = ahead.text(ahead.remaining(), "name");
  const size_t length = rest.substr(0, 2 * kMaxNameBytes).find('\n');
  FATHOM_REQUIRE(length != rest.npos, "pickle: a name without an end");
  in.take(length + 1, "name");
  return rest.substr(0, length);
}

int64_t read_signed(std::string_view little_endian) {
  uint64_t value = 0;
  for (size_t i = 0; i < little_endian.size(); ++i)
    value |= uint64_t{static_cast<uint8_t>(little_endian[i])} << (8 * i);
  const size_t unused = 64 - 8 * little_endian.size();
  if (little_endian.empty()) return 0;
  return static_cast<int64_t>(value << unused) >> unused;  // carries the sign down
}

double read_big_endian_double(ByteReader& in) {
  return std::bit_cast<double>(__builtin_bswap64(in.read<uint64_t>("float")));
}

}  // namespace

PickleValue PickleValue::real(double v) {
  PickleValue value(Kind::kFloat, 0);
  value.real_ = v;
  return value;
}

PickleValue PickleValue::text(Kind kind, std::string_view v) {
  FATHOM_REQUIRE(v.size() <= UINT32_MAX, "pickle: a string of ", v.size(), " bytes");
  PickleValue value(kind, 0);
  value.size_ = static_cast<uint32_t>(v.size());
  value.text_ = v.data();
  return value;
}

PickleValue PickleValue::global(const PickleName& name) {
  PickleValue value(Kind::kGlobal, 0);
  value.global_ = name.global;
  value.type_ = name.type;
  return value;
}

PickleValue PickleValue::tensor(PickleGlobal rebuild, uint32_t index) {
  PickleValue value(Kind::kTensor, index);
  value.global_ = rebuild;
  return value;
}

bool PickleValue::as_bool() const {
  FATHOM_ASSERT(is(Kind::kBool));
  return integer_ != 0;
}
int64_t PickleValue::as_int() const {
  FATHOM_ASSERT(is(Kind::kInt));
  return integer_;
}
double PickleValue::as_real() const {
  FATHOM_ASSERT(is(Kind::kFloat));
  return real_;
}
std::string_view PickleValue::as_text() const {
  FATHOM_ASSERT(is(Kind::kString) || is(Kind::kHugeInt));
  return {text_, size_};
}
uint32_t PickleValue::index() const {
  FATHOM_ASSERT(kind_ == Kind::kTuple || kind_ == Kind::kList || kind_ == Kind::kDict ||
                kind_ == Kind::kStorage || kind_ == Kind::kTensor);
  return static_cast<uint32_t>(integer_);
}
PickleGlobal PickleValue::global() const {
  FATHOM_ASSERT(is(Kind::kGlobal) || is(Kind::kTensor));
  return global_;
}
const TorchType& PickleValue::type() const {
  FATHOM_ASSERT(is(PickleGlobal::kStorageClass) || is(PickleGlobal::kDType));
  return *type_;
}

std::span<const PickleValue> Pickle::items(PickleValue container) const {
  return containers_[container.index()];
}

PickleValue Pickle::read(ByteReader& in) {
  stack_.clear();
  marks_.clear();
  memo_.clear();
  constexpr uint8_t kStop = '.';
  for (uint8_t opcode = in.read<uint8_t>("pickle"); opcode != kStop;
       opcode = in.read<uint8_t>("pickle"))
    step(in, opcode);
  FATHOM_REQUIRE(stack_.size() == 1 && marks_.empty(), "pickle: ended with ", stack_.size(),
                 " values, expected 1");
  return pop();
}

void Pickle::step(ByteReader& in, uint8_t opcode) {
  if (step_scalar(in, opcode) || step_bytes(in, opcode) || step_memo(in, opcode) ||
      step_container(opcode))
    return;
  switch (opcode) {
    case 0x80: {  // PROTO
      const auto version = in.read<uint8_t>("pickle protocol");
      FATHOM_REQUIRE(version >= 2 && version <= 5, "pickle protocol ", int{version},
                     "; protocols 2 to 5 are read");
      return;
    }
    case 0x95:
      in.read<uint64_t>("pickle frame");
      return;    // FRAME: only its length
    case 'c': {  // GLOBAL
      const std::string_view module = read_line(in), name = read_line(in);
      return push(PickleValue::global(find_pickle_name(module, name)));
    }
    case 0x93: {  // STACK_GLOBAL
      const PickleValue name = pop(), module = pop();
      FATHOM_REQUIRE(name.is(Kind::kString) && module.is(Kind::kString),
                     "pickle: a global without a name");
      return push(PickleValue::global(find_pickle_name(module.as_text(), name.as_text())));
    }
    case 'Q':
      return persistent_id();
    case 'R':
    case 0x81:  // NEWOBJ: a class instead of a function
      return call();
    case 'b':
      return build();
    default:
      throw Error(concat("pickle: opcode ", int{opcode}, " is not one that torch.save writes"));
  }
}

bool Pickle::step_scalar(ByteReader& in, uint8_t opcode) {
  const auto push_text = [&](size_t n) {
    push(PickleValue::text(Kind::kString, in.text(n, "string")));
  };
  switch (opcode) {
    case 'N':
      push(PickleValue::none());
      return true;
    case 0x88:
      push(PickleValue::boolean(true));
      return true;
    case 0x89:
      push(PickleValue::boolean(false));
      return true;
    case 'J':
      push(PickleValue::integer(in.read<int32_t>("integer")));
      return true;
    case 'K':
      push(PickleValue::integer(in.read<uint8_t>("integer")));
      return true;
    case 'M':
      push(PickleValue::integer(in.read<uint16_t>("integer")));
      return true;
    case 0x8a:    // LONG1
    case 0x8b: {  // LONG4
      const size_t n = opcode == 0x8a ? in.read<uint8_t>("integer") : in.read<uint32_t>("integer");
      const std::string_view bytes = in.text(n, "integer");
      push(bytes.size() <= 8 ? PickleValue::integer(read_signed(bytes))
                             : PickleValue::text(Kind::kHugeInt, bytes));
      return true;
    }
    case 'G':
      push(PickleValue::real(read_big_endian_double(in)));
      return true;
    case 'X':
      push_text(in.read<uint32_t>("string"));
      return true;
    case 0x8c:
      push_text(in.read<uint8_t>("string"));
      return true;
    case 0x8d:
      push_text(in.read<uint64_t>("string"));
      return true;
    case 'U':
      push_text(in.read<uint8_t>("string"));
      return true;  // SHORT_BINSTRING, Python 2
    case 'T':
      push_text(in.read<uint32_t>("string"));
      return true;  // BINSTRING, Python 2
    default:
      return false;
  }
}

// BINBYTES, SHORT_BINBYTES, BINBYTES8, BYTEARRAY8: data of no use here.
bool Pickle::step_bytes(ByteReader& in, uint8_t opcode) {
  switch (opcode) {
    case 'B':
      in.take(in.read<uint32_t>("bytes"), "bytes");
      break;
    case 'C':
      in.take(in.read<uint8_t>("bytes"), "bytes");
      break;
    case 0x8e:
    case 0x96:
      in.take(in.read<uint64_t>("bytes"), "bytes");
      break;
    default:
      return false;
  }
  push(PickleValue::opaque());
  return true;
}

bool Pickle::step_memo(ByteReader& in, uint8_t opcode) {
  switch (opcode) {
    case 'q':
      put_memo(in.read<uint8_t>("memo"));
      return true;
    case 'r':
      put_memo(in.read<uint32_t>("memo"));
      return true;
    case 0x94:
      put_memo(memo_.size());
      return true;
    case 'h':
      get_memo(in.read<uint8_t>("memo"));
      return true;
    case 'j':
      get_memo(in.read<uint32_t>("memo"));
      return true;
    default:
      return false;
  }
}

bool Pickle::step_container(uint8_t opcode) {
  // The last `n` values as a tuple.
  const auto push_tuple = [&](size_t n) {
    const size_t below = marks_.empty() ? 0 : marks_.back();
    FATHOM_REQUIRE(stack_.size() - below >= n, "pickle: a tuple of missing values");
    push(make(Kind::kTuple, stack_.size() - n));
  };
  switch (opcode) {
    case '(':
      FATHOM_REQUIRE(marks_.size() < kMaxStack, "pickle: nested too deep");
      marks_.push_back(stack_.size());
      return true;
    case ')':
      push_tuple(0);
      return true;
    case 0x85:
      push_tuple(1);
      return true;
    case 0x86:
      push_tuple(2);
      return true;
    case 0x87:
      push_tuple(3);
      return true;
    case 't':
    case 0x91:  // FROZENSET: read as a tuple
      push(make(Kind::kTuple, pop_mark()));
      return true;
    case ']':
    case 0x8f:  // EMPTY_SET: read as a list
      push(make(Kind::kList, stack_.size()));
      return true;
    case '}':
      push(make(Kind::kDict, stack_.size()));
      return true;
    case 'a':
    case 'e':
    case 's':
    case 'u':
    case 0x90:
      append_to_container(opcode);
      return true;
    default:
      return false;
  }
}

// APPEND, APPENDS, SETITEM, SETITEMS, ADDITEMS: values above a list or dict go into it.
void Pickle::append_to_container(uint8_t opcode) {
  const bool list = opcode == 'a' || opcode == 'e' || opcode == 0x90;
  const size_t n = opcode == 'a' ? 1 : 2;
  const bool marked = opcode != 'a' && opcode != 's';
  const size_t first = marked ? pop_mark() : stack_.size() - std::min(n, stack_.size());
  std::vector<PickleValue>& to = dict_or_list(first, list ? Kind::kList : Kind::kDict);
  FATHOM_REQUIRE(list || (stack_.size() - first) % 2 == 0, "pickle: a key without a value");
  to.insert(to.end(), stack_.begin() + static_cast<ptrdiff_t>(first), stack_.end());
  stack_.erase(stack_.begin() + static_cast<ptrdiff_t>(first), stack_.end());
}

void Pickle::push(PickleValue value) {
  FATHOM_REQUIRE(stack_.size() < kMaxStack && n_pushed_ < kMaxPushed,
                 "pickle: more values than a file of tensors needs");
  ++n_pushed_;
  stack_.push_back(value);
}

PickleValue Pickle::pop() {
  FATHOM_REQUIRE(stack_.size() > (marks_.empty() ? 0 : marks_.back()),
                 "pickle: a value is missing");
  const PickleValue value = stack_.back();
  stack_.pop_back();
  return value;
}

size_t Pickle::pop_mark() {
  FATHOM_REQUIRE(!marks_.empty(), "pickle: a mark is missing");
  const size_t position = marks_.back();
  marks_.pop_back();
  return position;
}

PickleValue Pickle::make(Kind kind, size_t first) {
  FATHOM_REQUIRE(containers_.size() < kMaxContainers,
                 "pickle: more values than a file of tensors needs");
  const auto begin = stack_.begin() + static_cast<ptrdiff_t>(first);
  containers_.emplace_back(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  return PickleValue::container(kind, static_cast<uint32_t>(containers_.size() - 1));
}

// The contents of the list or dict just below `position` on the stack.
std::vector<PickleValue>& Pickle::dict_or_list(size_t position, Kind kind) {
  const size_t below = marks_.empty() ? 0 : marks_.back();
  FATHOM_REQUIRE(position > below && stack_[position - 1].is(kind),
                 "pickle: values are added to something else than a ",
                 kind == Kind::kList ? "list" : "dict");
  return containers_[stack_[position - 1].index()];
}

void Pickle::put_memo(size_t index) {
  FATHOM_REQUIRE(index < kMaxMemo, "pickle: memo entry ", index, "; at most ", kMaxMemo,
                 " are kept");
  FATHOM_REQUIRE(!stack_.empty(), "pickle: a value is missing");
  if (index >= memo_.size()) memo_.resize(index + 1, PickleValue::none());
  memo_[index] = stack_.back();
}

void Pickle::get_memo(size_t index) {
  FATHOM_REQUIRE(index < memo_.size(), "pickle: memo entry ", index, " is missing");
  push(memo_[index]);
}

}  // namespace fathom
