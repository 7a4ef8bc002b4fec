// SPDX-License-Identifier: Apache-2.0
// Which file of a folder holds the weights, as formats/checkpoint.h says.
#pragma once

#include <filesystem>
#include <string>

namespace fathom {

// Whether there is such a file or folder. One that cannot be looked at is not there.
bool is_there(const std::filesystem::path& path);

struct LocatedWeights {
  std::filesystem::path path;  // a weight file or an index
  std::string not_read;        // names of the other candidates, "" if there is no other
};

// Throws Error: no weights (with the list of what was looked for), or several that are equally
// good.
LocatedWeights locate_weights(const std::filesystem::path& directory);

}  // namespace fathom
