// SPDX-License-Identifier: Apache-2.0
#include "report/option_names.h"

#include <algorithm>

namespace fathom {
namespace {

// Where the flag is more than the field's name with dashes.
struct Renamed {
  std::string_view field, flag;
};
constexpr Renamed kRenamed[] = {{"pooling", "--pool"}, {"vocabulary", "--vocab"}};

// The fields that texts of the library may name between backticks.
constexpr std::string_view kFields[] = {
    "adapter",   "adapter_alpha",  "allow_nonfinite", "calibrate_on", "calibration",   "data",
    "depth",     "dtype",          "empty",           "eos",          "exceed_memory", "field",
    "folds",     "glove",          "heads",           "healed",       "held_out",      "id_field",
    "ids",       "ignore_tensors", "label",           "label_field",  "layers",        "ln_eps",
    "no_values", "output",         "output_dtype",    "policies",     "pooling",       "resume",
    "sample",    "score",          "shard",           "task_file",    "tasks",         "test_file",
    "text",      "text1",          "text2",           "vocabulary",   "with_text"};

}  // namespace

std::string flag_of(std::string_view field) {
  const auto renamed = std::ranges::find(kRenamed, field, &Renamed::field);
  if (renamed != std::end(kRenamed)) return std::string(renamed->flag);
  std::string flag = concat("--", field);
  std::ranges::replace(flag, '_', '-');
  return flag;
}

std::string with_flags(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t open = text.find('`');
    const size_t close = open == text.npos ? text.npos : text.find('`', open + 1);
    if (close == text.npos) break;
    const std::string_view word = text.substr(open + 1, close - open - 1);
    out += text.substr(0, open);
    if (std::ranges::find(kFields, word) != std::end(kFields)) {
      out += flag_of(word);
      text.remove_prefix(close + 1);
    } else {  // the second mark may be the first of a name
      out += text.substr(open, close - open);
      text.remove_prefix(close);
    }
  }
  out += text;
  return out;
}

std::string message_of(const InvalidOption& error) {
  const std::string_view text = error.what();
  return flag_of(error.field()) + with_flags(text.substr(error.field().size()));
}

}  // namespace fathom
