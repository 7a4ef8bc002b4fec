// SPDX-License-Identifier: Apache-2.0
#include "formats/state_dict.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"
#include "formats/checks.h"

namespace fathom {
namespace {

using Kind = PickleValue::Kind;

constexpr std::string_view kWrappers[] = {"state_dict", "model_state_dict", "model", "module",
                                          "params"};
constexpr size_t kMaxExtraDepth = 16;
constexpr size_t kMaxExtraValues = 16384;
constexpr size_t kMaxExtraBytes = size_t{1} << 20;

// Entries of a dict by key. Keys that are not strings have no meaning for us and are left out.
struct Entry {
  std::string_view key;
  PickleValue value;
};
std::vector<Entry> entries_of(const Pickle& pickle, PickleValue dict) {
  const auto items = pickle.items(dict);
  std::vector<Entry> entries;
  entries.reserve(items.size() / 2);
  for (size_t i = 0; i + 1 < items.size(); i += 2)
    if (items[i].is(Kind::kString)) entries.push_back({items[i].as_text(), items[i + 1]});
  return entries;
}

bool has_tensors(const Pickle& pickle, PickleValue dict) {
  const auto items = pickle.items(dict);
  for (size_t i = 1; i < items.size(); i += 2)
    if (items[i].is(Kind::kTensor)) return true;
  return false;
}

// Converts a value to JSON. A pickle can name one list many times, even inside itself, so depth,
// number of values and bytes of text are limited over the whole file.
class ExtrasWriter {
 public:
  explicit ExtrasWriter(const Pickle& pickle) : pickle_(pickle) {}

  // False if the value holds something that JSON has no word for, or too much.
  bool write(PickleValue value, Json& out, size_t depth = 0) {
    if (++n_value_ > kMaxExtraValues || depth > kMaxExtraDepth) return false;
    switch (value.kind()) {
      case Kind::kNone:
        out = nullptr;
        return true;
      case Kind::kBool:
        out = value.as_bool();
        return true;
      case Kind::kInt:
        out = value.as_int();
        return true;
      case Kind::kFloat:
        out = value.as_real();
        return true;
      case Kind::kString:
        return write_text(value.as_text(), out);
      case Kind::kTuple:
      case Kind::kList: {
        out = Json::array();
        for (PickleValue item : pickle_.items(value)) {
          out.emplace_back();
          if (!write(item, out.back(), depth + 1)) return false;
        }
        return true;
      }
      case Kind::kDict:
        return write_dict(value, out, depth);
      case Kind::kHugeInt:
      case Kind::kGlobal:
      case Kind::kStorage:
      case Kind::kTensor:
      case Kind::kOpaque:
        return false;
    }
    return false;
  }

 private:
  bool write_text(std::string_view text, Json& out) {
    n_bytes_ += text.size();
    if (n_bytes_ > kMaxExtraBytes || !is_utf8(text)) return false;
    out = std::string(text);
    return true;
  }

  bool write_dict(PickleValue dict, Json& out, size_t depth) {
    out = Json::object();
    const auto items = pickle_.items(dict);
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      Json key, value;
      if (!items[i].is(Kind::kString) || !write_text(items[i].as_text(), key)) return false;
      if (!write(items[i + 1], value, depth + 1)) return false;
      out[key.get_ref<const std::string&>()] = std::move(value);
    }
    return true;
  }

  const Pickle& pickle_;
  size_t n_value_ = 0, n_bytes_ = 0;
};

void refuse_converted(std::string_view key) {
  FATHOM_REQUIRE(
      key != "_strategy" && key != "_rescale_layer", "entry '", excerpt(key),
      "': converted for ChatRWKV (transposed and rescaled matrices); use the .pth it was",
      " made from");
}

// Entries that can be neither tensors nor extras: their number, and a few of their names.
struct Ignored {
  static constexpr size_t kNamed = 8;
  std::string names;
  size_t count = 0;

  void add(std::string_view key) {
    if (++count <= kNamed) names += concat(" '", excerpt(key), "'");
  }
  void note(std::vector<std::string>& notes) const {
    if (count == 0) return;
    const std::string more = count > kNamed ? concat(" and ", count - kNamed, " more") : "";
    notes.push_back(concat("ignored entries that are not weights:", names, more));
  }
};

// Adds what is not a tensor to the extras.
void add_extra(const Entry& entry, ExtrasWriter& writer, FileContents& contents, Ignored& ignored) {
  Json value;
  const bool named = !entry.key.empty() && entry.key.size() <= kMaxNameBytes && is_utf8(entry.key);
  if (named && writer.write(entry.value, value)) {
    contents.extras[std::string(entry.key)] = std::move(value);
  } else {
    ignored.add(entry.key);
  }
}

}  // namespace

FileContents read_state_dict(const Pickle& pickle, PickleValue root, const FindStorage& storage) {
  FATHOM_REQUIRE(root.is(Kind::kDict), "expected a dictionary of tensors");
  FileContents contents;
  contents.format = FileFormat::kTorch;
  ExtrasWriter extras(pickle);
  Ignored ignored;

  // Wrappers can be nested, e.g. {"state_dict": {"model": {...}}}; a loop could be, too.
  PickleValue dict = root;
  for (size_t depth = 0; depth < 4; ++depth) {
    const std::vector<Entry> entries = entries_of(pickle, dict);
    const auto wrapped = std::find_if(entries.begin(), entries.end(), [&](const Entry& e) {
      const bool known =
          std::find(std::begin(kWrappers), std::end(kWrappers), e.key) != std::end(kWrappers);
      return known && e.value.is(Kind::kDict) && !pickle.items(e.value).empty();
    });
    if (wrapped == entries.end() ||
        (has_tensors(pickle, dict) && !has_tensors(pickle, wrapped->value)))
      break;
    contents.notes.push_back(concat("took the weights from entry '", wrapped->key, "'"));
    for (const Entry& e : entries)
      if (&e != &*wrapped) add_extra(e, extras, contents, ignored);
    dict = wrapped->value;
  }

  for (const Entry& e : entries_of(pickle, dict)) {
    refuse_converted(e.key);
    if (e.value.is(Kind::kTensor)) {
      std::string name(checked_name(e.key, "tensor"));
      add_tensor(contents.tensors, read_torch_tensor(pickle, e.value, std::move(name), storage));
    } else {
      add_extra(e, extras, contents, ignored);
    }
  }
  ignored.note(contents.notes);
  sorted_by_name(contents.tensors);  // refuses two of one name
  return contents;
}

}  // namespace fathom
