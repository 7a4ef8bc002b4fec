// SPDX-License-Identifier: Apache-2.0
// JSON as it is written. Strings may hold what is no UTF-8 (paths are bytes): what is ill-formed
// becomes U+FFFD, where nlohmann's dump() would throw.
#pragma once

#include <string>

#include "base/json.h"

namespace fathom {

// On one line, or with this indent.
template <class AnyJson>
std::string json_text(const AnyJson& json, int indent = -1) {
  return json.dump(indent, ' ', false, AnyJson::error_handler_t::replace);
}

}  // namespace fathom
