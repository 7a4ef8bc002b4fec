// SPDX-License-Identifier: Apache-2.0
// What the opcodes mean that call something in Python: persistent ids, functions and classes, and
// the state of objects. Here they make records.
#include "base/error.h"
#include "formats/pickle.h"

namespace fathom {
namespace {

using Kind = PickleValue::Kind;
using Global = PickleGlobal;

constexpr const char* kTooMany = "pickle: more values than a file of tensors needs";

}  // namespace

// ('storage', class, key, location, number of elements[, view of legacy files])
void Pickle::persistent_id() {
  const PickleValue id = pop();
  FATHOM_REQUIRE(id.is(Kind::kTuple), "pickle: a persistent id that is not a tuple");
  const auto fields = items(id);
  FATHOM_REQUIRE(fields.size() >= 5 && fields[0].is(Kind::kString) &&
                     fields[0].as_text() == "storage" && fields[1].is(Global::kStorageClass) &&
                     fields[2].is(Kind::kString) && fields[4].is(Kind::kInt),
                 "pickle: a persistent id that is not a tensor's storage");
  FATHOM_REQUIRE(storages_.size() < kMaxStorages, kTooMany);
  storages_.push_back(PickleValue::container(Kind::kStorage, id.index()));
  push(storages_.back());
}

void Pickle::call() {
  const PickleValue arguments = pop(), callable = pop();
  FATHOM_REQUIRE(arguments.is(Kind::kTuple) && callable.is(Kind::kGlobal),
                 "pickle: a call of something that is not a known function");
  const auto fields = items(arguments);
  switch (callable.global()) {
    case Global::kOrderedDict:
      return ordered_dict(arguments);
    case Global::kSequence:
      if (fields.empty()) return push(make(Kind::kTuple, stack_.size()));
      if (fields[0].is(Kind::kTuple) || fields[0].is(Kind::kList)) return push(fields[0]);
      return push(PickleValue::opaque());
    case Global::kData:
      return push(PickleValue::opaque());
    case Global::kStorageClass:
    case Global::kDType:
      throw Error("pickle: a call of a storage class or of a type of numbers");
    case Global::kRebuildFromType:
      // Attributes of a tensor, and its subclass: the tensor is what counts.
      FATHOM_REQUIRE(
          fields.size() == 4 && fields[0].is(Kind::kGlobal) && fields[2].is(Kind::kTuple),
          "pickle: a tensor of a class that is not made of function, class, arguments",
          " and attributes");
      return rebuild(fields[0], fields[2]);
    default:
      return rebuild(callable, arguments);
  }
}

void Pickle::rebuild(PickleValue function, PickleValue arguments) {
  const auto fields = items(arguments);
  const Global how = function.global();
  switch (how) {
    case Global::kRebuildTensor:
    case Global::kRebuildTensorV3:
      FATHOM_REQUIRE(fields.size() >= 4 && fields[0].is(Kind::kStorage) &&
                         fields[1].is(Kind::kInt) && fields[2].is(Kind::kTuple) &&
                         fields[3].is(Kind::kTuple),
                     "pickle: a tensor that is not made of storage, offset, shape and strides");
      FATHOM_REQUIRE(
          how == Global::kRebuildTensor || (fields.size() >= 7 && fields[6].is(Global::kDType)),
          "pickle: a tensor (_rebuild_tensor_v3) without its type");
      return push(PickleValue::tensor(how, arguments.index()));
    case Global::kRebuildParameter:
      FATHOM_REQUIRE(!fields.empty() && fields[0].is(Kind::kTensor),
                     "pickle: a parameter that is not a tensor");
      return push(fields[0]);
    case Global::kRebuildQuantised:
    case Global::kRebuildSparse:
    case Global::kRebuildMeta:
    case Global::kRebuildSubclass:
    case Global::kRebuildOnDevice:
      return push(PickleValue::tensor(how, arguments.index()));
    default:
      throw Error("pickle: a tensor made by something that makes none");
  }
}

void Pickle::ordered_dict(PickleValue arguments) {
  const size_t n_argument = items(arguments).size();
  FATHOM_REQUIRE(n_argument <= 1, "pickle: an OrderedDict of ", n_argument, " arguments");
  PickleValue dict = make(Kind::kDict, stack_.size());
  if (n_argument == 1) {
    const PickleValue from = items(arguments)[0];
    if (from.is(Kind::kDict)) return push(from);  // a Counter
    FATHOM_REQUIRE(from.is(Kind::kList), "pickle: an OrderedDict that is not made of a list");
    for (size_t i = 0; i < items(from).size(); ++i) {  // Python 2: one list of [key, value]
      const PickleValue pair = items(from)[i];
      FATHOM_REQUIRE((pair.is(Kind::kList) || pair.is(Kind::kTuple)) && items(pair).size() == 2,
                     "pickle: an OrderedDict that is not made of pairs");
      FATHOM_REQUIRE(n_pushed_ + 2 <= kMaxPushed, kTooMany);
      n_pushed_ += 2;
      auto& to = containers_[dict.index()];
      to.push_back(items(pair)[0]);
      to.push_back(items(pair)[1]);
    }
  }
  push(dict);
}

// The state of an OrderedDict is state_dict's _metadata: versions of modules, of no use here; that
// of a tensor, its attributes. (Before PyTorch 0.4 it could be the tensor's data: a tuple.)
void Pickle::build() {
  const PickleValue state = pop(), target = pop();
  FATHOM_REQUIRE(target.is(Kind::kDict) || target.is(Kind::kOpaque) || target.is(Kind::kTensor),
                 "pickle: state for something that is not a dict");
  FATHOM_REQUIRE(!target.is(Kind::kTensor) || state.is(Kind::kDict) || state.is(Kind::kNone),
                 "pickle: a tensor whose state is not a dict of attributes (saved before PyTorch ",
                 "0.4?)");
  push(target);
}

}  // namespace fathom
