// SPDX-License-Identifier: Apache-2.0
// Options: how a model is opened (EmbedderOptions) and how texts become vectors (EmbedOptions).
// Every field has a default, so name only those that differ:
//
//   {.dtype = fathom::DType::kBF16}
//   {.layers = {1, 3, fathom::kFinalLayer}, .pooling = fathom::Pooling::kLast, .normalize = true}
//
// All types are plain data. Copy them freely; threads may read one object at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "fathom/version.h"

namespace fathom {

using Token = uint32_t;  // an id of the model's vocabulary

// Data type of matrix products. Falls back to kF32 where the CPU does not support the type, and for
// models narrower than 256, where it would not pay. Info::dtype has the type that was used.
enum class DType : uint8_t {
  kF32,
  kBF16,
  kInt8,
  kAuto,  // kBF16 if the CPU supports it, kInt8 if memory is short, else kF32
};

// How the rows of a text, one for each token, become one vector. The first five pool rows of
// d_model numbers. The last three read the recurrent state after the last token, at layers 1 to
// n_layer.
enum class Pooling : uint8_t {
  kMean,       // average over the tokens
  kLast,       // the last token
  kMax,        // largest value per channel
  kWeighted,   // average with weights 1, 2, 3, ... by position (SGPT, arXiv 2202.08904)
  kEos,        // average over the end-of-text tokens: EmbedOptions::eos
  kState,      // the whole WKV state
  kStateRows,  // the mean of every row of every head's matrix
  kStateCols,  // the mean of every column
};

// What is pooled: the residual stream, or ln_out of each of its rows.
enum class Norm : uint8_t { kNone, kLnOut };

// The order in which the model reads a text (after Restore-RWKV's Re-WKV, arXiv 2407.11087).
enum class Scan : uint8_t {
  kForward,
  kReverse,  // the tokens in reverse order
  kBoth,     // the average of the pooled vectors of forward and reverse; twice the cost
  kEcho,     // the text twice in one sequence; only the second reading is pooled
};

// Task heads of EmbeddingRWKV: classification, similarity, retrieval.
enum class HeadKind : uint8_t { kCls, kSts, kRetr };

// EmbeddingRWKV's end-of-text token. World vocabularies have no text for it.
inline constexpr Token kEosToken = 65535;

// In EmbedOptions::layers: ln_out of the last block of any model.
inline constexpr size_t kFinalLayer = SIZE_MAX;

struct EmbedderOptions {
  DType dtype = DType::kAuto;
  bool small_as_asked = false;  // use `dtype` for models with d_model < 256 as well
  size_t threads = 0;           // of one call, 1 to 1024; 0: all CPUs of the process
  // rwkv_vocab_v20230424.txt or tokenizer.json. Empty: the vocabulary inside the model's file or
  // beside it, else $FATHOM_VOCAB. Without any, only token ids work.
  std::filesystem::path vocabulary = {};
  std::string backend = {};                  // "cpu" or "reference"; "": $FATHOM_BACKEND, else cpu
  std::filesystem::path cache = {};          // folder for packed weights; empty: no cache
  bool cache_verify = false;                 // check every checksum of the cache
  bool exceed_memory = false;                // open even if the weights exceed the available memory
  std::filesystem::path adapter = {};        // LoRA adapter to merge: PEFT's folder, or a file
  std::optional<double> adapter_alpha = {};  // of an adapter without adapter_config.json
  std::vector<std::string> ignore_tensors = {};  // shell patterns of tensor names to ignore
  std::optional<float> ln_x_eps = {};            // group-norm epsilon, > 0; nullopt: the layout's
  std::optional<float> ln_eps = {};  // layer-norm epsilon, > 0; nullopt: the file's, else 1e-5
  // Number of blocks to keep, from the first. Saves the memory of the others; their layers cannot
  // be read.
  std::optional<size_t> n_block = {};
};

// A depth policy: how deep each text runs. The default reads every layer of EmbedOptions::layers.
// Any other policy gives one vector for each text, from the layer at which it stopped. Made by
// Embedder::policy(), for that Embedder only. Immutable: copy it and share it between threads; it
// may outlive its Embedder.
class FATHOM_API Policy {
 public:
  Policy() = default;

  bool is_full() const { return impl_ == nullptr; }
  std::string name() const;  // "full", "fixed:3", "exit:sst2.policy"
  // Whether texts 2 i and 2 i + 1 decide and stop together. Their number must then be even.
  bool by_pair() const;

  struct Impl;

 private:
  friend class Embedder;
  explicit Policy(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

// How to treat an empty text, or an empty list of ids.
enum class EmptyText : uint8_t {
  kError,
  kZero,  // its vector is zeros; not for policies that decide by pair
};

struct EmbedOptions {
  // 0: the output of ln0; i: the residual stream after block i; n_layer + 1 or kFinalLayer: ln_out
  // of the last block. Empty: final, even if the model's folder recommends another layer. Must be
  // empty with a policy.
  std::vector<size_t> layers = {};
  Pooling pooling = Pooling::kMean;
  Norm norm = Norm::kNone;
  Scan scan = Scan::kForward;
  std::optional<Token> bos = {};  // put in front of every text, and pooled like any token
  // For Pooling::kEos: appended to every text that does not end in it, and pooled wherever it
  // occurs.
  // nullopt: nothing is appended, and the last token is pooled.
  std::optional<Token> eos = kEosToken;
  // Applied to the pooled vector. Needs kEos and the final layer alone.
  std::optional<HeadKind> head = {};
  bool normalize = false;  // every vector to length 1; zeros stay zeros
  // Keeps the first numbers of every vector, before normalize: 1 to the vector's size. nullopt:
  // all.
  std::optional<size_t> dimensions = {};
  // A policy file has the pooling, norm, scan, BOS and EOS that it was fitted with. Leave these at
  // their defaults, or set them to the same values.
  Policy depth = {};
  EmptyText empty = EmptyText::kError;
  bool allow_nonfinite = false;  // false: a vector with NaN or infinity is an Error
  // Tokens in one packed batch, 1 to 1048576. Changes memory and speed, but no bit of a result.
  size_t batch_tokens = 1024;
  // Checked between batches. After a request to stop, the call throws Stopped. Blocks that a sink
  // has already received stay valid.
  std::stop_token stop = {};
  // Called between batches, on the calling thread, with the number of finished texts. An exception
  // ends the call and reaches the caller.
  std::function<void(size_t)> progress = {};
};

}  // namespace fathom
