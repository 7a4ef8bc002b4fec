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

// The scans of one text, each a token sequence; kBoth makes two, all others one.
std::vector<Token> scan_of(std::span<const Token> text, bool reverse, bool twice,
                           std::optional<Token> bos) {
  std::vector<Token> tokens;
  tokens.reserve(text.size() * (twice ? 2 : 1) + 1);
  if (bos) tokens.push_back(*bos);
  if (reverse)
    tokens.insert(tokens.end(), text.rbegin(), text.rend());
  else
    tokens.insert(tokens.end(), text.begin(), text.end());
  if (twice) {
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

Encoder::Encoder(const Model& model, EncodeOptions options)
    : model_(model), options_(std::move(options)) {
  const size_t n_layer = model.config().n_layer;
  if (options_.layers.empty()) throw UsageError("--layers: expected at least one layer");
  if (options_.batch_tokens == 0) throw UsageError("--batch-tokens: expected at least 1, got 0");
  for (size_t layer : options_.layers) {
    if (layer > final_layer(n_layer))
      throw UsageError(
          concat("layer ", layer, ": the model has layers 0 to ", n_layer, " and final"));
    deepest_ = std::max(deepest_, std::min(layer, n_layer));
  }
}

EncodeStats Encoder::encode(std::span<const std::vector<Token>> texts, std::span<float> out,
                            Workspace& work, const std::function<void(size_t)>& progress) const {
  FATHOM_ASSERT(out.size() == options_.layers.size() * texts.size() * dim());
  EncodeStats stats;
  const bool twice = options_.scan == Scan::kEcho;
  const auto pass = [&](bool reverse, std::span<float> result, size_t done_before,
                        size_t done_step) {
    Job job;
    job.n_text = texts.size();
    const auto flush = [&] {
      if (job.batch.size() == 0) return;
      run_batch(job, result, work, stats);
      job.text += job.batch.size();
      job.batch.clear();
      job.first.clear();
      if (progress) progress(done_before + job.text / done_step);
    };
    for (size_t i = 0; i < texts.size(); ++i) {
      const std::vector<Token> scan = scan_of(texts[i], reverse, twice, options_.bos);
      FATHOM_REQUIRE(!scan.empty(), "text ", i + 1, ": empty, and no BOS: nothing to embed");
      if (job.batch.n_token() + scan.size() > options_.batch_tokens) flush();
      job.batch.add(scan);
      job.first.push_back(twice ? scan.size() / 2 : 0);
      if (job.batch.n_token() >= options_.batch_tokens) flush();
    }
    flush();
  };
  const bool both = options_.scan == Scan::kBoth;
  pass(options_.scan == Scan::kReverse, out, 0, both ? 2 : 1);
  if (both) {
    std::vector<float> reverse(out.size());
    pass(true, reverse, texts.size() / 2, 2);
    for (size_t i = 0; i < out.size(); ++i) out[i] = (out[i] + reverse[i]) / 2;
  }
  if (options_.normalize)
    for (size_t i = 0; i < out.size(); i += dim()) l2_normalize(out.subspan(i, dim()));
  return stats;
}

void Encoder::run_batch(const Job& job, std::span<float> out, Workspace& work,
                        EncodeStats& stats) const {
  const Backend& backend = model_.backend();
  const size_t n_sequence = job.batch.size(), n_layer = model_.config().n_layer;
  std::vector<Pool> pools(options_.layers.size(), Pool(options_.pooling, n_sequence, dim()));
  std::vector<size_t> position(n_sequence, 0);

  // A carried state only where something is to be carried: a scan longer than the budget (then it
  // is alone in its batch), or a model that starts from a state of its own.
  std::vector<State> states;
  std::vector<State*> state_of;
  if (job.batch.n_token() > options_.batch_tokens || model_.has_initial_state()) {
    for (size_t s = 0; s < n_sequence; ++s) states.push_back(model_.initial_state());
    for (State& s : states) state_of.push_back(&s);
  }

  for (size_t begin = 0; begin < job.batch.n_token();) {
    const size_t end = std::min(begin + options_.batch_tokens, job.batch.n_token());
    const size_t piece_offsets[] = {0, end - begin};
    const bool whole = begin == 0 && end == job.batch.n_token();
    const Rows rows{whole ? job.batch.offsets() : piece_offsets, state_of};
    FATHOM_ASSERT(whole || n_sequence == 1);

    const auto x = work.matrix(Workspace::kResidual, rows.n_token(), dim());
    model_.embed(job.batch.tokens().subspan(begin, end - begin), x, work);
    for (size_t layer = 0; layer <= n_layer; ++layer) {
      Matrix<const float> normed;
      for (size_t i = 0; i < options_.layers.size(); ++i) {
        const bool is_final = options_.layers[i] == final_layer(n_layer);
        if (std::min(options_.layers[i], n_layer) != layer) continue;
        const bool wants_norm = is_final || options_.norm == Norm::kLnOut;
        if (wants_norm && normed.rows() == 0) {
          const auto y = work.matrix(Workspace::kPooled, x.rows(), x.cols());
          model_.norm_out(x, y, work);
          normed = y;
        }
        pools[i].add(backend, work.pool(), wants_norm ? normed : Matrix<const float>(x),
                     rows.offsets, position, job.first);
      }
      if (layer == deepest_) break;
      model_.run_block(layer, rows, x, work);
      ++stats.n_block_run;
    }
    for (size_t s = 0; s < n_sequence; ++s) position[s] += rows.offsets[s + 1] - rows.offsets[s];
    stats.n_token += rows.n_token();
    ++stats.n_batch;
    begin = end;
  }
  for (size_t i = 0; i < pools.size(); ++i)
    for (size_t s = 0; s < n_sequence; ++s)
      pools[i].finish(s, out.subspan((i * job.n_text + job.text + s) * dim(), dim()));
}

}  // namespace fathom
