// SPDX-License-Identifier: Apache-2.0
// The choices: how a model is opened (EmbedderOptions) and how texts become vectors (EmbedOptions).
// Every field has a default, so that a caller names only what differs:
//
//   {.dtype = fathom::DType::kBF16}
//   {.layers = {1, 3, fathom::kFinalLayer}, .pooling = fathom::Pooling::kLast, .normalize = true}
//
// All of it is plain data: copy it, and let threads read it.
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
  kAuto,  // kBF16 where the CPU multiplies it, kInt8 where memory is short, else kF32
};

// How the rows of a text, one a token, become one vector. All but the last three pool rows of
// d_model numbers; those read the recurrent state after the last token, at layers 1 to n_layer.
enum class Pooling : uint8_t {
  kMean,       // average over the tokens
  kLast,       // the last token
  kMax,        // largest value per channel
  kWeighted,   // average with weights 1, 2, 3, ... by position (SGPT, arXiv 2202.08904)
  kEos,        // average over the tokens that end a text: EmbedOptions::eos
  kState,      // the WKV state as it lies
  kStateRows,  // the mean of every row of every head's matrix
  kStateCols,  // the mean of every column
};

// What is pooled: the residual stream as it is, or ln_out applied to each of its rows.
enum class Norm : uint8_t { kNone, kLnOut };

// How the unchanged model reads a text (after Restore-RWKV's Re-WKV, arXiv 2407.11087).
enum class Scan : uint8_t {
  kForward,
  kReverse,  // the tokens in reverse order
  kBoth,     // the average of the pooled vectors of forward and reverse; twice the cost
  kEcho,     // the text twice on one carried state; only the second reading is pooled
};

// Task heads of EmbeddingRWKV: classification, similarity, retrieval.
enum class HeadKind : uint8_t { kCls, kSts, kRetr };

// The end of a text for EmbeddingRWKV. World vocabularies have no text for it.
inline constexpr Token kEosToken = 65535;

// In EmbedOptions::layers: ln_out of the last block, whatever the model's depth.
inline constexpr size_t kFinalLayer = SIZE_MAX;

struct EmbedderOptions {
  DType dtype = DType::kAuto;
  bool small_as_asked = false;  // `dtype` for models with d_model < 256 too
  size_t threads = 0;           // of one call, 1 to 1024; 0: all that the process may use
  // rwkv_vocab_v20230424.txt or tokenizer.json. Empty: the vocabulary inside the model's file or
  // beside it, else $FATHOM_VOCAB; without any, only token ids work.
  std::filesystem::path vocabulary = {};
  std::string backend = {};            // "cpu" or "reference"; "": $FATHOM_BACKEND, else cpu
  std::filesystem::path cache = {};    // folder that keeps packed weights; empty: none
  bool cache_verify = false;           // compare all of the cache with its checksums
  bool exceed_memory = false;          // go on where weights need more memory than is available
  std::filesystem::path adapter = {};  // LoRA adapter to merge: PEFT's folder, or a file
  std::optional<double> adapter_alpha = {};      // of an adapter without adapter_config.json
  std::vector<std::string> ignore_tensors = {};  // patterns, as in a shell, of names to leave out
  std::optional<float> ln_x_eps = {};  // group-norm epsilon, > 0; nullopt: chosen by layout
  std::optional<float> ln_eps = {};    // layer-norm epsilon, > 0; nullopt: the file's, else 1e-5
  // Blocks to keep, from the first; deeper layers can then not be asked for. Saves their memory.
  std::optional<size_t> n_block = {};
};

// How deep each text goes: nothing in it, and every layer that is asked for is read; else one
// vector a text, from where the policy let it stop. Made by Embedder::policy(), for that Embedder
// alone. Immutable: copy it and share it between threads; it may outlive its Embedder.
class FATHOM_API Policy {
 public:
  Policy() = default;

  bool is_full() const { return impl_ == nullptr; }
  std::string name() const;  // "full", "fixed:3", "exit:sst2.policy"
  // Whether texts 2 i and 2 i + 1 decide and stop together; their number then has to be even.
  bool by_pair() const;

  struct Impl;

 private:
  friend class Embedder;
  explicit Policy(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

// What becomes of a text without a byte, or a list without an id.
enum class EmptyText : uint8_t {
  kError,
  kZero,  // a vector of zeros; not with a policy that decides by pair
};

struct EmbedOptions {
  // 0: the output of ln0; i: the residual stream after block i; n_layer + 1 or kFinalLayer: ln_out
  // of the last block. Empty: final, whatever the folder recommends; it has to be with a policy.
  std::vector<size_t> layers = {};
  Pooling pooling = Pooling::kMean;
  Norm norm = Norm::kNone;
  Scan scan = Scan::kForward;
  std::optional<Token> bos = {};  // put in front of every text; it is pooled like any token
  // Of Pooling::kEos: put behind every text that does not end in it, and pooled where it stands.
  // nullopt: nothing is put there, and the last token is pooled.
  std::optional<Token> eos = kEosToken;
  // Applied to what is pooled, which has to be kEos at the final layer alone.
  std::optional<HeadKind> head = {};
  bool normalize = false;  // every vector to length 1; zeros stay zeros
  // The first so many numbers of every vector, before normalize: at least 1, at most what the vector
  // has. nullopt: all of them.
  std::optional<size_t> dimensions = {};
  // A policy file brings the pooling, norm, scan, BOS and EOS that it was fitted with: leave those
  // at their defaults, or set them to the same.
  Policy depth = {};
  EmptyText empty = EmptyText::kError;
  bool allow_nonfinite = false;  // else a vector with NaN or infinity is an Error
  // Tokens in one packed batch, 1 to 1048576. Changes memory and speed, and no bit of a result.
  size_t batch_tokens = 1024;
  // Looked at between batches. Once asked to stop, the call throws Stopped; what a sink had until
  // then stays valid.
  std::stop_token stop = {};
  // Called between batches, on the calling thread, with the number of texts that are done. What it
  // throws ends the call and reaches the caller.
  std::function<void(size_t)> progress = {};
};

}  // namespace fathom
