// SPDX-License-Identifier: Apache-2.0
#include "formats/model_files.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <system_error>

#include "base/file_roles.h"

namespace fathom {
namespace {

// Names as transformers, PEFT and the RWKV projects write them.
constexpr std::array<std::string_view, 10> kNames = {"config.json",
                                                     "generation_config.json",
                                                     "preprocessor_config.json",
                                                     "tokenizer.json",
                                                     "tokenizer_config.json",
                                                     "special_tokens_map.json",
                                                     "added_tokens.json",
                                                     "merges.txt",
                                                     "adapter_config.json",
                                                     "vocab.json"};

bool belongs(std::string_view name, bool is_the_model) {
  if (std::ranges::find(kNames, name) != kNames.end() || name.starts_with("adapter_model."))
    return true;
  if (name.find("vocab") != name.npos && name.ends_with(".txt")) return true;
  if (!is_the_model) return false;
  return name.ends_with(".index.json") || name.ends_with(".pth") || name.ends_with(".pt") ||
         ((name.starts_with("model") || name.starts_with("pytorch_model")) &&
          (name.ends_with(".safetensors") || name.ends_with(".bin")));
}

}  // namespace

void note_model_files(const std::filesystem::path& folder, bool is_the_model) {
  std::error_code ignored;  // a folder that cannot be listed: what is read in it is noted anyway
  std::filesystem::directory_iterator at(folder, ignored), end;
  for (; !ignored && at != end; at.increment(ignored))
    if (belongs(at->path().filename().string(), is_the_model)) note_input(at->path());
}

}  // namespace fathom
