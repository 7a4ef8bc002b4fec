// SPDX-License-Identifier: Apache-2.0
#include "encode/vocabulary_export.h"

#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "text/text_file.h"

namespace fathom {
namespace {

enum TokenType : int32_t { kNormal = 1, kControl = 3, kUnused = 5 };  // llama.cpp's

// llama.cpp looks tokens up by their text, so no two may be equal.
std::string unlike_others(std::string text, const std::set<std::string>& others) {
  while (others.count(text)) text += '_';
  return text;
}

void add_world(const Tokenizer& tokenizer, size_t n_vocab, GgufMetadata& metadata) {
  std::vector<std::string> tokens(n_vocab);
  std::vector<int32_t> types(n_vocab, kUnused);
  for (size_t i = 0; i < tokenizer.n_vocab(); ++i) {
    tokens[i] = python_repr(tokenizer.piece(static_cast<Token>(i)));
    if (!tokens[i].empty()) types[i] = kNormal;
  }
  const std::set<std::string> texts(tokens.begin(), tokens.end());
  for (size_t i = 0; i < n_vocab; ++i)
    if (types[i] != kNormal)
      tokens[i] = unlike_others(i == 0 ? "<s>" : concat("[PAD", i, "]"), texts);
  if (n_vocab > 0 && types[0] != kNormal) types[0] = kControl;

  const std::vector<Token> end_of_turn = tokenizer.Tokenizer::encode("\n\n");
  metadata.emplace_back("tokenizer.ggml.model", std::string("rwkv"));
  metadata.emplace_back("tokenizer.ggml.tokens", std::move(tokens));
  metadata.emplace_back("tokenizer.ggml.token_type", std::move(types));
  metadata.emplace_back("tokenizer.ggml.bos_token_id", uint32_t{0});
  metadata.emplace_back("tokenizer.ggml.eos_token_id", uint32_t{0});
  // What llama.cpp's converter says, too: chats of World models end a turn with an empty line.
  if (end_of_turn.size() == 1) metadata.emplace_back("tokenizer.ggml.eot_token_id", end_of_turn[0]);
  metadata.emplace_back("tokenizer.ggml.add_bos_token", false);
}

bool is_file(const std::string& source) {
  const auto found = find_text_file(source);
  std::error_code ignored;
  return found && std::filesystem::is_regular_file(*found, ignored);
}

std::string text_of(const std::string& path) { return read_text_file(path); }

// Lines ID b'...' LENGTH; ids without text have none.
std::string world_lines(const Tokenizer& tokenizer) {
  std::string lines;
  for (size_t i = 1; i < tokenizer.n_vocab(); ++i) {
    const std::string bytes = tokenizer.piece(static_cast<Token>(i));
    if (bytes.empty()) continue;
    const std::string repr = python_repr(bytes);
    const char quote = bytes.find('\'') != bytes.npos && bytes.find('"') == bytes.npos ? '"' : '\'';
    lines += concat(i, " b", quote, repr, quote, " ", bytes.size(), "\n");
  }
  return lines;
}

}  // namespace

std::string python_repr(std::string_view bytes) {
  // Python quotes with ' unless only that occurs inside.
  const bool both = bytes.find('\'') != bytes.npos && bytes.find('"') != bytes.npos;
  std::string out;
  for (char c : bytes) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '\\' || (c == '\'' && both)) {
      out += '\\';
      out += c;
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (u < 0x20 || u >= 0x7f) {
      constexpr char kDigits[] = "0123456789abcdef";
      out += {'\\', 'x', kDigits[u >> 4], kDigits[u & 15]};
    } else {
      out += c;
    }
  }
  return out;
}

void add_gguf_vocabulary(const Vocabulary& vocabulary, const std::string& architecture,
                         size_t n_vocab, GgufMetadata& metadata, std::vector<std::string>& notes) {
  const Tokenizer* tokenizer = vocabulary.tokenizer.get();
  if (tokenizer && tokenizer->name() == "world") {
    add_world(*tokenizer, n_vocab, metadata);
    return;
  }
  metadata.emplace_back("tokenizer.ggml.model", std::string("none"));
  metadata.emplace_back(architecture + ".vocab_size", static_cast<uint32_t>(n_vocab));
  if (!tokenizer)
    notes.push_back("no vocabulary (" + vocabulary.source +
                    "): llama.cpp can be fed token ids only; `vocabulary` FILE adds one");
  else if (tokenizer->name() == "byte")
    notes.push_back("tokens are bytes: llama.cpp is fed them as token ids");
  else
    notes.push_back("the vocabulary of " + vocabulary.source +
                    " (BPE) is not carried over: llama.cpp can be fed token ids only");
}

std::optional<VocabularyFile> vocabulary_file(const Vocabulary& vocabulary,
                                              std::vector<std::string>& notes) {
  const Tokenizer* tokenizer = vocabulary.tokenizer.get();
  if (!tokenizer) {
    notes.push_back("no vocabulary is written: " + vocabulary.source);
    return std::nullopt;
  }
  if (tokenizer->name() == "byte") return std::nullopt;
  if (tokenizer->name() == "bpe")
    return VocabularyFile{"tokenizer.json", text_of(vocabulary.source)};
  constexpr const char* kWorld = "rwkv_vocab_v20230424.txt";
  if (is_file(vocabulary.source)) {
    std::string text = text_of(vocabulary.source);
    if (!text.empty() && text[0] >= '0' && text[0] <= '9')
      return VocabularyFile{kWorld, std::move(text)};
  }
  return VocabularyFile{kWorld, world_lines(*tokenizer)};
}

void require_may_write(const std::filesystem::path& config, const std::filesystem::path& vocabulary,
                       const std::string& vocabulary_text) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(config, ignored)) {
    const Json old = parse_json(MappedFile(config).text(), config.string());
    FATHOM_REQUIRE(old.is_object() && old.contains("converted_by"), config.string(),
                   ": belongs to another model; choose another folder for OUT");
  }
  if (!vocabulary.empty() && std::filesystem::is_regular_file(vocabulary, ignored))
    FATHOM_REQUIRE(MappedFile(vocabulary).text() == vocabulary_text, vocabulary.string(),
                   ": is there already and differs; choose another folder for OUT");
}

}  // namespace fathom
