// SPDX-License-Identifier: Apache-2.0
#include "model/model.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "base/error.h"
#include "model/block.h"
#include "model/compute_choice.h"
#include "model/inspect.h"
#include "model/load.h"
#include "model/weight_cache.h"

namespace fathom {

struct Model::Impl {
  Impl(Checkpoint c, const Backend& b) : checkpoint(std::move(c)), backend(b) {}

  Checkpoint checkpoint;
  Adapters adapters;
  std::string prefix;
  std::vector<std::string> ignore_tensors;
  const Backend& backend;
  Config config;
  ModelInfo info;
  Compute compute = Compute::kF32, lora_compute = Compute::kF32;
  SourceWeight embedding;            // (n_vocab, C), stays mapped
  SourceWeight head;                 // (n_vocab, C), stays mapped; no parts if absent
  std::optional<WeightCache> cache;  // before the blocks, whose weights may lie in it
  LayerNorm ln0, ln_out;
  std::vector<Block> blocks;  // (n_layer); those from n_block on have no matrices
  size_t n_block = 0;
  std::vector<SourceWeight> deep_tables;  // v7a: (n_block) each (n_vocab, I O), stay mapped
  std::vector<SublayerBytes> block_bytes;
  std::vector<std::vector<float>> initial_wkv;  // (n_layer) each (H, N, N); empty if none

  Names names() const {
    Names names(checkpoint, prefix, ignore_tensors);
    adapters.merge_into(names);
    return names;
  }
  // What makes other weights of the same files.
  CacheChanges changes() const { return {adapters.hash(), ignore_tensors}; }

  SublayerContext sublayer(size_t layer, const Rows& rows, Workspace& work,
                           std::span<const uint32_t> compensated) const {
    return {backend, config, work, layer, rows, compensated};
  }
};

namespace {

// The kind of product, with what there is to say about it.
Compute choose(const ComputeFacts& facts, const ModelOptions& options, ModelInfo& info) {
  const ComputeChoice choice = choose_compute(options.compute, facts);
  if (!options.compute && is_small(facts)) {
    // What one would expect without being told.
    info.notes.push_back(concat("products in f32: ", choice.why));
  } else if (!options.compute) {
    info.messages.push_back(concat("products in ", name_of(choice.compute), ": ", choice.why));
  } else if (!choice.why.empty()) {
    info.messages.push_back(choice.why);
  }
  info.notes.insert(info.notes.end(), info.messages.begin(), info.messages.end());
  return choice.compute;
}

// The kernel would end the process in the middle of its work.
void require_memory(Compute compute, const ComputeFacts& facts, const ModelOptions& options,
                    ModelInfo& info) {
  const std::string lack = lack_of_memory(compute, facts);
  if (lack.empty()) return;
  FATHOM_REQUIRE(options.exceed_memory, lack,
                 ". Expected a smaller `dtype`, fewer `layers` or `exceed_memory` to go on");
  info.messages.push_back(concat(lack, ": going on, as `exceed_memory` asks"));
}

Model::SublayerBytes packed_bytes(Block& block, const Config& config, size_t index) {
  struct Sum {
    Model::SublayerBytes* sum;
    bool has_v_first;
    void operator()(const char* name, Vec& vec, size_t) const { add(name, vec.values.size() * 4); }
    void operator()(const char* name, Linear& l, size_t, size_t) const {
      if (l.packed) add(name, l.packed->bytes);
    }
    void add(std::string_view name, size_t bytes) const {
      const bool time_mix = name.starts_with("att.") || name.starts_with("ln1.");
      (time_mix ? sum->time_mix : sum->channel_mix) += bytes;
      if (has_v_first &&
          (name.starts_with("ln1.") || name == "att.x_v" || name == "att.value.weight"))
        sum->v_first += bytes;
    }
  };
  Model::SublayerBytes bytes;
  for_each_weight(block, config, index, Sum{&bytes, config.version == Version::kV7 && index == 0});
  return bytes;
}

// att.time_state, (H, N, N) in every block of a state-tuned model. BlinkDL's training code keeps it
// as (value, key) in every version, web-rwkv transposed; State is (key, value) up to v6.
std::vector<std::vector<float>> read_initial_state(Names& names, const Config& c) {
  std::vector<std::vector<float>> state;
  if (c.version == Version::kV4 || !names.has("att.time_state", 0)) return state;
  for (size_t i = 0; i < c.n_layer; ++i) {
    const SourceWeight s = names.get("att.time_state", i);
    state.emplace_back(c.wkv_state_size());
    read_rows(s, 0, s.rows(), state.back().data());
    const bool stored_key_value = names.layout() == TensorLayout::kWebRwkv;
    if (stored_key_value != (c.version != Version::kV7)) transpose_heads(state.back(), c.head_size);
  }
  return state;
}

// What the token shift of time mix finds in front of the next piece.
void keep_last_rows(const Rows& rows, Matrix<const float> h, size_t layer) {
  for (size_t s = 0; s < rows.states.size(); ++s)
    if (State* state = rows.states[s])
      std::ranges::copy(h.row(rows.offsets[s + 1] - 1), state->att_shift(layer).begin());
}

}  // namespace

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

Model Model::open(const std::filesystem::path& path, const Backend& backend,
                  const ModelOptions& options) {
  auto impl = std::make_unique<Impl>(Checkpoint::open(path), backend);
  try {
    impl->prefix = options.prefix;
    impl->ignore_tensors = options.ignore_tensors;
    impl->adapters = Adapters::open(impl->checkpoint, options);
    Names names = impl->names();
    ModelInfo& info = impl->info;
    const Config c = impl->config = inspect(names, impl->checkpoint, options, info);
    account_for_changes(names, impl->checkpoint, impl->adapters, options, info);
    FATHOM_REQUIRE(info.refusal.empty(), info.refusal);
    impl->n_block = blocks_to_pack(c, options);
    const ComputeFacts facts = compute_facts(backend, c, options);
    impl->compute = choose(facts, options, info);
    impl->lora_compute = lora_compute_for(backend, impl->compute);
    ThreadPool pool(options.n_thread ? options.n_thread : available_threads());
    WeightCache& cache = impl->cache.emplace(options.cache, impl->checkpoint, backend,
                                             impl->compute, options.prefix, pool, impl->changes());
    // Mapped weights can be given back.
    if (!cache.is_mapped()) require_memory(impl->compute, facts, options, info);
    BlockLoader loader(names, c, cache, pool, impl->compute, impl->lora_compute,
                       rescale_every(impl->checkpoint, c.version));
    impl->embedding = names.get("emb.weight");
    if (c.has_ln0) impl->ln0 = loader.layer_norm("ln0");
    for (size_t i = 0; i < c.n_layer; ++i) {
      const bool runs = i < impl->n_block;
      impl->blocks.push_back(runs ? loader.load(i) : loader.load_vectors(i));
      impl->block_bytes.push_back(packed_bytes(impl->blocks.back(), c, i));
      if (runs) impl->block_bytes.back().channel_mix += deep_table_bytes(names, c, i);
      if (runs && c.deep_embed) impl->deep_tables.push_back(names.get("ffn.s_emb.weight", i));
    }
    impl->ln_out = loader.layer_norm("ln_out");
    if (c.has_head) impl->head = names.get("head.weight");
    impl->initial_wkv = read_initial_state(names, c);
    cache.save(pool);
    std::ranges::copy(cache.messages(), std::back_inserter(info.messages));
  } catch (const UsageError&) {
    throw;  // of the options, not of the file
  } catch (const Error& e) {
    const std::string file = path.string();
    throw Error(std::string_view(e.what()).starts_with(file) ? e.what()
                                                             : concat(file, ": ", e.what()));
  }
  return Model(std::move(impl));
}

const Config& Model::config() const { return impl_->config; }
const ModelInfo& Model::info() const { return impl_->info; }
const Checkpoint& Model::checkpoint() const { return impl_->checkpoint; }
Names Model::names() const { return impl_->names(); }
std::string Model::adapter_hash() const { return impl_->adapters.hash(); }
const Backend& Model::backend() const { return impl_->backend; }
Compute Model::compute() const { return impl_->compute; }
size_t Model::n_block() const { return impl_->n_block; }
size_t Model::block_bytes(size_t layer) const { return sublayer_bytes(layer).total(); }
Model::SublayerBytes Model::sublayer_bytes(size_t layer) const {
  return impl_->block_bytes.at(layer);
}
size_t Model::weight_bytes() const {
  size_t bytes = 0;
  for (const SublayerBytes& b : impl_->block_bytes) bytes += b.total();
  return bytes;
}

bool Model::has_initial_state() const { return !impl_->initial_wkv.empty(); }

State Model::initial_state() const {
  State state(impl_->config);
  for (size_t i = 0; i < impl_->initial_wkv.size(); ++i)
    std::copy(impl_->initial_wkv[i].begin(), impl_->initial_wkv[i].end(), state.wkv(i).begin());
  return state;
}

void Model::embed(std::span<const uint32_t> tokens, Matrix<float> x, Workspace& work) const {
  const Config& c = impl_->config;
  FATHOM_ASSERT(x.rows() == tokens.size() && x.cols() == c.d_model);
  for (uint32_t id : tokens)
    FATHOM_REQUIRE(id < c.n_vocab, "token id ", id, ": expected an id below ", c.n_vocab,
                   " (the model's n_vocab)");
  look_up(impl_->embedding, tokens, x, work.pool());
  if (c.has_ln0)
    impl_->backend.layer_norm(work.pool(), x, impl_->ln0.weight.span(), impl_->ln0.bias.span(),
                              c.ln_eps, x);
}

void Model::run_block(size_t layer, const Rows& rows, Matrix<float> x, Workspace& work) const {
  run_time_mix(layer, rows, x, work);
  run_channel_mix(layer, rows, x, work);
}

void Model::run_time_mix(size_t layer, const Rows& rows, Matrix<float> x, Workspace& work) const {
  FATHOM_ASSERT(layer < impl_->n_block);
  const Block& block = impl_->blocks[layer];
  const auto h = work.matrix(Workspace::kNormed, x.rows(), x.cols());
  impl_->backend.layer_norm(work.pool(), x, block.ln1.weight.span(), block.ln1.bias.span(),
                            impl_->config.ln_eps, h);
  const std::vector<uint32_t> compensated = first_rows(rows, false, layer);
  const SublayerContext at = impl_->sublayer(layer, rows, work, compensated);
  std::visit([&](const auto& m) { time_mix(m, at, h, x); }, block.time_mix);
  keep_last_rows(rows, h, layer);
}

void Model::make_v_first(const Rows& rows, Matrix<const float> x, Workspace& work) const {
  FATHOM_ASSERT(impl_->n_block > 0);
  const Block& block = impl_->blocks.front();
  const TimeMixV7* const m = std::get_if<TimeMixV7>(&block.time_mix);
  FATHOM_ASSERT(m && rows.v_first.rows() == x.rows());
  const auto h = work.matrix(Workspace::kNormed, x.rows(), x.cols());
  impl_->backend.layer_norm(work.pool(), x, block.ln1.weight.span(), block.ln1.bias.span(),
                            impl_->config.ln_eps, h);
  const std::vector<uint32_t> compensated = first_rows(rows, false, 0);
  fathom::make_v_first(*m, impl_->sublayer(0, rows, work, compensated), h);
  keep_last_rows(rows, h, 0);
}

void Model::run_channel_mix(size_t layer, const Rows& rows, Matrix<float> x,
                            Workspace& work) const {
  FATHOM_ASSERT(layer < impl_->n_block);
  const Block& block = impl_->blocks[layer];
  const auto h = work.matrix(Workspace::kNormed, x.rows(), x.cols());
  impl_->backend.layer_norm(work.pool(), x, block.ln2.weight.span(), block.ln2.bias.span(),
                            impl_->config.ln_eps, h);
  const std::vector<uint32_t> compensated = first_rows(rows, true, layer);
  const SublayerContext at = impl_->sublayer(layer, rows, work, compensated);
  Matrix<const float> factor;
  if (impl_->config.deep_embed) {
    FATHOM_ASSERT(rows.tokens.size() == x.rows());
    Matrix<float> embedded;
    if (impl_->config.deep_embed.from_embedding) {
      embedded = work.matrix(Workspace::kG, x.rows(), x.cols());
      embed(rows.tokens, embedded, work);
    }
    factor = deep_embed(block.channel_mix.deep_embed, at, impl_->deep_tables[layer], h, embedded);
  }
  channel_mix(block.channel_mix, at, h, factor, x);
  for (size_t s = 0; s < rows.states.size(); ++s)
    if (State* state = rows.states[s])
      std::ranges::copy(h.row(rows.offsets[s + 1] - 1), state->ffn_shift(layer).begin());
}

void Model::norm_out(Matrix<const float> x, Matrix<float> y, Workspace& work) const {
  impl_->backend.layer_norm(work.pool(), x, impl_->ln_out.weight.span(), impl_->ln_out.bias.span(),
                            impl_->config.ln_eps, y);
}

std::unique_ptr<PackedWeight> Model::pack_head(Workspace& work) const {
  FATHOM_REQUIRE(impl_->config.has_head, impl_->checkpoint.files().front().string(),
                 ": no head.weight: expected one for logits");
  const SourceWeight& head = impl_->head;
  return impl_->backend.pack(
      work.pool(),
      {head.rows(), head.cols(),
       [&head](size_t begin, size_t end, float* out) { read_rows(head, begin, end, out); }},
      impl_->compute == Compute::kInt8 ? impl_->lora_compute : impl_->compute);
}

void Model::logits(const PackedWeight& head, Matrix<const float> y, Matrix<float> out,
                   Workspace& work) const {
  FATHOM_ASSERT(out.rows() == y.rows() && out.cols() == impl_->config.n_vocab);
  const Operand x = work.operand(Workspace::kMixed0, y.rows(), y.cols(),
                                 impl_->backend.operand_type(head.compute));
  impl_->backend.convert(work.pool(), y, Activation::kNone, x);
  impl_->backend.matmul(work.pool(), x, head, {.y = out});
}

std::span<const float* const> previous_rows(const Rows& rows, bool channel_mix, size_t layer,
                                            std::vector<const float*>& out) {
  out.clear();
  for (State* state : rows.states)
    out.push_back(!state        ? nullptr
                  : channel_mix ? state->ffn_shift(layer).data()
                                : state->att_shift(layer).data());
  return out;
}

std::vector<uint32_t> first_rows(const Rows& rows, bool channel_mix, size_t layer) {
  std::vector<uint32_t> first;
  for (size_t s = 0; s < rows.n_sequence(); ++s) {
    State* const state = rows.states.empty() ? nullptr : rows.states[s];
    const auto before = !state        ? std::span<float>()
                        : channel_mix ? state->ffn_shift(layer)
                                      : state->att_shift(layer);
    if (std::ranges::all_of(before, [](float x) { return x == 0; }))
      first.push_back(static_cast<uint32_t>(rows.offsets[s]));
  }
  return first;
}

std::span<float* const> wkv_states(const Rows& rows, size_t layer, std::vector<float*>& out) {
  out.clear();
  for (State* state : rows.states) out.push_back(state ? state->wkv(layer).data() : nullptr);
  return out;
}

}  // namespace fathom
