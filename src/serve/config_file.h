// SPDX-License-Identifier: Apache-2.0
// The file of --config: options as TOML or as a JSON object.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace fathom::serve {

// JSON where `name` ends in .json or the text begins with {, else TOML; fields keep their order,
// which is that of the models. Throws Error naming file and, of TOML, line.
OrderedJson parse_config(std::string_view text, const std::string& name);

}  // namespace fathom::serve
