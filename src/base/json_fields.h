// SPDX-License-Identifier: Apache-2.0
// One list of fields takes a struct to JSON and back:
//
//   template <class Io>
//   void list_fields(Io& io, Of<Io, Interval>& x) {  // in the very namespace of Interval
//     io("low", x.low);
//     io("high", x.high);
//   }
//   OrderedJson j = json_of(interval);
//   Interval same = value_of_json<Interval>(j, "results.json");
//
// Fields are written in the order of the list. A number that is not finite is null, and null is
// read as NaN. Reading passes over fields that are not in the list; what it misses or cannot use it
// names: "results.json: tasks[0].points[2].flops: expected a number, got "many"". Pure; any thread.
#pragma once

#include <cmath>
#include <concepts>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/list.h"

namespace fathom {

// What a list of fields is given: T to read into, const T to write from.
template <class Io, class T>
using Of = typename Io::template Of<T>;

// An object whose names are data: {"accuracy": 0.7, "f1": 0.8}.
template <class T>
using NamedValues = std::vector<std::pair<std::string, T>>;

template <class T>
OrderedJson json_of(const T& value);

namespace detail {

template <class T>
constexpr bool kIsVector = false;
template <class T>
constexpr bool kIsVector<std::vector<T>> = true;
template <class T>
constexpr bool kIsNamed = false;
template <class T>
constexpr bool kIsNamed<std::vector<std::pair<std::string, T>>> = true;

}  // namespace detail

class FieldWriter {
 public:
  template <class T>
  using Of = const T;

  template <class T>
  void operator()(const char* name, const T& value) {
    json[name] = json_of(value);
  }
  // null where there is none.
  template <class T>
  void nullable(const char* name, const std::optional<T>& value) {
    json[name] = value ? json_of(*value) : OrderedJson(nullptr);
  }
  // Left out where there is none.
  template <class T>
  void optional(const char* name, const std::optional<T>& value) {
    if (value) json[name] = json_of(*value);
  }
  template <class T>
  void optional(const char* name, const std::vector<T>& value) {
    if (!value.empty()) json[name] = json_of(value);
  }
  // What follows from other fields: written for readers who do not work it out.
  void derived(const char* name, double value) { json[name] = json_of(value); }
  // One of these, by name_of().
  template <class Enum, size_t n>
  void one_of(const char* name, const Enum& value, const Enum (&)[n]) {
    json[name] = std::string(name_of(value));
  }

  OrderedJson json = OrderedJson::object();
};

template <class T>
OrderedJson json_of(const T& value) {
  if constexpr (std::same_as<T, double>) {
    return std::isfinite(value) ? OrderedJson(value) : OrderedJson(nullptr);
  } else if constexpr (detail::kIsNamed<T>) {
    OrderedJson j = OrderedJson::object();
    for (const auto& [name, one] : value) j[name] = json_of(one);
    return j;
  } else if constexpr (detail::kIsVector<T>) {
    OrderedJson j = OrderedJson::array();
    for (const auto& one : value) j.push_back(json_of(one));
    return j;
  } else if constexpr (std::integral<T> || std::same_as<T, std::string> ||
                       std::same_as<T, OrderedJson>) {
    return value;
  } else {
    FieldWriter io;
    list_fields(io, value);
    return std::move(io.json);
  }
}

// Where a value stands: a chain of names and numbers up to the whole, which `name` says.
struct JsonPlace {
  const JsonPlace* around = nullptr;
  std::string_view name = {};
  std::optional<size_t> number = {};  // in an array

  std::string text() const;  // "results.json: tasks[0].split"
};

class FieldReader {
 public:
  template <class T>
  using Of = T;

  // Both must outlive it. Throws Error: no object.
  FieldReader(const OrderedJson& json, const JsonPlace& place);

  template <class T>
  void operator()(const char* name, T& value) {
    read(at(name), {&place_, name}, value);
  }
  template <class T>
  void nullable(const char* name, std::optional<T>& value) {
    if (const OrderedJson& j = at(name); !j.is_null()) read(j, {&place_, name}, value.emplace());
  }
  template <class T>
  void optional(const char* name, std::optional<T>& value) {
    if (json_.contains(name)) (*this)(name, value.emplace());
  }
  template <class T>
  void optional(const char* name, std::vector<T>& value) {
    if (json_.contains(name)) (*this)(name, value);
  }
  void derived(const char* name, double) {
    double unused;
    (*this)(name, unused);
  }
  template <class Enum, size_t n>
  void one_of(const char* name, Enum& value, const Enum (&all)[n]) {
    std::string text;
    std::vector<std::string_view> names;
    (*this)(name, text);
    for (const Enum& one : all) {
      if (text == name_of(one)) {
        value = one;
        return;
      }
      names.push_back(name_of(one));
    }
    refuse(at(name), {&place_, name}, concat("one of ", join(names)));
  }

  template <class T>
  static void read(const OrderedJson& json, const JsonPlace& place, T& value) {
    if constexpr (detail::kIsNamed<T>) {
      if (!json.is_object()) refuse(json, place, "an object");
      value.clear();
      for (const auto& [name, one] : json.items())
        read(one, {&place, name},
             value.emplace_back(name, typename T::value_type::second_type{}).second);
    } else if constexpr (detail::kIsVector<T>) {
      if (!json.is_array()) refuse(json, place, "an array");
      value.clear();
      value.resize(json.size());
      for (size_t i = 0; i < json.size(); ++i) read(json[i], {&place, {}, i}, value[i]);
    } else if constexpr (std::unsigned_integral<T> && !std::same_as<T, bool>) {
      const uint64_t whole = whole_of(json, place, std::numeric_limits<T>::max());
      value = static_cast<T>(whole);
    } else if constexpr (std::same_as<T, OrderedJson>) {
      value = json;
    } else if constexpr (requires { read_one(json, place, value); }) {
      read_one(json, place, value);
    } else {
      FieldReader io(json, place);
      list_fields(io, value);
    }
  }

 private:
  const OrderedJson& at(const char* name) const;  // throws Error: missing
  [[noreturn]] static void refuse(const OrderedJson& json, const JsonPlace& place,
                                  std::string_view expected);
  static uint64_t whole_of(const OrderedJson& json, const JsonPlace& place, uint64_t largest);
  static void read_one(const OrderedJson& json, const JsonPlace& place, double& value);
  static void read_one(const OrderedJson& json, const JsonPlace& place, bool& value);
  static void read_one(const OrderedJson& json, const JsonPlace& place, std::string& value);

  const OrderedJson& json_;
  const JsonPlace& place_;
};

// where: begins the message, a file for instance. Throws Error that names the field.
template <class T>
T value_of_json(const OrderedJson& json, std::string_view where) {
  const JsonPlace whole{.name = where};
  T value{};
  FieldReader::read(json, whole, value);
  return value;
}

}  // namespace fathom
