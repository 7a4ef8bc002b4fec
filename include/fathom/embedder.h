// SPDX-License-Identifier: Apache-2.0
// Start here: sentences to vectors, at any depth of an RWKV model.
//
//   #include <fathom/embedder.h>
//
//   const auto e = fathom::Embedder::open("v6-Finch-1B6-HF", {.dtype = fathom::DType::kBF16});
//   const std::vector<std::string> texts = {"The cat sat.", "A dog ran off."};
//   const fathom::Embeddings v = e.embed(texts, {.layers = {1, 3, 11}, .normalize = true});
//   std::span<const float> cat_at_3 = v.row(1, 0);  // (v.dim)
//
// Memory: an Embedder owns its model and depends on no other object. The caller owns what a
// function returns. Spans that you pass, and spans that a sink gets, are used during the call only.
//
// Threads: an Embedder does not change after open(). Any number of threads may call any function
// at once, on one object or on copies. Every call that computes borrows a workspace: activations,
// and a team of EmbedderOptions::threads threads. No two calls share one, and idle workspaces are
// kept for later calls. If many threads call, open with `.threads = 1`. A process may fork after
// use: the child shares the weights and starts its own threads.
//
// Results: a vector depends only on its own text (or pair) and on the options. The other texts,
// batch_tokens, the number of threads and the function that is called (whole, streamed, into a
// buffer) change no bit. The bits are those of `fathom embed`.
//
// Errors: throws fathom::Error (fathom/error.h) for every fault of a caller, a file or a text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fathom/error.h"
#include "fathom/options.h"
#include "fathom/version.h"

namespace fathom {

// What a depth policy did with one text.
struct TextDepth {
  uint32_t exit_layer = 0;  // the layer that was pooled, 0 to n_layer
  uint32_t n_time_mix = 0;  // sublayers that ran, of n_layer each
  uint32_t n_channel_mix = 0;
  int32_t route = -1;            // index of the router's mask; -1: no router
  int32_t predicted_class = -1;  // of the exit's head; -1: no classes
  // The answer of a regression head, or the cosine of a pair; NaN: not computed.
  float predicted_value = std::numeric_limits<float>::quiet_NaN();
  // Of the last decision, larger is more certain; NaN: not computed. docs/methods.md has the
  // confidence measures.
  float confidence = std::numeric_limits<float>::quiet_NaN();
};

// The vectors of some texts. Under a depth policy n_layer is 1: the layer at which each text
// stopped.
struct Embeddings {
  size_t n_layer = 0, n_text = 0, dim = 0;
  std::vector<size_t> layers =
      {};  // (n_layer) in the order of the options, final as n_layer + 1; empty with a policy
  std::vector<float> values = {};     // (n_layer, n_text, dim), row-major
  std::vector<TextDepth> depth = {};  // (n_text) with a policy, else empty
  size_t n_token = 0;                 // tokens read, including BOS, EOS and second scans

  // (dim), the vector of a text at layers[layer]. Throws Error if an index is out of range.
  FATHOM_API std::span<const float> row(size_t layer, size_t text) const;
};

// The vectors of consecutive texts, as a sink gets them.
struct EmbeddingBlock {
  size_t begin = 0, end = 0;  // texts [begin, end) of the call's
  size_t n_layer = 0, dim = 0;
  std::span<const float> values = {};     // (n_layer, end - begin, dim)
  std::span<const TextDepth> depth = {};  // (end - begin) with a policy, else empty
};
// Called on the calling thread, block after block, in order, each text once. An exception ends the
// call and reaches the caller.
using EmbeddingSink = std::function<void(const EmbeddingBlock&)>;

struct EmbeddingShape {
  size_t n_layer = 0, n_text = 0, dim = 0;
  size_t size() const { return n_layer * n_text * dim; }
};

// All hidden states of one sequence.
struct HiddenStates {
  size_t n_layer = 0, n_token = 0, d_model = 0;
  // (n_layer + 1, n_token, d_model), row-major: layer 0 is the output of ln0, layer i the residual
  // stream after block i.
  std::vector<float> values = {};
};

// A description of an open model.
struct Info {
  std::string path;           // the first weight file
  std::string version;        // "4", "5.0", "5.1", "5.2", "6", "7", "7a"
  std::string layout;         // naming convention of the tensors
  std::string stored_dtype;   // of the large matrices in the file, such as "BF16"
  DType dtype = DType::kF32;  // of the products that run; never kAuto
  std::string backend;        // "cpu" or "reference"
  size_t n_layer = 0;         // blocks
  size_t n_block = 0;         // blocks that were kept: the deepest layer that can be read
  size_t d_model = 0;         // size of a vector that pools rows
  size_t n_vocab = 0;         // token ids are below it
  size_t n_parameter = 0;
  size_t weight_bytes = 0;            // of the packed blocks, in memory
  std::string vocabulary;             // where the tokenizer came from; "" without one
  std::vector<HeadKind> heads;        // possible values of EmbedOptions::head
  std::vector<std::string> notes;     // irregularities that were handled, one sentence each
  std::vector<std::string> messages;  // where open() departed from the options, one line each

  size_t final_layer() const { return n_layer + 1; }
};

class FATHOM_API Embedder {
 public:
  // model: a Hugging Face folder, a weight file (safetensors, .pth, GGUF, rwkv.cpp), an index.json,
  // or ORG/NAME of the hub's local cache. Reads and packs the weights, which takes from
  // milliseconds to a minute. Throws Error naming the file and tensor, or the option; Error if the
  // weights need more memory than is available.
  static Embedder open(const std::filesystem::path& model, const EmbedderOptions& options = {});

  // Copies share one model; there is nothing to move.
  Embedder(const Embedder& other) noexcept;
  Embedder& operator=(const Embedder& other) noexcept;
  ~Embedder();

  const Info& info() const noexcept;

  // Token ids of a text, usually UTF-8, without BOS. Throws Error if the model has no vocabulary.
  std::vector<Token> tokenize(std::string_view text) const;
  // The bytes of token ids. Throws Error without a vocabulary, or for an unknown id.
  std::string decode(std::span<const Token> ids) const;

  // "1,3,5-8,final" or "all" as EmbedOptions::layers. Throws UsageError.
  std::vector<size_t> layers(std::string_view list) const;

  // "full", "fixed:L" (the first L blocks), or a policy file of `fathom fit`, `prune` or `route`:
  // "exit:FILE", "mask:FILE", "route:FILE". Throws UsageError for another form, or a depth beyond
  // the model's; Error for a file that cannot be used, or was fitted to another model.
  Policy policy(std::string_view depth) const;

  // The shape of embed()'s result. Throws UsageError for options that exclude each other, and for
  // a layer, head or token id beyond the model's: the same errors as embed().
  EmbeddingShape shape(size_t n_text, const EmbedOptions& options = {}) const;

  // The vectors of all texts; an empty span gives an empty result. Memory: the result and a few
  // batches. Throws as shape() does; Error naming a text (counted from 0) that is empty or whose
  // vector is not finite; Error for an odd number of texts under a policy that decides by pair, or
  // without a vocabulary; Stopped.
  Embeddings embed(std::span<const std::string> texts, const EmbedOptions& options = {}) const;
  // The same, block by block. Memory does not grow with the number of texts.
  void embed(std::span<const std::string> texts, const EmbedOptions& options,
             const EmbeddingSink& sink) const;
  // The same into out, (n_layer, n_text, dim) as shape() returns, and depth, (n_text) or empty.
  // Without a policy depth must be empty. Also throws Error for a wrong size. After an error the
  // contents of both are arbitrary.
  void embed_into(std::span<const std::string> texts, const EmbedOptions& options,
                  std::span<float> out, std::span<TextDepth> depth = {}) const;

  // The same three functions for token ids. They need no vocabulary. They also throw Error for an
  // id that is not below info().n_vocab.
  Embeddings embed_ids(std::span<const std::vector<Token>> texts,
                       const EmbedOptions& options = {}) const;
  void embed_ids(std::span<const std::vector<Token>> texts, const EmbedOptions& options,
                 const EmbeddingSink& sink) const;
  void embed_ids_into(std::span<const std::vector<Token>> texts, const EmbedOptions& options,
                      std::span<float> out, std::span<TextDepth> depth = {}) const;

  // All hidden states of one sequence, as `fathom trace` writes them. Throws Error for no ids and
  // for an id that is not below info().n_vocab; UsageError if the Embedder keeps fewer blocks than
  // the model has.
  HiddenStates hidden_states(std::span<const Token> ids) const;

  struct Impl;

 private:
  explicit Embedder(std::shared_ptr<const Impl> impl) noexcept;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace fathom
