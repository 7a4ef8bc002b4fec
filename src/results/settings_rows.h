// SPDX-License-Identifier: Apache-2.0
// Settings as people read them: one row a setting instead of JSON. Pure functions; thread-safe.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace fathom {

// A value in words: numbers with as few digits as give them back (of a value that is a float's, as
// few as give that float back: 0.00064), yes and no, lists with commas, "none" for what is empty or null.
// Objects of scalars are "name: value; name: value".
std::string setting_text(const OrderedJson& value);

// Key and text, in order. Objects that are long, or hold others, become rows of their own, named
// after both: "model d_model".
std::vector<std::pair<std::string, std::string>> settings_rows(const OrderedJson& settings,
                                                               const std::string& prefix = "");

}  // namespace fathom
