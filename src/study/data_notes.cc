// SPDX-License-Identifier: Apache-2.0
#include "study/data_notes.h"

#include "base/error.h"

namespace fathom {

OrderedJson left_out_json(const LeftOut& out) {
  return {{"damaged", out.n_damaged},
          {"empty", out.n_empty},
          {"unlabelled", out.n_unlabelled},
          {"unscored", out.n_unscored},
          {"sets_without_gold", out.sets_without_gold}};
}

TextPlace places_of(const Dataset& data) {
  const size_t width = data.task->is_pair() ? 2 : 1;
  return [&data, width](size_t text) { return place_of(data, text / width); };
}

TextPlace places_of(const std::string& path, const std::vector<size_t>& line) {
  const std::string name = path == "-" ? "standard input" : path;
  return [name, line](size_t text) { return concat(name, ", line ", line.at(text)); };
}

}  // namespace fathom
