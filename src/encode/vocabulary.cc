// SPDX-License-Identifier: Apache-2.0
#include "encode/vocabulary.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "base/error.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

Vocabulary from_file(const fs::path& path, size_t n_vocab) {
  Vocabulary v{open_tokenizer(path), path.string()};
  FATHOM_REQUIRE(v.tokenizer->n_vocab() <= n_vocab, path.string(), ": has ids up to ",
                 v.tokenizer->n_vocab() - 1, ", but the model's n_vocab is ", n_vocab);
  return v;
}

// tokenizer.ggml.* of a GGUF file that carries RWKV's own vocabulary.
std::optional<Vocabulary> from_gguf(const Checkpoint& checkpoint) {
  const auto& meta = checkpoint.metadata();
  const auto array = [&meta](const char* key) -> const MetaArray* {
    const auto it = meta.find(key);
    return it == meta.end() ? nullptr : std::get_if<MetaArray>(&it->second);
  };
  const auto model = meta.find("tokenizer.ggml.model");
  if (model == meta.end()) return std::nullopt;
  const auto* name = std::get_if<std::string_view>(&model->second);
  const MetaArray* tokens = array("tokenizer.ggml.tokens");
  if (!name || *name != "rwkv" || !tokens) return std::nullopt;
  const std::string file = checkpoint.files().front().string();
  try {
    const auto entries = meta_strings(*tokens, "tokenizer.ggml.tokens");
    std::vector<int64_t> types;
    if (const MetaArray* t = array("tokenizer.ggml.token_type"))
      types = meta_integers(*t, "tokenizer.ggml.token_type");
    return Vocabulary{gguf_tokenizer(entries, types), file + " (GGUF metadata)"};
  } catch (const Error& e) {
    throw Error(concat(file, ": ", e.what()));
  }
}

// The file beside the weights: tokenizer.json first, then *vocab*.txt by name.
std::optional<fs::path> beside(const fs::path& directory) {
  std::error_code ignored;
  if (fs::is_regular_file(directory / "tokenizer.json", ignored))
    return directory / "tokenizer.json";
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.find("vocab") != std::string::npos && name.ends_with(".txt") &&
        entry.is_regular_file(ignored))
      found.push_back(entry.path());
  }
  if (found.empty()) return std::nullopt;
  return *std::min_element(found.begin(), found.end());
}

}  // namespace

Vocabulary find_vocabulary(const Checkpoint& checkpoint, size_t n_vocab,
                           const std::optional<fs::path>& given) {
  if (given) return from_file(*given, n_vocab);
  if (auto v = from_gguf(checkpoint)) {
    FATHOM_REQUIRE(v->tokenizer->n_vocab() <= n_vocab, v->source, ": has ids up to ",
                   v->tokenizer->n_vocab() - 1, ", but the model's n_vocab is ", n_vocab);
    return *std::move(v);
  }
  if (n_vocab == 256) return {byte_tokenizer(), "bytes (n_vocab is 256)"};
  const fs::path directory =
      checkpoint.directory().empty() ? fs::path(".") : checkpoint.directory();
  if (const auto path = beside(directory)) return from_file(*path, n_vocab);
  const char* variable = std::getenv("FATHOM_VOCAB");
  if (variable && *variable) return from_file(variable, n_vocab);
  return {nullptr, concat("no tokenizer.json or *vocab*.txt in ", directory.string(),
                          ", and $FATHOM_VOCAB is not set")};
}

const Tokenizer& require_tokenizer(const Vocabulary& vocabulary) {
  FATHOM_REQUIRE(vocabulary.tokenizer, "no vocabulary: ", vocabulary.source,
                 "; expected `vocabulary` FILE (token ids work without one: fathom trace --ids)");
  return *vocabulary.tokenizer;
}

}  // namespace fathom
