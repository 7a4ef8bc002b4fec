// SPDX-License-Identifier: Apache-2.0
#include "model/inspect.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "model/unused.h"

namespace fathom {
namespace {

std::string full_name(std::string_view name, std::optional<size_t> block) {
  return block ? concat("blocks.", *block, ".", name) : std::string(name);
}

// Looks weights up and checks their shapes; counts.
struct Inspector {
  Names& names;
  const Config& config;
  size_t block = 0;
  size_t n_parameter = 0;
  std::set<std::string> dtypes = {};

  void vector(std::string_view name, size_t size, std::optional<size_t> in_block) {
    const SourceWeight w = names.get(name, in_block);
    const size_t n = w.rows() * w.cols();
    FATHOM_REQUIRE(n == size, full_name(name, in_block), ": expected ", size, " elements, got ", n);
    if (names.stored(name, in_block)) n_parameter += size;  // not the zeros of an absent bias
  }
  void matrix(std::string_view name, size_t n_out, size_t n_in, std::optional<size_t> in_block) {
    const SourceWeight w = names.get(name, in_block);
    FATHOM_REQUIRE(w.rows() == n_out && w.cols() == n_in, full_name(name, in_block), ": expected (",
                   n_out, ", ", n_in, ") as (out, in), got (", w.rows(), ", ", w.cols(), ")");
    n_parameter += n_out * n_in;
    if (!is_low_rank(name) && name != "ffn.s_emb.weight")
      for (const Tensor& t : w.parts)
        dtypes.insert(
            concat(name_of(t.dtype), w.scheme.empty() ? "" : concat(" (", w.scheme, ")")));
  }
  void operator()(const char* name, Vec&, size_t size) {
    const bool bonus = std::string_view(name) == "att.time_faaaa";
    vector(bonus ? bonus_name(names, block) : name, size, block);
  }
  void operator()(const char* name, Linear&, size_t n_out, size_t n_in) {
    matrix(name, n_out, n_in, block);
  }
};

void note_oddities(Names& names, const Checkpoint& checkpoint, const Config& c, ModelInfo& info) {
  if (const size_t every = rescale_every(checkpoint, c.version); every > 0 && c.n_layer > every)
    info.notes.push_back(concat("undid the rescale by 2 every ", every,
                                " layers that the file folds into att.output and ffn.value"));
  if (names.has("att.time_state", 0) && c.version != Version::kV4) {
    for (size_t i = 0; i < c.n_layer; ++i) {
      const SourceWeight s = names.get("att.time_state", i);
      FATHOM_REQUIRE(s.rows() * s.cols() == c.wkv_state_size(), full_name("att.time_state", i),
                     ": expected ", c.wkv_state_size(), " elements, got ", s.rows() * s.cols());
    }
    info.notes.push_back("att.time_state is the initial state of every sequence");
  }
  if (c.version == Version::kV7 && names.has("att.v0", 0))
    info.notes.push_back("v0, v1, v2 of block 0 are ignored: block 0 defines v_first");
  if (!c.has_ln0)
    info.notes.push_back(
        "ln0 is fused into the embedding (config.json): layer 0 is the looked-up row itself");
  if (!names.has_norm_bias())
    info.notes.push_back("the layer norms have no bias (config.json: norm_bias false)");
  if (names.has_tied_head())
    info.notes.push_back("the output head is the embedding (config.json: tie_word_embeddings)");
  if (c.deep_embed)
    info.notes.push_back(
        concat("DeepEmbed: each block reads a row of ", c.deep_embed.row(),
               " numbers a token from its table in the file",
               c.deep_embed.from_embedding ? ", and adds what s_emb_x makes of ln0's row" : ""));
  if (!c.has_head) info.notes.push_back("no output head: embeddings only, no logits");
}

}  // namespace

bool is_low_rank(std::string_view name) {
  static const std::set<std::string_view> kLora = {"att.time_maa_w1",
                                                   "att.time_maa_w2.w",
                                                   "att.time_maa_w2.k",
                                                   "att.time_maa_w2.v",
                                                   "att.time_maa_w2.r",
                                                   "att.time_maa_w2.g",
                                                   "att.time_decay_w1",
                                                   "att.time_decay_w2",
                                                   "att.w1",
                                                   "att.w2",
                                                   "att.a1",
                                                   "att.a2",
                                                   "att.v1",
                                                   "att.v2",
                                                   "att.g1",
                                                   "att.g2",
                                                   "ffn.s1",
                                                   "ffn.s2",
                                                   "ffn.s_emb_x.weight"};
  return kLora.count(name) > 0;
}

const char* bonus_name(const Names& names, size_t block) {
  const bool has_first = names.has("att.time_first", block);
  return has_first && !names.has("att.time_faaaa", block) ? "att.time_first" : "att.time_faaaa";
}

Compute lora_compute_for(const Backend& backend, Compute compute) {
  if (compute != Compute::kInt8) return compute;
  return backend.supports(Compute::kBF16) ? Compute::kBF16 : Compute::kF32;
}

size_t rescale_every(const Checkpoint& checkpoint, Version version) {
  if (checkpoint.format() != FileFormat::kGguf || version != Version::kV6) return 0;
  const auto it = checkpoint.metadata().find("rwkv6.rescale_every_n_layers");
  if (it == checkpoint.metadata().end()) return 0;
  const auto* value = std::get_if<uint64_t>(&it->second);
  FATHOM_REQUIRE(value && *value <= 1000000, "rwkv6.rescale_every_n_layers: expected a count");
  return *value;
}

Config inspect(Names& names, const Checkpoint& checkpoint, const ModelOptions& options,
               ModelInfo& info) {
  info.notes = checkpoint.notes();
  const Config c = config_of(names, checkpoint, options, info);
  Inspector look{names, c};
  look.matrix("emb.weight", c.n_vocab, c.d_model, std::nullopt);
  look.dtypes.clear();
  for (const char* norm : {"ln0", "ln_out"}) {
    if (!c.has_ln0 && norm == std::string_view("ln0")) continue;
    for (const char* part : {".weight", ".bias"})
      look.vector(std::string(norm) + part, c.d_model, std::nullopt);
  }
  for (look.block = 0; look.block < c.n_layer; ++look.block) {
    Block empty = empty_block(c.version);
    for_each_weight(empty, c, look.block, look);
    if (!c.deep_embed) continue;
    look.matrix("ffn.s_emb.weight", c.n_vocab, c.deep_embed.row(), look.block);
    info.table_bytes += deep_table_bytes(names, c, look.block);
  }
  const std::set<std::string> of_blocks = look.dtypes;
  if (c.has_head && !names.has_tied_head())
    look.matrix("head.weight", c.n_vocab, c.d_model, std::nullopt);
  note_oddities(names, checkpoint, c, info);
  info.n_parameter = look.n_parameter;
  for (const std::string& dtype : of_blocks)
    info.stored_dtype += (info.stored_dtype.empty() ? "" : ", ") + dtype;
  info.ignored = names.unused();
  return c;
}

void account_for_changes(const Names& names, const Checkpoint& checkpoint, const Adapters& adapters,
                         const ModelOptions& options, ModelInfo& info) {
  info.refusal = refusal_of_unused(names, options.prefix);
  info.adapters = adapters.info();
  for (const AdapterInfo& a : info.adapters)
    info.notes.push_back(concat("merged the LoRA adapter ", a.source, ": ", a.n_weight,
                                " matrices, rank ", a.rank, ", alpha ", a.alpha));
  info.ignored_by_user = names.left_out();
  for (const std::string& pattern : options.ignore_tensors) {
    const bool matches = std::ranges::any_of(info.ignored_by_user, [&](const std::string& name) {
      return matches_any(name, std::span(&pattern, 1));
    });
    if (matches)
      info.ignore_patterns.push_back(pattern);
    else
      info.messages.push_back(concat("`ignore_tensors` '", pattern, "': matches no tensor"));
  }
  if (!info.ignored_by_user.empty())
    info.notes.push_back(concat("`ignore_tensors` left out ", info.ignored_by_user.size(),
                                " tensors: ", first_three(info.ignored_by_user)));
  // An adapter beside the weights is news, unless it is the one that was merged.
  const std::string beside = options.prefix.empty() ? adapter_beside(checkpoint) : "";
  if (beside.empty() || !info.adapters.empty()) return;
  info.adapter_not_merged = beside;
  const std::string note = concat(beside, " lies beside the weights and is not merged (`adapter`)");
  info.notes.push_back(note);
  info.messages.push_back(note);
}

size_t deep_table_bytes(Names& names, const Config& config, size_t block) {
  if (!config.deep_embed) return 0;
  size_t bytes = 0;
  for (const Tensor& t : names.get("ffn.s_emb.weight", block).parts)
    bytes += tensor_bytes(t.name, t.dtype, t.rows(), t.cols());
  return bytes;
}

size_t packed_weight_bytes(const Config& config, Compute compute, Compute lora_compute,
                           size_t n_block) {
  struct Sum {
    size_t (*width)(Compute);
    Compute compute, lora_compute;
    size_t bytes = 0;
    void operator()(const char*, Vec&, size_t size) { bytes += size * sizeof(float); }
    void operator()(const char* name, Linear&, size_t n_out, size_t n_in) {
      bytes += n_out * n_in * width(is_low_rank(name) ? lora_compute : compute);
    }
  };
  Sum sum{[](Compute kind) -> size_t {
            return kind == Compute::kF32 ? 4 : kind == Compute::kBF16 ? 2 : 1;
          },
          compute, lora_compute};
  Block empty = empty_block(config.version);
  for (size_t i = 0; i < n_block; ++i) for_each_weight(empty, config, i, sum);
  return sum.bytes;
}

}  // namespace fathom
