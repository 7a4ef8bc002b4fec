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
// Memory: an Embedder owns its model and depends on no other object. What a function returns
// belongs to the caller. Spans that are passed in, and those that a sink gets, are read during the
// call only.
//
// Threads: an Embedder does not change after open(). Any number of threads may call any of its
// functions at once, on one object or on copies. Every call that computes borrows a workspace
// (activations, and a team of EmbedderOptions::threads threads) that no other call uses; they are
// kept for later calls, as many as there were calls at once. Where many threads call, open with
// `.threads = 1`. A process may fork after use: the child shares the weights and starts threads of
// its own.
//
// Results: a vector depends on its own text (or pair) and on the options, never on the other texts,
// batch_tokens, the number of threads, or the way of calling: whole, streamed, or into a buffer, it
// has the same bits, and they are those of `fathom embed`.
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
  uint32_t exit_layer = 0;  // where it was pooled, 0 to n_layer
  uint32_t n_time_mix = 0;  // sublayers that ran, of n_layer each
  uint32_t n_channel_mix = 0;
  int32_t route = -1;            // the mask that a router chose; -1: none did
  int32_t predicted_class = -1;  // of the exit's head; -1: it has no classes
  // Regression, or the cosine of a pair; NaN: none was computed.
  float predicted_value = std::numeric_limits<float>::quiet_NaN();
  // Of the last decision, larger is surer; NaN: none was computed. docs/methods.md has the measures.
  float confidence = std::numeric_limits<float>::quiet_NaN();
};

// The vectors of some texts. Under a depth policy n_layer is 1: wherever each text stopped.
struct Embeddings {
  size_t n_layer = 0, n_text = 0, dim = 0;
  std::vector<size_t> layers =
      {};  // (n_layer) as asked for, final as n_layer + 1; none with a policy
  std::vector<float> values = {};     // (n_layer, n_text, dim), row-major
  std::vector<TextDepth> depth = {};  // (n_text) with a policy, else none
  size_t n_token = 0;                 // read, BOS, EOS and second scans included

  // (dim), the vector of a text at layers[layer]. Throws Error if there is none of that number.
  FATHOM_API std::span<const float> row(size_t layer, size_t text) const;
};

// A block of consecutive texts, on its way to a sink.
struct EmbeddingBlock {
  size_t begin = 0, end = 0;  // texts [begin, end) of those given
  size_t n_layer = 0, dim = 0;
  std::span<const float> values = {};     // (n_layer, end - begin, dim)
  std::span<const TextDepth> depth = {};  // (end - begin) with a policy, else none
};
// Called on the calling thread, block after block, in order, each text once. What it throws ends
// the call and reaches the caller.
using EmbeddingSink = std::function<void(const EmbeddingBlock&)>;

struct EmbeddingShape {
  size_t n_layer = 0, n_text = 0, dim = 0;
  size_t size() const { return n_layer * n_text * dim; }
};

// Everything that the blocks leave of one sequence.
struct HiddenStates {
  size_t n_layer = 0, n_token = 0, d_model = 0;
  // (n_layer + 1, n_token, d_model), row-major: layer 0 is the output of ln0, layer i the residual
  // stream after block i.
  std::vector<float> values = {};
};

// What a model is.
struct Info {
  std::string path;           // the first weight file
  std::string version;        // "4", "5.0", "5.1", "5.2", "6", "7", "7a"
  std::string layout;         // whose names its tensors have
  std::string stored_dtype;   // of the large matrices in the file, such as "BF16"
  DType dtype = DType::kF32;  // what it is computed in; never kAuto
  std::string backend;        // "cpu" or "reference"
  size_t n_layer = 0;         // blocks
  size_t n_block = 0;         // of them, that were kept: the deepest layer to be asked for
  size_t d_model = 0;         // numbers of a vector that pools rows
  size_t n_vocab = 0;         // token ids are below it
  size_t n_parameter = 0;
  size_t weight_bytes = 0;            // of the packed blocks, in memory
  std::string vocabulary;             // where the tokenizer came from; "" without one
  std::vector<HeadKind> heads;        // that EmbedOptions::head may name
  std::vector<std::string> notes;     // oddities that were handled, one sentence each
  std::vector<std::string> messages;  // what open() did otherwise than asked for, one line each

  size_t final_layer() const { return n_layer + 1; }
};

class FATHOM_API Embedder {
 public:
  // model: a folder of Hugging Face, a weight file (safetensors, .pth, GGUF, rwkv.cpp), an
  // index.json, or a model of the hub's cache by its name, ORG/NAME. Reads and packs the weights,
  // which takes from milliseconds to a minute. Throws Error naming the file and tensor, or the
  // option; Error if the weights need more memory than is available.
  static Embedder open(const std::filesystem::path& model, const EmbedderOptions& options = {});

  // Copies share one model; there is nothing to move.
  Embedder(const Embedder& other) noexcept;
  Embedder& operator=(const Embedder& other) noexcept;
  ~Embedder();

  const Info& info() const noexcept;

  // Token ids of a text, which is usually UTF-8; no BOS. Throws Error if the model has no
  // vocabulary.
  std::vector<Token> tokenize(std::string_view text) const;
  // Their bytes. Throws Error without a vocabulary, or for an id that it has not.
  std::string decode(std::span<const Token> ids) const;

  // "1,3,5-8,final" or "all" as EmbedOptions::layers. Throws UsageError.
  std::vector<size_t> layers(std::string_view list) const;

  // "full", "fixed:L" (the first L blocks), or a policy file of `fathom fit`, `prune` or `route`:
  // "exit:FILE", "mask:FILE", "route:FILE". Throws UsageError for another form, or a depth that the
  // model has not; Error for a file that cannot be used, or was fitted to another model.
  Policy policy(std::string_view depth) const;

  // The shape of what embed() gives. Throws UsageError for options that exclude each other, or ask
  // for a layer, head or token id that the model has not: whatever embed() says of its options.
  EmbeddingShape shape(size_t n_text, const EmbedOptions& options = {}) const;

  // The vectors of all texts; no texts give none. Memory: the result, and a few batches. Throws
  // as shape() does; Error naming the text, counted from 0, that is empty or has a vector that is
  // not finite; Error for an odd number of texts under a policy that decides by pair, or without a
  // vocabulary; Stopped.
  Embeddings embed(std::span<const std::string> texts, const EmbedOptions& options = {}) const;
  // The same, block by block: the memory does not grow with the number of texts.
  void embed(std::span<const std::string> texts, const EmbedOptions& options,
             const EmbeddingSink& sink) const;
  // The same into out, (n_layer, n_text, dim) as shape() says, and depth, (n_text) or empty; it has
  // to be empty without a policy. Throws Error as well if a size is not that. After an error their
  // contents are arbitrary.
  void embed_into(std::span<const std::string> texts, const EmbedOptions& options,
                  std::span<float> out, std::span<TextDepth> depth = {}) const;

  // The three, of token ids. No vocabulary is needed. Throw Error as well for an id that is not
  // below info().n_vocab.
  Embeddings embed_ids(std::span<const std::vector<Token>> texts,
                       const EmbedOptions& options = {}) const;
  void embed_ids(std::span<const std::vector<Token>> texts, const EmbedOptions& options,
                 const EmbeddingSink& sink) const;
  void embed_ids_into(std::span<const std::vector<Token>> texts, const EmbedOptions& options,
                      std::span<float> out, std::span<TextDepth> depth = {}) const;

  // All hidden states of one sequence, the numbers of `fathom trace`. Throws Error: no id, one that
  // is not below info().n_vocab; UsageError if the Embedder keeps fewer blocks than the model has.
  HiddenStates hidden_states(std::span<const Token> ids) const;

  struct Impl;

 private:
  explicit Embedder(std::shared_ptr<const Impl> impl) noexcept;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace fathom
