// SPDX-License-Identifier: Apache-2.0
// From the library's names of options to the command line's: batch_tokens is --batch-tokens here.
#pragma once

#include <string>
#include <string_view>

#include "base/invalid_option.h"

namespace fathom {

// "--batch-tokens" for "batch_tokens", "--pool" for "pooling".
std::string flag_of(std::string_view field);

// A text of the library with flags where it names options between backticks: "with `pooling` eos"
// becomes "with --pool eos". Other words between backticks stay as they are.
std::string with_flags(std::string_view text);

// The message of an error as a user of the command line reads it.
std::string message_of(const InvalidOption& error);

}  // namespace fathom
