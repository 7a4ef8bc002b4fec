// SPDX-License-Identifier: Apache-2.0
// Any bytes as a World vocabulary or as the entries of a GGUF one: refused with Error, or a
// tokenizer that gives every text back. Build: see FATHOM_FUZZ in CMakeLists.txt.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/text_file.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace {

// The 256 bytes in front, so that what the fuzzer writes gets as far as the trie.
std::vector<std::string> with_bytes(const std::vector<std::string>& tokens) {
  std::vector<std::string> out = {""};
  for (int byte = 0; byte < 256; ++byte) out.emplace_back(1, static_cast<char>(byte));
  out.insert(out.end(), tokens.begin(), tokens.end());
  return out;
}

void check_round_trip(const fathom::Tokenizer& tokenizer, std::string_view text) {
  const std::vector<fathom::Token> ids = tokenizer.encode(text);
  for (fathom::Token id : ids) FATHOM_ASSERT(id < tokenizer.n_vocab());
  FATHOM_ASSERT(tokenizer.decode(ids) == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const auto tokens = fathom::parse_world_vocabulary(text, "fuzz");
    check_round_trip(*fathom::world_tokenizer(with_bytes(tokens), "fuzz"), text);
    check_round_trip(*fathom::parse_tokenizer(text, "fuzz"), text);
  } catch (const fathom::Error&) {
  }
  try {
    std::vector<std::string> tokens;
    for (std::string_view line : fathom::split_lines(text))
      tokens.push_back(fathom::unescape_bytes(line));
    check_round_trip(*fathom::world_tokenizer(with_bytes(tokens), "fuzz"), text);
    fathom::gguf_tokenizer(fathom::split_lines(text), {});
  } catch (const fathom::Error&) {
  }
  return 0;
}
