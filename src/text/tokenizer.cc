// SPDX-License-Identifier: Apache-2.0
#include "text/tokenizer.h"

#include "base/error.h"
#include "text/text_file.h"
#include "text/tokenizer_json.h"
#include "text/vocabulary.h"

namespace fathom {

std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& path) {
  const TextFile file(path);
  return parse_tokenizer(file.text(), file.path().string());
}

std::unique_ptr<Tokenizer> parse_tokenizer(std::string_view content, const std::string& name) {
  const std::string_view text = without_byte_order_mark(content);
  const size_t first = text.find_first_not_of(" \t\r\n");
  FATHOM_REQUIRE(first != std::string_view::npos, name, ": the file is empty");
  FATHOM_REQUIRE(!text.starts_with("version https://git-lfs"), name,
                 ": a git-lfs pointer, not the file itself (git lfs pull fetches it)");
  const char c = text[first];
  if (c == '{') return json_tokenizer(text, name);
  FATHOM_REQUIRE((c >= '0' && c <= '9') || c == 'b' || c == '\'' || c == '"', name,
                 ": neither an RWKV World vocabulary nor a tokenizer.json");
  return world_tokenizer(parse_world_vocabulary(text, name), name);
}

}  // namespace fathom
