// SPDX-License-Identifier: Apache-2.0
#include "eval/stats_cases.h"

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "eval/metrics.h"

namespace fathom {
namespace {

// What came, in an error message: not a whole list of predictions.
std::string shown(const Json& value) {
  const std::string text = dump_json(value);
  return text.size() <= 40 ? text : text.substr(0, 37) + "...";
}

// One case and how to name it: `case "perfect"` or, while it has no usable name, `case 3`.
class Case {
 public:
  Case(const Json& json, size_t index) : json_(json), label_(concat("case ", index)) {
    FATHOM_REQUIRE(json.is_object(), label_, ": expected an object, got ", shown(json));
    name = text("name");
    label_ = concat("case \"", name, "\"");
    kind = text("kind");
  }

  std::string name, kind;

  std::vector<double> numbers(std::string_view field) const {
    return list<double>(field, &Case::number);
  }
  std::vector<double> binary_numbers(std::string_view field) const {
    const std::vector<int> labels = binary_labels(field);
    return {labels.begin(), labels.end()};
  }
  std::vector<int> binary_labels(std::string_view field) const {
    return list<int>(field, [](const Case& c, const Json& v, const std::string& where) {
      const int label = c.integer(v, where);
      FATHOM_REQUIRE(label == 0 || label == 1, where, ": expected 0 or 1, got ", label);
      return label;
    });
  }
  std::vector<int> integers(std::string_view field) const {
    return list<int>(field, &Case::integer);
  }
  double count(std::string_view field) const {
    const Json& value = at(field);
    FATHOM_REQUIRE(value.is_number(), place(field), ": expected a count, got ", shown(value));
    const double n = value.get<double>();
    FATHOM_REQUIRE(std::isfinite(n) && n >= 0 && n == std::floor(n), place(field),
                   ": expected an integer >= 0, got ", shown(value));
    return n;
  }
  void require_equal_sizes(std::string_view first, size_t first_size, std::string_view second,
                           size_t second_size) const {
    FATHOM_REQUIRE(first_size == second_size, label_, ": \"", first, "\" has ", first_size,
                   " values, \"", second, "\" has ", second_size);
  }
  const std::string& label() const { return label_; }

 private:
  std::string place(std::string_view field) const {
    return concat(label_, ", field \"", field, "\"");
  }
  const Json& at(std::string_view field) const {
    const auto found = json_.find(field);
    FATHOM_REQUIRE(found != json_.end(), label_, ": missing field \"", field, "\"");
    return *found;
  }
  std::string text(std::string_view field) const {
    const Json& value = at(field);
    FATHOM_REQUIRE(value.is_string(), place(field), ": expected a text, got ", shown(value));
    return value.get<std::string>();
  }
  template <class T, class Read>
  std::vector<T> list(std::string_view field, Read read) const {
    const Json& values = at(field);
    FATHOM_REQUIRE(values.is_array(), place(field), ": expected a list, got ", shown(values));
    std::vector<T> out;
    out.reserve(values.size());
    for (const Json& value : values)
      out.push_back(std::invoke(read, *this, value, concat(place(field), ", value ", out.size())));
    return out;
  }
  double number(const Json& value, const std::string& where) const {
    if (value.is_number()) return value.get<double>();
    if (value.is_null() || value == "nan") return std::numeric_limits<double>::quiet_NaN();
    if (value == "inf") return std::numeric_limits<double>::infinity();
    if (value == "-inf") return -std::numeric_limits<double>::infinity();
    throw Error(
        concat(where, ": expected a number, \"nan\", \"inf\" or \"-inf\", got ", shown(value)));
  }
  int integer(const Json& value, const std::string& where) const {
    const double number = value.is_number() ? value.get<double>() : 0.5;
    FATHOM_REQUIRE(number == std::floor(number) && std::abs(number) < 0x1p31, where,
                   ": expected a class number, got ", shown(value));
    return static_cast<int>(number);
  }

  const Json& json_;
  std::string label_;
};

void correlation(const Case& c, OrderedJson& out) {
  const auto x = c.numbers("x"), y = c.numbers("y");
  c.require_equal_sizes("x", x.size(), "y", y.size());
  out["pearson"] = pearson(x, y);
  out["spearman"] = spearman(x, y);
}

void counts(const BinaryCounts& counts, OrderedJson& out) {
  out["mcc"] = mcc(counts);
  out["f1"] = f1(counts);
  out["accuracy"] = accuracy(counts);
}

void binary(const Case& c, OrderedJson& out) {
  const auto truth = c.binary_labels("truth"), predicted = c.binary_labels("pred");
  c.require_equal_sizes("truth", truth.size(), "pred", predicted.size());
  counts(count_binary(truth, predicted), out);
}

void multiclass(const Case& c, OrderedJson& out) {
  const auto truth = c.integers("truth"), predicted = c.integers("pred");
  c.require_equal_sizes("truth", truth.size(), "pred", predicted.size());
  const MulticlassMetrics metrics = multiclass_metrics(truth, predicted);
  out["mcc"] = metrics.mcc;
  out["macro_f1"] = metrics.macro_f1;
  out["accuracy"] = metrics.accuracy;
}

void average_precision(const Case& c, OrderedJson& out) {
  const auto truth = c.binary_numbers("truth"), score = c.numbers("score");
  c.require_equal_sizes("truth", truth.size(), "score", score.size());
  out["average_precision"] = fathom::average_precision(score, truth);
}

OrderedJson run_case(const Case& c) {
  OrderedJson out;
  out["name"] = c.name;
  out["kind"] = c.kind;
  if (c.kind == "correlation")
    correlation(c, out);
  else if (c.kind == "binary")
    binary(c, out);
  else if (c.kind == "multiclass")
    multiclass(c, out);
  else if (c.kind == "average_precision")
    average_precision(c, out);
  else if (c.kind == "counts")
    counts({.tp = c.count("tp"), .tn = c.count("tn"), .fp = c.count("fp"), .fn = c.count("fn")},
           out);
  else
    throw Error(concat(c.label(),
                       ", field \"kind\": expected correlation, binary, multiclass, "
                       "average_precision or counts, got \"",
                       c.kind, "\""));
  for (auto& [metric, value] : out.items())
    if (value.is_number_float() && std::isnan(value.get<double>())) value = nullptr;
  return out;
}

}  // namespace

OrderedJson run_stats_cases(const Json& cases) {
  FATHOM_REQUIRE(cases.is_array(), "cases: expected a list, got ", shown(cases));
  OrderedJson out = OrderedJson::array();
  for (size_t i = 0; i < cases.size(); ++i) out.push_back(run_case(Case(cases[i], i)));
  return out;
}

}  // namespace fathom
