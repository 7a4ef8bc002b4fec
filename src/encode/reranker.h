// SPDX-License-Identifier: Apache-2.0
// Reranker: scores how well a document answers a query, from the backbone's state after reading
// both (EmbeddingRWKV's state reranker, github.com/howard-hou/EmbeddingRWKV; docs/layouts.md).
//
//   x = ln0(emb[0])
//   x = block_i(x), with the backbone's WKV state of block layers[i] before it and no token before
//   score = sigmoid(head.2 tanh(head.0 ln_out(x) + bias))
//
// A pair costs one token of the reranker. Most of the work is the backbone, which reads a document
// once for all queries. The tensors have the prefix "reranker." in a separate file.
// `reranker_layer_idx` lists the backbone's blocks, from 0 (negative: from the end); without it,
// all blocks are used.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/model.h"
#include "text/tokenizer.h"

namespace fathom {

// What the backbone reads, in two parts so that the state after the first can be kept. No World
// token reaches across the seam: the parts' ids are the whole text's.
struct RerankPrompt {
  std::string instruct = "Given a query, retrieve documents that answer the query";

  std::string document(std::string_view text) const;  // "Instruct: ...\nDocument: text\n"
  std::string query(std::string_view text) const;     // "Query: text"; EOS follows
};

inline constexpr const char* kRerankerPrefix = "reranker.";
bool is_reranker(const Checkpoint& checkpoint);
// For `fathom info`: takes the head's tensors out of info.ignored and notes what the file is.
void account_for_reranker(const Checkpoint& checkpoint, ModelInfo& info);

// Immutable; share it between threads, each with its own Workspace.
class Reranker {
 public:
  // options as for the backbone; its prefix is set here. The backbone must outlive the reranker.
  // Throws Error naming the file: no reranker in it, or one that does not fit the backbone.
  static Reranker open(const std::filesystem::path& path, const Model& backbone,
                       ModelOptions options);

  const Model& model() const { return model_; }
  std::span<const size_t> layers() const { return layers_; }  // blocks of the backbone, from 0

  // Scores in (0, 1) of backbone states after a document and a query; out: (states.size()).
  void score(std::span<State> states, std::span<float> out, Workspace& work) const;

  // Scores (n_query, n_document) of token sequences as RerankPrompt makes them; EOS is appended to
  // the queries here. A score depends on its own two texts only, not on batch_tokens, the tokens
  // that the backbone reads at a time. States held at a time are bounded. `progress`, if given, is
  // called with the number of documents done. Throws Error: an empty sequence, an unknown token.
  std::vector<float> rerank(std::span<const std::vector<Token>> documents,
                            std::span<const std::vector<Token>> queries, size_t batch_tokens,
                            Workspace& work,
                            const std::function<void(size_t)>& progress = {}) const;

 private:
  Reranker(const Model& backbone, Model model);
  void score_queries(std::span<const std::vector<Token>> queries, std::span<const State> documents,
                     size_t first_document, size_t n_document, size_t batch_tokens,
                     std::span<float> scores, Workspace& work) const;

  const Model& backbone_;
  Model model_;
  std::vector<size_t> layers_;
  std::unique_ptr<PackedWeight> dense_;         // head.0 (C, C)
  std::vector<float> dense_bias_, out_weight_;  // head.0 (C), head.2 (1, C)
};

// Throws Error for a score that is no number: names its document by `place`, its query, and the
// block of the backbone that is to blame. scores: as rerank() gives them for these texts.
void require_finite_scores(std::span<const float> scores,
                           std::span<const std::vector<Token>> documents,
                           std::span<const std::vector<Token>> queries,
                           const std::function<std::string(size_t)>& place, const Model& backbone,
                           Workspace& work);

}  // namespace fathom
