// SPDX-License-Identifier: Apache-2.0
// Any bytes as a tokenizer.json: refused with Error, or a tokenizer that encodes them. And the
// steps before its merges on any bytes: no text makes them fail. Build: see FATHOM_FUZZ in
// CMakeLists.txt.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/utf8.h"
#include "text/gpt2_words.h"
#include "text/tokenizer_json.h"
#include "text/unicode.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const auto tokenizer = fathom::json_tokenizer(bytes, "fuzz");
    for (fathom::Token id : tokenizer->encode(bytes)) FATHOM_ASSERT(id < tokenizer->n_vocab());
  } catch (const fathom::Error&) {
  }
  std::string text = fathom::replace_ill_formed(bytes);
  FATHOM_ASSERT(fathom::is_utf8(text));
  fathom::normalize_nfc(text);
  FATHOM_ASSERT(fathom::is_utf8(text));
  const std::string once = text;
  fathom::normalize_nfc(text);
  FATHOM_ASSERT(text == once);
  for (std::string_view rest = text; !rest.empty();) {
    const size_t word = fathom::gpt2_word(rest);
    FATHOM_ASSERT(word > 0 && word <= rest.size());
    rest.remove_prefix(word);
  }
  return 0;
}
