// SPDX-License-Identifier: Apache-2.0
#include "encode/encoder.h"

#include <algorithm>
#include <cmath>

namespace fathom {

// Texts whose scans fit one packed batch, or one long scan that runs alone in pieces.
struct Encoder::Job {
  Batch batch;                // one sequence a text
  std::vector<size_t> first;  // (n_sequence) tokens before it are not pooled (echo)
  size_t text = 0;            // index of the first sequence's text
  size_t n_text = 0;          // of all
};

namespace {

// Memory for the carried states of one batch.
constexpr size_t kStateBytes = size_t{256} << 20;

bool scans_twice(const EncodeOptions& options) { return options.scan == Scan::kEcho; }

// One scan of a text; kBoth makes two, all others one.
std::vector<Token> scan_of(std::span<const Token> text, bool reverse,
                           const EncodeOptions& options) {
  const bool eos = options.pooling == Pooling::kEos;
  if (eos && !text.empty() && text.back() == kEosToken) text = text.first(text.size() - 1);
  std::vector<Token> tokens;
  tokens.reserve(2 * (text.size() + 2));
  if (options.bos) tokens.push_back(*options.bos);
  if (reverse)
    tokens.insert(tokens.end(), text.rbegin(), text.rend());
  else
    tokens.insert(tokens.end(), text.begin(), text.end());
  if (eos) tokens.push_back(kEosToken);
  if (scans_twice(options)) {
    const std::vector<Token> once = tokens;
    tokens.insert(tokens.end(), once.begin(), once.end());
  }
  return tokens;
}

void l2_normalize(std::span<float> x) {
  double sum = 0;
  for (float v : x) sum += double{v} * v;
  if (sum == 0) return;
  const double scale = 1 / std::sqrt(sum);
  for (float& v : x) v = static_cast<float>(v * scale);
}

}  // namespace

Norm parse_norm(std::string_view name) {
  for (Norm n : {Norm::kNone, Norm::kLnOut})
    if (name == name_of(n)) return n;
  throw UsageError(concat("--norm: expected none or ln_out, got '", name, "'"));
}
std::string_view name_of(Norm norm) { return norm == Norm::kNone ? "none" : "ln_out"; }

Scan parse_scan(std::string_view name) {
  for (Scan s : {Scan::kForward, Scan::kReverse, Scan::kBoth, Scan::kEcho})
    if (name == name_of(s)) return s;
  throw UsageError(concat("--scan: expected forward, reverse, both or echo, got '", name, "'"));
}
std::string_view name_of(Scan scan) {
  switch (scan) {
    case Scan::kForward:
      return "forward";
    case Scan::kReverse:
      return "reverse";
    case Scan::kBoth:
      return "both";
    case Scan::kEcho:
      return "echo";
  }
  FATHOM_ASSERT(!"unknown Scan");
}

size_t scanned_tokens(size_t n, const EncodeOptions& options) {
  const size_t once = n + (options.bos ? 1 : 0) + (options.pooling == Pooling::kEos ? 1 : 0);
  return options.scan == Scan::kBoth || options.scan == Scan::kEcho ? 2 * once : once;
}

Encoder::Encoder(const Model& model, EncodeOptions options)
    : model_(model), options_(std::move(options)) {
  if (options_.head) head_.emplace(model, *options_.head);
  check_options();
  const Config& config = model.config();
  for (size_t layer : options_.layers)
    deepest_ = std::max(deepest_, std::min(layer, config.n_layer));
  const size_t state_bytes =
      sizeof(float) * config.n_layer * (2 * config.d_model + config.wkv_state_size());
  const bool keeps_states = pools_state(options_.pooling) || model.has_initial_state();
  max_sequences_ = keeps_states ? std::max<size_t>(1, kStateBytes / state_bytes) : SIZE_MAX;
}

void Encoder::check_options() const {
  const size_t n_layer = model_.config().n_layer, n_vocab = model_.config().n_vocab;
  if (options_.layers.empty()) throw UsageError("--layers: expected at least one layer");
  if (options_.batch_tokens == 0) throw UsageError("--batch-tokens: expected at least 1, got 0");
  const bool of_state = pools_state(options_.pooling);
  for (size_t layer : options_.layers) {
    if (layer > final_layer(n_layer))
      throw UsageError(
          concat("layer ", layer, ": the model has layers 0 to ", n_layer, " and final"));
    if (of_state && (layer == 0 || layer > n_layer))
      throw UsageError(concat("--pool ", name_of(options_.pooling), ": layer ",
                              layer_name(layer, n_layer), " has no state; expected --layers 1-",
                              n_layer, " or some of them"));
  }
  if (of_state && options_.norm != Norm::kNone)
    throw UsageError(concat("--norm ", name_of(options_.norm), ": expected none with --pool ",
                            name_of(options_.pooling), ", which pools no rows"));
  if (options_.pooling == Pooling::kEos && n_vocab <= kEosToken)
    throw UsageError(concat("--pool eos: the model's n_vocab is ", n_vocab, "; expected more than ",
                            kEosToken, ", the end of text that EmbeddingRWKV appends"));
  if (options_.head && (options_.pooling != Pooling::kEos || options_.layers.size() != 1 ||
                        options_.layers[0] != final_layer(n_layer)))
    throw UsageError(concat("--head ", name_of(*options_.head),
                            ": reads --pool eos at layer final and nothing else"));
}

EncodeStats Encoder::encode(std::span<const std::vector<Token>> texts, std::span<float> out,
                            Workspace& work, const std::function<void(size_t)>& progress) const {
  FATHOM_ASSERT(out.size() == options_.layers.size() * texts.size() * dim());
  EncodeStats stats;
  const bool both = options_.scan == Scan::kBoth;
  // Pass 0, and for kBoth pass 1: a text is done when all its passes are.
  const auto pass = [&](bool reverse, std::span<float> result, size_t number) {
    Job job;
    job.n_text = texts.size();
    const auto flush = [&] {
      if (job.batch.size() == 0) return;
      run_batch(job, result, work, stats);
      job.text += job.batch.size();
      job.batch.clear();
      job.first.clear();
      if (progress) progress((number * texts.size() + job.text) / (both ? 2 : 1));
    };
    for (size_t i = 0; i < texts.size(); ++i) {
      const std::vector<Token> scan = scan_of(texts[i], reverse, options_);
      FATHOM_REQUIRE(!scan.empty(), "text ", i + 1, ": empty, and no BOS: nothing to embed");
      if (job.batch.n_token() + scan.size() > options_.batch_tokens) flush();
      job.batch.add(scan);
      job.first.push_back(scans_twice(options_) ? scan.size() / 2 : 0);
      if (job.batch.n_token() >= options_.batch_tokens || job.batch.size() >= max_sequences_)
        flush();
    }
    flush();
  };
  pass(options_.scan == Scan::kReverse, out, 0);
  if (both) {
    std::vector<float> reverse(out.size());
    pass(true, reverse, 1);
    for (size_t i = 0; i < out.size(); ++i) out[i] = (out[i] + reverse[i]) / 2;
  }
  if (head_ && !texts.empty()) {
    const Matrix<float> rows(out.data(), texts.size(), dim());
    head_->apply(rows, rows, work);
  }
  if (options_.normalize)
    for (size_t i = 0; i < out.size(); i += dim()) l2_normalize(out.subspan(i, dim()));
  return stats;
}

void Encoder::run_batch(const Job& job, std::span<float> out, Workspace& work,
                        EncodeStats& stats) const {
  const Config& config = model_.config();
  const size_t n_sequence = job.batch.size();
  const bool of_state = pools_state(options_.pooling);
  std::vector<Pool> pools;
  if (!of_state)
    pools.assign(options_.layers.size(), Pool(options_.pooling, n_sequence, config.d_model));
  std::vector<size_t> position(n_sequence, 0);

  // A state only where something is to be carried, or kept: a scan longer than the budget (then it
  // is alone in its batch), a model that starts from a state of its own, pooling of the state.
  std::vector<State> states;
  std::vector<State*> state_of;
  if (job.batch.n_token() > options_.batch_tokens || model_.has_initial_state() || of_state) {
    states.assign(n_sequence, model_.initial_state());
    for (State& s : states) state_of.push_back(&s);
  }

  for (size_t begin = 0; begin < job.batch.n_token();) {
    const size_t end = std::min(begin + options_.batch_tokens, job.batch.n_token());
    const size_t piece_offsets[] = {0, end - begin};
    const bool whole = begin == 0 && end == job.batch.n_token();
    const Rows rows{whole ? job.batch.offsets() : piece_offsets, state_of};
    FATHOM_ASSERT(whole || n_sequence == 1);
    run_piece(job, job.batch.tokens().subspan(begin, end - begin), rows, position, pools, work);
    for (size_t s = 0; s < n_sequence; ++s) position[s] += rows.offsets[s + 1] - rows.offsets[s];
    stats.n_token += rows.n_token();
    stats.n_block_run += deepest_;
    ++stats.n_batch;
    begin = end;
  }
  for (size_t i = 0; i < options_.layers.size(); ++i)
    for (size_t s = 0; s < n_sequence; ++s) {
      const auto row = out.subspan((i * job.n_text + job.text + s) * dim(), dim());
      if (of_state)
        pool_state(options_.pooling, config, states[s].wkv(options_.layers[i] - 1), row);
      else
        pools[i].finish(s, row);
    }
}

void Encoder::run_piece(const Job& job, std::span<const Token> tokens, const Rows& rows,
                        std::span<const size_t> position, std::span<Pool> pools,
                        Workspace& work) const {
  const size_t n_layer = model_.config().n_layer;
  const auto x = work.matrix(Workspace::kResidual, rows.n_token(), model_.config().d_model);
  model_.embed(tokens, x, work);
  for (size_t layer = 0;; ++layer) {
    Matrix<const float> normed;
    for (size_t i = 0; i < pools.size(); ++i) {
      const bool is_final = options_.layers[i] == final_layer(n_layer);
      if (std::min(options_.layers[i], n_layer) != layer) continue;
      const bool wants_norm = is_final || options_.norm == Norm::kLnOut;
      if (wants_norm && normed.rows() == 0) {
        const auto y = work.matrix(Workspace::kPooled, x.rows(), x.cols());
        model_.norm_out(x, y, work);
        normed = y;
      }
      pools[i].add(model_.backend(), work.pool(), wants_norm ? normed : Matrix<const float>(x),
                   rows.offsets, position, job.first, tokens);
    }
    if (layer == deepest_) return;
    model_.run_block(layer, rows, x, work);
  }
}

}  // namespace fathom
