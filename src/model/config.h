// SPDX-License-Identifier: Apache-2.0
// Config: the dimensions of one RWKV model. They are read from the shapes of the tensors, never
// from a file name or another dimension, so they cannot disagree with the weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fathom {

enum class Version : uint8_t { kV4, kV5_0, kV5_1, kV5_2, kV6, kV7 };
inline bool is_v5(Version v) { return v > Version::kV4 && v < Version::kV6; }
std::string_view name_of(Version version);  // "4", "5.0", "5.1", "5.2", "6", "7"

// What a version means to those who use a model. Outside formats/ and model/ nobody compares
// versions: who needs to know what differs asks one of these questions, here or of a Config.

// Layout of a sequence's WKV state in a block.
enum class StateLayout : uint8_t {
  kAverage,   // aa, bb, pp, (3, A): a weighted average aa / bb for each channel; no heads
  kKeyValue,  // S[head][key][value], (H, N, N)
  kValueKey,  // S[head][value][key], (H, N, N)
};
StateLayout state_layout(Version version);

// Whether Hugging Face's hidden_states are the raw embedding, then the outputs of all blocks but
// the last (fla's v7), and not the outputs of all blocks. ln_out's follows in both.
bool hidden_states_begin_with_embedding(Version version);

// Ranks of the low-rank (LoRA) parts; 0 where the version has none.
struct LoraRanks {
  size_t mix = 0;    // v6: each of the five token-shift LoRAs
  size_t decay = 0;  // v6, v7 (w)
  size_t iclr = 0;   // v7: a, the in-context learning rate
  size_t value = 0;  // v7: v, the value residual; 0 if the model has one block
  size_t gate = 0;   // v7: g
};

// v7a's DeepEmbed: every block has a table with one (n_in, n_out) matrix for each token, which
// channel mix reads. 0: none.
struct DeepEmbed {
  size_t n_in = 0, n_out = 0;
  bool from_embedding = false;  // the table has a second part, ln0's rows times ffn.s_emb_x

  explicit operator bool() const { return n_in > 0; }
  size_t row() const { return n_in * n_out; }  // numbers of one token
};

struct Config {
  Version version = Version::kV6;
  size_t n_vocab = 0;    // rows of the embedding, e.g. 65536
  size_t n_layer = 0;    // blocks, e.g. 24
  size_t d_model = 0;    // C: width of the residual stream, e.g. 2048
  size_t d_att = 0;      // A: attention width; d_model in every released model
  size_t d_ffn = 0;      // F: hidden width of channel mix, e.g. 7168
  size_t head_size = 0;  // N: 64 in released models from v5 on; v4: 1, one scalar state per channel
  LoraRanks rank;
  DeepEmbed deep_embed;
  float ln_eps = 1e-5f;     // layer norms ln0, ln1, ln2, ln_out
  float ln_x_eps = 64e-5f;  // per-head group norm after WKV; note: not ln_eps
  bool has_gate = false;    // v5.1 on
  bool has_head = false;    // output head present
  bool has_ln0 = true;      // false: the rows of the embedding are ln0's output already

  size_t n_head() const { return head_size ? d_att / head_size : 0; }
  StateLayout state_layout() const { return fathom::state_layout(version); }
  // Whether the WKV state is a matrix for each head, normed by ln_x; else it is one average a
  // channel, and there are neither heads nor ln_x.
  bool has_heads() const { return state_layout() != StateLayout::kAverage; }
  // Floats of one sequence's WKV state in one block.
  size_t wkv_state_size() const { return has_heads() ? d_att * head_size : 3 * d_att; }
  // Whether block 0 makes values (v_first) that all later blocks read: they have to be there even
  // where its time mix is left out.
  bool needs_v_first() const { return version == Version::kV7; }
  // Whether EmbeddingRWKV's state rerankers are made for, and of, models like this.
  bool can_rerank_states() const { return version == Version::kV7; }
};
std::string_view name_of(const Config& config);  // as of its version; "7a" with DeepEmbed

// The ranks that this version has, by name: "mix", "decay", ... None in v4 and v5.
std::vector<std::pair<std::string_view, size_t>> named_ranks(const Config& config);

}  // namespace fathom
