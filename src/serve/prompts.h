// SPDX-License-Identifier: Apache-2.0
// Prompts in a model's folder, for prompt_name.
#pragma once

#include <filesystem>
#include <vector>

#include "serve/options.h"

namespace fathom::serve {

// "prompts", texts by name, of fathom.json and of sentence-transformers'
// config_sentence_transformers.json in the model's folder; a name that both have is the former's.
// model: a folder, or a file in one. Throws Error naming file and field.
std::vector<NamedText> prompts_of_folder(const std::filesystem::path& model);

}  // namespace fathom::serve
