// SPDX-License-Identifier: Apache-2.0
// What a policy file does, in words and small tables: `fathom policy show`.
#pragma once

#include <string>

#include "depth/policy_file.h"

namespace fathom {

std::string to_text(const PolicyFile& file);

}  // namespace fathom
