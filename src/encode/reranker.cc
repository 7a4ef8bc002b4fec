// SPDX-License-Identifier: Apache-2.0
#include "encode/reranker.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "encode/batch.h"
#include "encode/head_weights.h"
#include "encode/nonfinite.h"
#include "encode/pooling.h"

namespace fathom {
namespace {

// Memory for documents' states, and as much again for what the queries make of them.
constexpr size_t kDocumentStateBytes = size_t{256} << 20;

std::string file_of(const Checkpoint& checkpoint) { return checkpoint.files().front().string(); }

const Tensor& find_part(const Checkpoint& checkpoint, const std::string& part,
                        const std::vector<size_t>& shape) {
  const std::string name = kRerankerPrefix + part;
  return find_weight(checkpoint, name, shape, concat("no reranker: looked for ", name));
}

// reranker_layer_idx as the file has it: a list, or a tensor; empty if it has none.
std::vector<int64_t> listed_layers(const Checkpoint& checkpoint) {
  constexpr const char* kName = "reranker_layer_idx";
  std::vector<int64_t> listed;
  if (const Tensor* t = checkpoint.find(kName)) {
    for (float v : read_values(*t)) {
      FATHOM_REQUIRE(std::abs(v) < 1e6f, file_of(checkpoint), ": ", kName,
                     ": expected layer numbers, got ", v);
      listed.push_back(static_cast<int64_t>(v));
    }
    return listed;
  }
  const Json& extras = checkpoint.extras();
  if (!extras.is_object() || !extras.contains(kName) || extras[kName].is_null()) return listed;
  const Json& list = extras[kName];
  const bool fits = list.is_array() &&
                    std::ranges::all_of(list, [](const Json& v) { return v.is_number_integer(); });
  FATHOM_REQUIRE(fits, file_of(checkpoint), ": ", kName, ": expected a list of integers, got ",
                 dump_json(list).substr(0, 60));
  for (const Json& v : list) listed.push_back(v.get<int64_t>());
  return listed;
}

std::vector<size_t> choose_layers(const Checkpoint& checkpoint, size_t n_block, size_t n_backbone) {
  std::vector<int64_t> listed = listed_layers(checkpoint);
  if (listed.empty())
    for (size_t i = 0; i < n_backbone; ++i) listed.push_back(static_cast<int64_t>(i));
  FATHOM_REQUIRE(listed.size() == n_block, file_of(checkpoint), ": the reranker has ", n_block,
                 " blocks; expected ", listed.size(),
                 ", one for each layer of the backbone that it reads");
  std::vector<size_t> layers;
  const auto n = static_cast<int64_t>(n_backbone);
  for (int64_t layer : listed) {
    FATHOM_REQUIRE(layer >= -n && layer < n, file_of(checkpoint),
                   ": reranker_layer_idx: expected a layer of the backbone's ", n, ", got ", layer);
    layers.push_back(static_cast<size_t>(layer < 0 ? layer + n : layer));
  }
  return layers;
}

void require_fit(const Model& reranker, const Model& backbone) {
  const Config &r = reranker.config(), &b = backbone.config();
  const std::string file = file_of(reranker.checkpoint());
  FATHOM_REQUIRE(r.can_rerank_states() && b.can_rerank_states(), file,
                 ": expected a reranker and a backbone of RWKV-7, got RWKV-", name_of(r.version),
                 " and RWKV-", name_of(b.version));
  FATHOM_REQUIRE(r.d_att == b.d_att && r.head_size == b.head_size, file, ": reads states of ",
                 r.n_head(), " heads of ", r.head_size, "; the backbone ",
                 file_of(backbone.checkpoint()), " has ", b.n_head(), " heads of ", b.head_size);
  FATHOM_REQUIRE(b.n_vocab > kEosToken, file_of(backbone.checkpoint()), ": n_vocab is ", b.n_vocab,
                 "; expected a backbone with token ", kEosToken, ", the end of text");
}

size_t state_bytes(const Config& c) {
  return sizeof(float) * c.n_layer * (2 * c.d_model + c.wkv_state_size());
}

// The first n_block blocks of the model over packed sequences, each on its state. A sequence that
// is longer than `batch_tokens` is alone in its batch and runs in pieces.
void advance(const Model& model, size_t n_block, const Batch& batch, std::span<State> states,
             size_t batch_tokens, Workspace& work) {
  std::vector<State*> state_of;
  for (State& s : states) state_of.push_back(&s);
  for (size_t begin = 0; begin < batch.n_token();) {
    const size_t end =
        batch.size() == 1 ? std::min(begin + batch_tokens, batch.n_token()) : batch.n_token();
    const size_t piece[] = {0, end - begin};
    const std::span<const Token> tokens = batch.tokens().subspan(begin, end - begin);
    const Rows rows{
        batch.size() == 1 ? std::span<const size_t>(piece) : batch.offsets(), state_of, {}, tokens};
    const auto x = work.matrix(Workspace::kResidual, end - begin, model.config().d_model);
    model.embed(tokens, x, work);
    for (size_t layer = 0; layer < n_block; ++layer) model.run_block(layer, rows, x, work);
    begin = end;
    work.between();
  }
}

}  // namespace

bool is_reranker(const Checkpoint& checkpoint) {
  return checkpoint.find(concat(kRerankerPrefix, "head.0.weight")) != nullptr;
}

void account_for_reranker(const Checkpoint& checkpoint, ModelInfo& info) {
  for (const char* part : {"head.0.weight", "head.0.bias", "head.2.weight"})
    std::erase(info.ignored, concat(kRerankerPrefix, part));
  std::string layers;
  for (int64_t layer : listed_layers(checkpoint))
    layers += concat(layers.empty() ? "blocks " : ", ", layer);
  info.notes.push_back(concat("a state reranker, for fathom rerank: reads the states of ",
                              layers.empty() ? "all blocks" : layers,
                              " of its backbone, counted from 0"));
}

std::string RerankPrompt::document(std::string_view text) const {
  return concat("Instruct: ", instruct, "\nDocument: ", text, "\n");
}
std::string RerankPrompt::query(std::string_view text) const { return concat("Query: ", text); }

Reranker::Reranker(const Model& backbone, Model model)
    : backbone_(backbone), model_(std::move(model)) {}

Reranker Reranker::open(const std::filesystem::path& path, const Model& backbone,
                        ModelOptions options) {
  const Checkpoint file = Checkpoint::open(path);
  FATHOM_REQUIRE(is_reranker(file), path.string(), ": no reranker: looked for ", kRerankerPrefix,
                 "head.0.weight");
  options.prefix = kRerankerPrefix;
  options.adapter.clear();  // it is the backbone's
  Reranker r(backbone, Model::open(path, backbone.backend(), options));
  require_fit(r.model_, backbone);
  const size_t c = r.model_.config().d_model;
  r.layers_ = choose_layers(file, r.model_.config().n_layer, backbone.config().n_layer);
  r.dense_ = pack_f32(backbone.backend(), find_part(file, "head.0.weight", {c, c}));
  r.dense_bias_ = read_values(find_part(file, "head.0.bias", {c}));
  r.out_weight_ = read_values(find_part(file, "head.2.weight", {1, c}));
  return r;
}

void Reranker::score(std::span<State> states, std::span<float> out, Workspace& work) const {
  using W = Workspace;
  FATHOM_ASSERT(out.size() == states.size());
  const size_t n = states.size(), c = model_.config().d_model;
  const Backend& backend = model_.backend();
  std::vector<State> own(n, State(model_.config()));
  std::vector<State*> state_of;
  std::vector<size_t> offsets = {0};
  for (size_t s = 0; s < n; ++s) {
    for (size_t i = 0; i < layers_.size(); ++i)
      std::ranges::copy(states[s].wkv(layers_[i]), own[s].wkv(i).begin());
    state_of.push_back(&own[s]);
    offsets.push_back(s + 1);
  }
  const std::vector<uint32_t> tokens(n, 0);
  const auto x = work.matrix(W::kResidual, n, c);
  model_.embed(tokens, x, work);
  for (size_t i = 0; i < layers_.size(); ++i)
    model_.run_block(i, {offsets, state_of, {}, tokens}, x, work);
  model_.norm_out(x, x, work);

  const Operand left = work.operand(W::kMixed0, n, c, backend.operand_type(Compute::kF32));
  backend.convert(work.pool(), x, Activation::kNone, left);
  const auto hidden = work.matrix(W::kHidden, n, c);
  backend.matmul(work.pool(), left, *dense_,
                 {.y = hidden, .bias = dense_bias_, .activation = Activation::kTanh});
  for (size_t s = 0; s < n; ++s) {
    double logit = 0;
    for (size_t i = 0; i < c; ++i) logit += double{hidden.row(s)[i]} * out_weight_[i];
    out[s] = static_cast<float>(1 / (1 + std::exp(-logit)));
  }
}

std::vector<float> Reranker::rerank(std::span<const std::vector<Token>> documents,
                                    std::span<const std::vector<Token>> queries,
                                    size_t batch_tokens, Workspace& work,
                                    const std::function<void(size_t)>& progress) const {
  FATHOM_ASSERT(batch_tokens > 0);
  const size_t n_document = documents.size();
  const size_t max_states =
      std::max<size_t>(1, kDocumentStateBytes / state_bytes(backbone_.config()));
  const size_t n_block = *std::max_element(layers_.begin(), layers_.end()) + 1;
  std::vector<float> scores(queries.size() * n_document);
  Batch batch;
  for (size_t begin = 0; begin < n_document; begin += batch.size()) {
    batch.clear();
    for (size_t i = begin; i < n_document && batch.size() < max_states; ++i) {
      if (batch.size() > 0 && batch.n_token() + documents[i].size() > batch_tokens) break;
      batch.add(documents[i]);
    }
    std::vector<State> states(batch.size(), backbone_.initial_state());
    advance(backbone_, n_block, batch, states, batch_tokens, work);
    score_queries(queries, states, begin, n_document, batch_tokens, scores, work);
    if (progress) progress(begin + batch.size());
  }
  return scores;
}

void Reranker::score_queries(std::span<const std::vector<Token>> queries,
                             std::span<const State> documents, size_t first_document,
                             size_t n_document, size_t batch_tokens, std::span<float> scores,
                             Workspace& work) const {
  const size_t n_block = *std::max_element(layers_.begin(), layers_.end()) + 1;
  Batch batch;
  for (size_t q = 0; q < queries.size(); ++q) {
    std::vector<Token> query = queries[q];
    query.push_back(kEosToken);
    const size_t group = std::max<size_t>(1, batch_tokens / query.size());
    for (size_t begin = 0; begin < documents.size(); begin += group) {
      const size_t n = std::min(group, documents.size() - begin);
      batch.clear();
      for (size_t i = 0; i < n; ++i) batch.add(query);
      const auto part = documents.subspan(begin, n);
      std::vector<State> states(part.begin(), part.end());
      advance(backbone_, n_block, batch, states, batch_tokens, work);
      score(states, scores.subspan(q * n_document + first_document + begin, n), work);
    }
  }
}

void require_finite_scores(std::span<const float> scores,
                           std::span<const std::vector<Token>> documents,
                           std::span<const std::vector<Token>> queries,
                           const std::function<std::string(size_t)>& place, const Model& backbone,
                           Workspace& work) {
  const auto bad = std::ranges::find_if(scores, [](float s) { return !std::isfinite(s); });
  if (bad == scores.end()) return;
  const size_t at = static_cast<size_t>(bad - scores.begin()), q = at / documents.size(),
               d = at % documents.size();
  std::vector<Token> ids = documents[d];
  ids.insert(ids.end(), queries[q].begin(), queries[q].end());
  ids.push_back(kEosToken);
  const Encoder encoder(backbone, {Reading{.layers = {backbone.config().n_layer}}});
  throw Error(concat(place(d), ", query ", q + 1, ": the score is not finite; ",
                     blame_nonfinite(encoder.first_nonfinite_layer({&ids, 1}, work),
                                     "the backbone's state or the reranker")));
}

}  // namespace fathom
