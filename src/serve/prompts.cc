// SPDX-License-Identifier: Apache-2.0
#include "serve/prompts.h"

#include <algorithm>
#include <system_error>

#include "base/error.h"
#include "base/json.h"
#include "encode/recommended.h"
#include "text/text_file.h"

namespace fathom::serve {

std::vector<NamedText> prompts_of_folder(const std::filesystem::path& model) {
  std::error_code ignored;
  std::vector<NamedText> prompts;
  for (const char* file : {"fathom.json", "config_sentence_transformers.json"}) {
    const auto path = model_folder(model) / file;
    if (!std::filesystem::is_regular_file(path, ignored)) continue;
    const std::string name = path.string();
    const OrderedJson j = parse_ordered_json(read_text_file(path), name);
    const auto at = j.is_object() ? j.find("prompts") : j.end();
    if (at == j.end() || at->is_null()) continue;
    FATHOM_REQUIRE(at->is_object(), name, ": prompts: expected texts by name, got ",
                   at->type_name());
    for (const auto& [prompt, text] : at->items()) {
      FATHOM_REQUIRE(text.is_string(), name, ": prompts.", prompt, ": expected a text, got ",
                     text.type_name());
      if (std::ranges::find(prompts, prompt, &NamedText::first) == prompts.end())
        prompts.emplace_back(prompt, text.get<std::string>());
    }
  }
  return prompts;
}

}  // namespace fathom::serve
