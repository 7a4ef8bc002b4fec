// SPDX-License-Identifier: Apache-2.0
// Reads the post-processing of each layer from a file of `fathom fit --heads`.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "model/config.h"
#include "probe/postprocess.h"

namespace fathom {

// One for each of `layers`. Throws Error naming the file: it is no file of `fathom fit`, has no
// post-processing of a layer, or one of other vectors than the model's.
std::vector<Postprocess> read_post(const std::filesystem::path& path,
                                   std::span<const size_t> layers, const Config& config);

}  // namespace fathom
