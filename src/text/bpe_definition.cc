// SPDX-License-Identifier: Apache-2.0
#include "text/bpe_definition.h"

#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"

namespace fathom {
namespace {

// Bounds the tables by id; the largest vocabularies have 2^18 entries.
constexpr Token kMaxVocab = 1u << 22;

class Parser {
 public:
  explicit Parser(std::string name) : name_(std::move(name)) {
    const auto alphabet = byte_alphabet();
    for (unsigned byte = 0; byte < 256; ++byte) byte_of_[alphabet[byte]] = static_cast<char>(byte);
  }

  BpeDefinition parse(const Json& root) {
    const Json& model = object(root, "model");
    check_model(model);
    definition_.nfc = parse_normalizer(optional(root, "normalizer"));
    parse_pre_tokenizer(optional(root, "pre_tokenizer"));
    parse_vocab(object(model, "vocab"));
    parse_merges(model.at("merges"));
    parse_added_tokens(optional(root, "added_tokens"));
    return std::move(definition_);
  }

 private:
  template <class... Parts>
  void require(bool condition, const Parts&... parts) const {
    if (!condition) throw Error(concat(name_, ": ", parts...));
  }

  const Json& object(const Json& parent, const char* key) const {
    require(parent.contains(key) && parent[key].is_object(), "expected an object \"", key, "\"");
    return parent[key];
  }

  static const Json& optional(const Json& parent, const char* key) {
    static const Json null;
    const auto found = parent.find(key);
    return found == parent.end() ? null : *found;
  }

  static std::string type_of(const Json& part) {
    const Json& type = part.is_object() ? optional(part, "type") : part;
    return type.is_string() ? type.get<std::string>() : dump_json(type);
  }

  void check_model(const Json& model) const {
    const Json& type = optional(model, "type");  // old files have none
    require(type.is_null() || type == "BPE", "model type ", type_of(model),
            " is not supported: expected BPE or WordLevel");
    require(model.contains("merges"), "expected a BPE model with \"merges\"");
    // What would change the result if it were ignored. An unk_token does not: every byte is there.
    for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix",
                            "byte_fallback", "ignore_merges"}) {
      const Json& value = optional(model, key);
      require(value.is_null() || value == "" || value == 0 || value == false, "model.", key, " = ",
              dump_json(value), " is not supported");
    }
  }

  bool parse_normalizer(const Json& part) const {
    if (part.is_null()) return false;
    if (type_of(part) == "NFC") return true;
    require(type_of(part) == "Sequence" && optional(part, "normalizers").is_array(), "normalizer ",
            type_of(part), " is not supported: expected NFC or none");
    bool nfc = false;
    for (const Json& step : part["normalizers"]) {
      require(type_of(step) == "NFC", "normalizer ", type_of(step),
              " is not supported: expected NFC or none");
      nfc = true;
    }
    return nfc;
  }

  void parse_pre_tokenizer(const Json& part) {
    const bool wrapped = type_of(part) == "Sequence" && optional(part, "pretokenizers").is_array();
    require(!wrapped || part["pretokenizers"].size() == 1,
            "a Sequence of pre-tokenizers is not supported: expected ByteLevel alone");
    const Json& step = wrapped ? part["pretokenizers"][0] : part;
    require(type_of(step) == "ByteLevel", "pre-tokenizer ", type_of(step),
            " is not supported: expected ByteLevel");
    require(step.value("use_regex", true), "ByteLevel without its pattern is not supported");
    definition_.add_prefix_space = step.value("add_prefix_space", true);
  }

  // A token in GPT-2's alphabet as bytes; one with other characters stands for itself, as when
  // the tokenizers library decodes.
  std::string bytes_of(std::string_view token) const {
    std::string bytes;
    for (std::string_view rest = token; !rest.empty();) {
      const CodePoint c = decode_utf8(rest);
      const auto found = byte_of_.find(c.value);
      if (found == byte_of_.end()) return std::string(token);
      bytes += found->second;
      rest.remove_prefix(c.size);
    }
    return bytes;
  }

  void set_piece(Token id, std::string bytes, std::string_view token) {
    auto& pieces = definition_.pieces;
    if (id >= pieces.size()) pieces.resize(id + 1);
    require(pieces[id].empty(), "token id ", id, " is given twice, the second time to ", token);
    pieces[id] = std::move(bytes);
  }

  Token parse_id(const Json& value, std::string_view token) const {
    require(value.is_number_unsigned() && value.get<uint64_t>() < kMaxVocab, "token ", token,
            ": expected an id below ", kMaxVocab, ", got ", dump_json(value));
    return value.get<Token>();
  }

  void parse_vocab(const Json& vocab) {
    for (const auto& [token, value] : vocab.items()) {
      require(!token.empty(), "the vocabulary has an empty token");
      const Token id = parse_id(value, token);
      set_piece(id, bytes_of(token), token);
      ids_.emplace(token, id);
    }
    definition_.byte_tokens.fill(kNoToken);
    for (const auto& [character, byte] : byte_of_) {
      std::string token;
      append_utf8(character, token);
      const auto found = ids_.find(token);
      const auto index = static_cast<unsigned char>(byte);
      if (found != ids_.end()) definition_.byte_tokens[index] = found->second;
      const bool in_utf8 = index < 0xC0 || (index >= 0xC2 && index <= 0xF4);
      require(!in_utf8 || found != ids_.end(), "no token for the single byte ", +index,
              "; a byte-level vocabulary holds all that occur in UTF-8");
    }
  }

  Token id_of(std::string_view token, size_t merge) const {
    const auto found = ids_.find(std::string(token));
    require(found != ids_.end(), "merges[", merge, "]: ", token, " is not in the vocabulary");
    return found->second;
  }

  void parse_merges(const Json& merges) {
    require(merges.is_array(), "expected an array \"merges\"");
    for (size_t i = 0; i < merges.size(); ++i) {
      const Json& entry = merges[i];
      std::string left, right;
      if (entry.is_string()) {  // "left right"; no token holds a space
        const auto& text = entry.get_ref<const std::string&>();
        if (text.starts_with("#version")) continue;
        const size_t space = text.find(' ');
        require(space != std::string::npos && text.find(' ', space + 1) == std::string::npos,
                "merges[", i, "]: expected two tokens, got ", dump_json(entry));
        left = text.substr(0, space);
        right = text.substr(space + 1);
      } else {
        require(
            entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string(),
            "merges[", i, "]: expected two tokens, got ", dump_json(entry));
        left = entry[0].get<std::string>();
        right = entry[1].get<std::string>();
      }
      definition_.merges.push_back({id_of(left, i), id_of(right, i), id_of(left + right, i)});
    }
  }

  void parse_added_tokens(const Json& list) {
    if (list.is_null()) return;
    require(list.is_array(), "expected an array \"added_tokens\"");
    std::unordered_map<std::string, Token> seen;
    for (const Json& entry : list) {
      require(entry.is_object() && optional(entry, "content").is_string(),
              "added_tokens: expected objects with \"content\", got ", dump_json(entry));
      const auto content = entry["content"].get<std::string>();
      if (content.empty()) continue;
      for (const char* flag : {"single_word", "lstrip", "rstrip"})
        require(!entry.value(flag, false), "added token ", content, ": ", flag,
                " is not supported");
      const Token id = parse_id(optional(entry, "id"), content);
      const auto in_vocab = ids_.find(content);
      if (const auto [first, added] = seen.emplace(content, id); !added) {
        require(first->second == id, "added token ", content, " has two ids");
        continue;
      }
      if (in_vocab == ids_.end()) {
        set_piece(id, content, content);
      } else {
        require(in_vocab->second == id, "added token ", content, " has id ", id,
                ", but the vocabulary gives it ", in_vocab->second);
      }
      const bool special = entry.value("special", false);
      definition_.added.push_back({content, id, entry.value("normalized", !special)});
    }
  }

  std::string name_;
  std::unordered_map<char32_t, char> byte_of_;  // the inverse of byte_alphabet()
  std::unordered_map<std::string, Token> ids_;  // the model's vocabulary, as written in the file
  BpeDefinition definition_;
};

}  // namespace

// GPT-2 writes bytes as printable characters: those that are printable in Latin-1 as themselves,
// the others in order as U+0100, U+0101, …
std::array<char32_t, 256> byte_alphabet() {
  std::array<char32_t, 256> alphabet{};
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    alphabet[byte] = printable ? byte : next++;
  }
  return alphabet;
}

BpeDefinition parse_bpe_definition(const Json& root, const std::string& name) {
  return Parser(name).parse(root);
}

}  // namespace fathom
