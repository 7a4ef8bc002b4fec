// SPDX-License-Identifier: Apache-2.0
// The one include of nlohmann/json. OrderedJson keeps the order in which fields were added.
#pragma once

#include <nlohmann/json.hpp>

namespace fathom {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

}  // namespace fathom
