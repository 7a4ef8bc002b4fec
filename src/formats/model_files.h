// SPDX-License-Identifier: Apache-2.0
// The files that make up a model, beside the weights that are read.
#pragma once

#include <filesystem>

namespace fathom {

// Notes (base/file_roles.h) what belongs to the model in this folder, read or not, so that no output
// replaces it: configuration, tokenizer, adapters; of a folder that was given as the model its
// weights in other formats, too. Throws UsageError.
void note_model_files(const std::filesystem::path& folder, bool is_the_model);

}  // namespace fathom
