// SPDX-License-Identifier: Apache-2.0
#include "baseline/static_embeddings.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "formats/checkpoint.h"

namespace fathom {

StaticEmbeddings StaticEmbeddings::open(const std::filesystem::path& folder) {
  const Checkpoint checkpoint = Checkpoint::open(folder);
  const std::string file = checkpoint.files().front().string();
  const Tensor* table = nullptr;
  for (const char* name : {"emb.weight", "model.embeddings.weight", "rwkv.embeddings.weight"}) {
    if ((table = checkpoint.find(name))) break;
  }
  FATHOM_REQUIRE(table != nullptr, file, ": expected a token table emb.weight, and there is none");
  FATHOM_REQUIRE(table->shape.size() == 2 && table->n_element() > 0, file, ": ", table->name,
                 ": expected a matrix (n_vocab, dim)");
  StaticEmbeddings bag;
  bag.dim_ = table->cols();
  bag.vectors_.resize(table->n_element());
  read_f32(*table, 0, table->n_element(), bag.vectors_);
  const auto bad = std::ranges::find_if(bag.vectors_, [](float v) { return !std::isfinite(v); });
  FATHOM_REQUIRE(bad == bag.vectors_.end(), file, ": ", table->name, ": the vector of token ",
                 static_cast<size_t>(bad - bag.vectors_.begin()) / bag.dim_, " is not finite");
  bag.vocabulary_ = find_vocabulary(checkpoint, table->rows(), std::nullopt);
  require_tokenizer(bag.vocabulary_);
  return bag;
}

size_t StaticEmbeddings::embed(std::string_view text, std::span<float> mean) const {
  FATHOM_ASSERT(mean.size() == dim_);
  const std::vector<Token> tokens = vocabulary_.tokenizer->encode(text);
  std::vector<double> sum(dim_, 0.0);
  for (const Token token : tokens) {
    const float* vector = vectors_.data() + token * dim_;
    for (size_t i = 0; i < dim_; ++i) sum[i] += vector[i];
  }
  const double n = tokens.empty() ? 1 : static_cast<double>(tokens.size());
  for (size_t i = 0; i < dim_; ++i) mean[i] = static_cast<float>(sum[i] / n);
  return tokens.size();
}

}  // namespace fathom
