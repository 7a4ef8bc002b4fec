// SPDX-License-Identifier: Apache-2.0
// Model: RWKV from a checkpoint, ready to run block by block.
//
//   x = rows of the embedding, through ln0    Model::embed            layer 0 (ln0 may be fused)
//   x = x + time_mix(ln1(x))                  Model::run_time_mix
//   x = x + channel_mix(ln2(x))               Model::run_channel_mix  layer i after block i
//   y = ln_out(x)                             Model::norm_out         "final" after the last block
//
// Immutable after open(): share it between threads, each with its own Workspace.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "kernels/backend.h"
#include "model/adapter.h"
#include "model/config.h"
#include "model/names.h"
#include "model/weights.h"
#include "model/workspace.h"

namespace fathom {

// The cache of packed weights between runs: see weight_cache.h.
struct CacheOptions {
  std::filesystem::path folder;  // made if missing; empty: no cache
  bool verify = false;           // check every checksum of a file
};

struct ModelOptions {
  std::optional<Compute> compute = Compute::kF32;  // nullopt: by CPU and memory, compute_choice.h
  bool small_as_asked = false;                     // false: models with d_model < 256 run in f32
  size_t n_thread = 0;                             // for packing; 0: available_threads()
  std::string prefix = {};                         // only tensors under this prefix ("reranker.")
  std::optional<float> ln_x_eps = {};              // overrides the choice of config_of()
  std::optional<float> ln_eps = {};                // the same of the layer norms
  CacheOptions cache = {};
  // Number of blocks that will run in a model of these dimensions, 0 to n_layer. Matrices of deeper
  // blocks are checked, but not packed. Empty: all run. May throw UsageError.
  std::function<size_t(const Config&)> n_block = {};
  bool exceed_memory = false;  // open even if the weights exceed the available memory
  std::optional<size_t> available_bytes = {};  // for packed weights [available_memory()]
  std::filesystem::path adapter = {};          // a folder or file to be merged: see adapter.h
  std::optional<double> adapter_alpha = {};    // of an adapter without adapter_config.json
  // Shell patterns of stored names: these tensors are ignored as if they were missing.
  std::vector<std::string> ignore_tensors = {};
};

// What the files hold and how they were read, for `fathom info`.
struct ModelInfo {
  TensorLayout layout = TensorLayout::kBlinkDl;
  size_t n_parameter = 0;    // in use: blocks, embedding, norms and head
  size_t table_bytes = 0;    // v7a: all blocks' tables, as stored; they stay mapped
  std::string stored_dtype;  // of the large matrices, e.g. "BF16", "Q5_1, F32"
  std::string ln_x_eps_reason;
  std::vector<std::string> notes;  // irregularities that were handled, one sentence each
  // Events of this opening (a fallback, the cache), for standard error.
  std::vector<std::string> messages;
  std::vector<std::string> ignored;  // tensors that nothing uses
  // The reason why Model::open refuses the file, from the tensors in `ignored`; "": it is accepted.
  std::string refusal = {};
  std::vector<AdapterInfo> adapters = {};  // merged
  std::string adapter_not_merged = {};     // a file beside the weights; "": there is none
  std::vector<std::string> ignored_by_user =
      {};  // tensors that ModelOptions::ignore_tensors left out
  std::vector<std::string> ignore_patterns = {};  // the patterns that matched
};

// Rows of a packed batch: sequence s is rows [offsets[s], offsets[s + 1]).
struct Rows {
  std::span<const size_t> offsets;  // (n_sequence + 1), offsets[0] == 0
  // (n_sequence) state before and after; nullptr entry or empty span: starts empty, not kept.
  std::span<State* const> states;
  // (n_token, d_att) with room for padded rows, v7 only: block 0 writes v_first, the other blocks
  // read it. No data: the workspace's own, which the next batch overwrites.
  Matrix<float> v_first = {};
  // (n_token): ids that channel mix of v7a looks up. Other versions do not read them.
  std::span<const uint32_t> tokens = {};

  size_t n_sequence() const { return offsets.size() - 1; }
  size_t n_token() const { return offsets.back(); }
};

// Reads the dimensions without packing anything, and fills `info`. Throws Error.
Config config_of(Names& names, const Checkpoint& checkpoint, const ModelOptions& options,
                 ModelInfo& info);

class Model {
 public:
  // Throws Error naming the file and the tensor: missing, of another shape, or of a refused
  // version. Throws Error if the packed weights need more memory than is available. Weights stay
  // mapped until they are packed, one at a time; their pages are then dropped.
  static Model open(const std::filesystem::path& path, const Backend& backend,
                    const ModelOptions& options = {});
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  ~Model();

  const Config& config() const;
  const ModelInfo& info() const;
  const Checkpoint& checkpoint() const;
  // The weights of the file, with adapters added and without ignored tensors. The model must
  // outlive the result.
  Names names() const;
  std::string adapter_hash() const;  // "" without adapters
  const Backend& backend() const;
  Compute compute() const;                 // of the large matrices
  size_t n_block() const;                  // packed blocks, from the first: only these run
  size_t weight_bytes() const;             // all packed blocks, and v7a's tables in the file
  size_t block_bytes(size_t layer) const;  // one block, in memory, and its table
  // The same by sublayers, each with its layer norm; the table belongs to channel mix. v_first: of
  // v7's block 0, what make_v_first() reads, a part of time_mix; 0 of any other.
  struct SublayerBytes {
    size_t time_mix = 0, channel_mix = 0, v_first = 0;
    size_t total() const { return time_mix + channel_mix; }
  };
  SublayerBytes sublayer_bytes(size_t layer) const;
  // An empty state, or the file's initial state (att.time_state) if it has one.
  State initial_state() const;
  bool has_initial_state() const;

  // x (tokens.size(), C) = ln0(embedding rows), or the rows themselves if they are stored
  // normalised (Config::has_ln0). Throws Error for an id >= n_vocab.
  void embed(std::span<const uint32_t> tokens, Matrix<float> x, Workspace& work) const;
  // In place on x: (rows.n_token(), C) with room for padded rows; layer in [0, n_block()).
  void run_block(size_t layer, const Rows& rows, Matrix<float> x, Workspace& work) const;
  void run_time_mix(size_t layer, const Rows& rows, Matrix<float> x, Workspace& work) const;
  void run_channel_mix(size_t layer, const Rows& rows, Matrix<float> x, Workspace& work) const;
  // For sequences that skip block 0's time mix: computes only v_first, into rows.v_first, which all
  // later blocks read. v7 only. The states' row of that time mix advances as if it had run.
  void make_v_first(const Rows& rows, Matrix<const float> x, Workspace& work) const;
  // y = ln_out(x); y may be x.
  void norm_out(Matrix<const float> x, Matrix<float> y, Workspace& work) const;
  // The output head, packed for logits(). Embeddings do not need it. Throws Error if the model has
  // none.
  std::unique_ptr<PackedWeight> pack_head(Workspace& work) const;
  // logits (T, n_vocab), with room for padded rows, of y = ln_out(x): (T, C).
  void logits(const PackedWeight& head, Matrix<const float> y, Matrix<float> out,
              Workspace& work) const;

 private:
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fathom
