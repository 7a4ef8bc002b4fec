// SPDX-License-Identifier: Apache-2.0
// The JSON files of a Hugging Face directory: config.json and *.index.json. Pure functions of the
// text; errors name the field, not the file.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace fathom {

// Any small JSON object. Throws Error: not JSON, not an object, more than 4 MiB, 40,000 values or
// kMaxJsonDepth levels (a JSON tree takes up to 50 times the memory of its text).
Json parse_json_object(std::string_view text);

// The same of a config.json. Python's json writes NaN, Infinity and -Infinity, which JSON has not:
// they come as null, and `changed` is set.
Json parse_config(std::string_view text, bool& changed);

// {"weight_map": {tensor: file}, ...}
struct CheckpointIndex {
  std::vector<std::string> files;                       // sorted, each once
  std::vector<std::pair<std::string, size_t>> tensors;  // name, index into files; sorted by name
};

// Throws Error: no weight_map, an empty one, file names that are not plain names in the same
// folder.
CheckpointIndex parse_index(std::string_view text);

}  // namespace fathom
