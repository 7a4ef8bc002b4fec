// SPDX-License-Identifier: Apache-2.0
#include "text/word_level.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "text/bpe_definition.h"
#include "text/vocabulary.h"

namespace fathom {
namespace {

class WordLevelParser {
 public:
  explicit WordLevelParser(std::string name) : name_(std::move(name)) {
    const auto alphabet = byte_alphabet();
    for (unsigned byte = 0; byte < 256; ++byte) byte_of_[alphabet[byte]] = static_cast<char>(byte);
  }

  std::vector<std::string> parse(const Json& root) {
    require(optional(root, "normalizer").is_null(), "normalizer ",
            type_of(optional(root, "normalizer")),
            " is not supported with a WordLevel model: expected none");
    parse_vocab(root["model"]);
    const std::vector<std::string> alternatives =
        split_alternation(pattern_of(optional(root, "pre_tokenizer")));
    const std::unordered_set<Token> added = added_ids(optional(root, "added_tokens"));

    std::vector<std::string> texts;  // of the alternatives, as bytes
    std::vector<std::string> pieces;
    for (const std::string& token : alternatives) {
      const auto found = ids_.find(token);
      require(found != ids_.end(), "pre_tokenizer: the pattern of Split has ", token,
              ", which is not in model.vocab");
      auto bytes = bytes_of(token);
      if (!bytes) continue;  // in no text, which ByteLevel has written in its alphabet
      texts.push_back(*bytes);
      const Token id = found->second;
      if (id == 0 || added.count(id)) continue;
      if (id >= pieces.size()) pieces.resize(id + 1);
      pieces[id] = *std::move(bytes);
    }
    require_longest_first(texts);
    clear_reserved(pieces);
    return pieces;
  }

 private:
  template <class... Parts>
  void require(bool condition, const Parts&... parts) const {
    if (!condition) throw Error(concat(name_, ": ", parts...));
  }

  static const Json& optional(const Json& parent, const char* key) {
    static const Json null;
    if (!parent.is_object()) return null;
    const auto found = parent.find(key);
    return found == parent.end() ? null : *found;
  }

  static std::string type_of(const Json& part) {
    const Json& type = part.is_object() ? optional(part, "type") : part;
    return type.is_string() ? type.get<std::string>() : dump_json(type);
  }

  Token parse_id(const Json& value, std::string_view token) const {
    require(value.is_number_unsigned() && value.get<uint64_t>() < kMaxWorldVocabulary, "token ",
            token, ": expected an id below ", kMaxWorldVocabulary, ", got ", dump_json(value));
    return value.get<Token>();
  }

  void parse_vocab(const Json& model) {
    const Json& vocab = optional(model, "vocab");
    require(vocab.is_object(), "expected an object \"vocab\" in the model");
    std::unordered_set<Token> seen;
    for (const auto& [token, value] : vocab.items()) {
      const Token id = parse_id(value, token);
      require(seen.insert(id).second, "token id ", id, " is given twice, the second time to ",
              token);
      ids_.emplace(token, id);
    }
  }

  // The regular expression by which Split cuts.
  std::string pattern_of(const Json& part) const {
    const Json& steps = optional(part, "pretokenizers");
    require(type_of(part) == "Sequence" && steps.is_array() && steps.size() == 2 &&
                type_of(steps[0]) == "ByteLevel" && type_of(steps[1]) == "Split",
            "pre_tokenizer: with a WordLevel model, expected a Sequence of ByteLevel and Split");
    require(!steps[0].value("use_regex", true),
            "pre_tokenizer: with a WordLevel model, expected ByteLevel without its pattern "
            "(use_regex false)");
    require(!steps[0].value("add_prefix_space", true),
            "pre_tokenizer: with a WordLevel model, expected ByteLevel without a space in front "
            "(add_prefix_space false)");
    const Json& split = steps[1];
    require(type_of(optional(split, "behavior")) == "Isolated" && !split.value("invert", false),
            "pre_tokenizer: expected Split with behavior Isolated and invert false, got ",
            dump_json(optional(split, "behavior")));
    const Json& regex = optional(optional(split, "pattern"), "Regex");
    require(regex.is_string(), "pre_tokenizer: expected Split by a Regex");
    return regex.get<std::string>();
  }

  // "a|b\\|c" -> {"a", "b|c"}: alternatives of literal characters, perhaps in one group.
  std::vector<std::string> split_alternation(std::string_view pattern) const {
    if (pattern.starts_with('(') && pattern.ends_with(')') && !pattern.ends_with("\\)")) {
      pattern = pattern.substr(1, pattern.size() - 2);
      if (pattern.starts_with("?:")) pattern.remove_prefix(2);
    }
    std::vector<std::string> tokens(1);
    constexpr std::string_view kOperators = ".^$*+?()[{";
    while (!pattern.empty()) {
      size_t size = decode_utf8(pattern).size;
      const bool escaped = pattern.front() == '\\';
      if (escaped) {
        pattern.remove_prefix(1);
        require(!pattern.empty(), "pre_tokenizer: the pattern of Split ends in a backslash");
        size = decode_utf8(pattern).size;
        const char c = pattern.front();
        const bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                            (c >= 'a' && c <= 'z');  // \d, \x41, ...: not a character itself
        require(!letter, "pre_tokenizer: the pattern of Split has \\", c,
                "; expected an alternation of plain tokens");
      }
      const std::string_view c = pattern.substr(0, size);
      pattern.remove_prefix(size);
      if (!escaped && c == "|") {
        tokens.emplace_back();
        continue;
      }
      require(escaped || kOperators.find(c) == kOperators.npos,
              "pre_tokenizer: the pattern of Split has an operator ", c,
              "; expected an alternation of plain tokens");
      tokens.back() += c;
    }
    require(std::none_of(tokens.begin(), tokens.end(), [](const auto& t) { return t.empty(); }),
            "pre_tokenizer: the pattern of Split has an empty alternative");
    return tokens;
  }

  // The bytes that a token stands for; nullopt if it has characters beyond the alphabet.
  std::optional<std::string> bytes_of(std::string_view token) const {
    std::string bytes;
    for (; !token.empty(); token.remove_prefix(decode_utf8(token).size)) {
      const auto found = byte_of_.find(decode_utf8(token).value);
      if (found == byte_of_.end()) return std::nullopt;
      bytes += found->second;
    }
    return bytes;
  }

  // Ids of added tokens, which texts do not reach.
  std::unordered_set<Token> added_ids(const Json& list) const {
    std::unordered_set<Token> ids;
    if (list.is_null()) return ids;
    require(list.is_array(), "expected an array \"added_tokens\"");
    for (const Json& entry : list) {
      require(entry.is_object() && optional(entry, "content").is_string(),
              "added_tokens: expected objects with \"content\", got ", dump_json(entry));
      const auto content = entry["content"].get<std::string>();
      require(entry.value("special", false), "added token ", content,
              " is not special; with a WordLevel model, expected special tokens alone");
      ids.insert(parse_id(optional(entry, "id"), content));
    }
    return ids;
  }

  // No alternative may stand behind a proper prefix of itself, which would match in its place.
  void require_longest_first(const std::vector<std::string>& texts) const {
    std::vector<uint32_t> order(texts.size());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return texts[a] < texts[b]; });
    // In this order the prefixes of a text are in front of it, and make a chain.
    std::vector<uint32_t> prefixes;
    for (uint32_t at : order) {
      while (!prefixes.empty() && !texts[at].starts_with(texts[prefixes.back()]))
        prefixes.pop_back();
      if (!prefixes.empty()) {
        const uint32_t last = prefixes.back();
        if (texts[last] == texts[at]) continue;  // the first of equal ones is the one that matches
        require(last > at, "pre_tokenizer: alternative ", at + 1,
                " of Split's pattern stands behind its prefix, alternative ", last + 1,
                "; expected the longest first");
      }
      prefixes.push_back(at);
    }
  }

  std::string name_;
  std::unordered_map<char32_t, char> byte_of_;
  std::unordered_map<std::string, Token> ids_;
};

}  // namespace

std::vector<std::string> parse_word_level(const Json& root, const std::string& name) {
  return WordLevelParser(name).parse(root);
}

}  // namespace fathom
