// SPDX-License-Identifier: Apache-2.0
#include "text/token_ids.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/utf8.h"
#include "text/text_file.h"

namespace fathom {

std::vector<Token> take_token_ids(std::string_view& text) {
  constexpr std::string_view kBetween = ", \t\r\n[]";
  std::vector<Token> ids;
  for (;;) {
    text.remove_prefix(std::min(text.find_first_not_of(kBetween), text.size()));
    Token id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    const auto length = static_cast<size_t>(end - text.data());
    if (error != std::errc{} ||
        (length < text.size() && kBetween.find(text[length]) == std::string_view::npos))
      return ids;
    ids.push_back(id);
    text.remove_prefix(length);
  }
}

std::string readable_piece(std::string_view bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  const bool valid = is_utf8(bytes);
  std::string out;
  for (char c : bytes) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (c == '\r')
      out += "\\r";
    else if (u < 0x20 || u == 0x7f || (u >= 0x80 && !valid))
      out += {'\\', 'x', kHex[u >> 4], kHex[u & 15]};
    else
      out += c;
  }
  return out;
}

std::string tokenize_jsonl(const Tokenizer& tokenizer, std::string_view input) {
  std::string all;
  size_t number = 0;
  for (std::string_view line : split_lines(input)) {
    ++number;
    if (line.empty()) continue;
    const std::string where = concat("line ", number);
    const Json j = parse_json(line, where);
    FATHOM_REQUIRE(j.is_object() && j.contains("name") && j.contains("hex") && j["hex"].is_string(),
                   where, ": expected {\"name\": ..., \"hex\": \"...\"}");
    OrderedJson out;
    out["name"] = j["name"];
    out["ids"] = tokenizer.encode(hex_to_bytes(j["hex"].get<std::string>(), where));
    all += dump_json(out) + '\n';
  }
  return all;
}

}  // namespace fathom
