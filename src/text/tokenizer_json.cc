// SPDX-License-Identifier: Apache-2.0
#include "text/tokenizer_json.h"

#include "base/error.h"
#include "base/json.h"
#include "text/bpe.h"
#include "text/word_level.h"

namespace fathom {

std::unique_ptr<Tokenizer> json_tokenizer(std::string_view json, const std::string& name) {
  try {
    const Json root = parse_json(json, name);
    const Json::json_pointer type("/model/type");
    if (root.contains(type) && root[type] == "WordLevel")
      return world_tokenizer(parse_word_level(root, name), name);
    return bpe_tokenizer(root, name);
  } catch (const Json::exception& e) {
    throw Error(concat(name, ": ", e.what()));
  }
}

}  // namespace fathom
