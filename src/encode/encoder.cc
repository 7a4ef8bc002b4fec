// SPDX-License-Identifier: Apache-2.0
#include "encode/encoder.h"

#include <algorithm>
#include <cmath>

#include "base/invalid_option.h"
#include "encode/depth_run.h"
#include "encode/live_rows.h"
#include "encode/nonfinite.h"

namespace fathom {

// Texts whose scans fit one packed batch, or one long scan that runs alone in pieces.
struct Encoder::Job {
  Batch batch;                  // one sequence a text
  std::vector<size_t> first;    // (n_sequence) tokens before it are not pooled (echo)
  size_t text = 0;              // index of the first sequence's text
  size_t n_text = 0;            // of all
  std::span<float> out;         // (n_vector, n_text, dim)
  std::span<DepthTrace> trace;  // (n_text) or empty
  std::optional<size_t>* nonfinite = nullptr;  // the first layer with such a row, if asked for
};

namespace {

// Memory for the carried states of one batch.
constexpr size_t kStateBytes = size_t{256} << 20;

// Budgets of tokens that a batch starts with whose sequences may stop early: what is left of it
// still fills products.
constexpr size_t kBudgetsHeld = 4;

bool scans_twice(const EncodeOptions& options) { return options.scan == Scan::kEcho; }

// One scan of a text; kBoth makes two, all others one.
std::vector<Token> scan_of(std::span<const Token> text, bool reverse,
                           const EncodeOptions& options) {
  const std::optional<Token> eos = appended_eos(options);
  if (eos && !text.empty() && text.back() == *eos) text = text.first(text.size() - 1);
  std::vector<Token> tokens;
  tokens.reserve(2 * (text.size() + 2));
  if (options.bos) tokens.push_back(*options.bos);
  if (reverse)
    tokens.insert(tokens.end(), text.rbegin(), text.rend());
  else
    tokens.insert(tokens.end(), text.begin(), text.end());
  if (eos) tokens.push_back(*eos);
  if (scans_twice(options)) {
    const std::vector<Token> once = tokens;
    tokens.insert(tokens.end(), once.begin(), once.end());
  }
  return tokens;
}

// Lowers `first` to the layer if a row is not finite there.
void note_nonfinite(Matrix<const float> x, size_t layer, std::optional<size_t>& first) {
  if (first && *first <= layer) return;
  for (size_t t = 0; t < x.rows(); ++t)
    if (!all_finite(x.row(t))) {
      first = layer;
      return;
    }
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
  throw InvalidOption("norm", "none or ln_out", concat("'", name, "'"));
}
std::string_view name_of(Norm norm) { return norm == Norm::kNone ? "none" : "ln_out"; }

Scan parse_scan(std::string_view name) {
  for (Scan s : {Scan::kForward, Scan::kReverse, Scan::kBoth, Scan::kEcho})
    if (name == name_of(s)) return s;
  throw InvalidOption("scan", "forward, reverse, both or echo", concat("'", name, "'"));
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

std::optional<Token> appended_eos(const EncodeOptions& options) {
  return options.pooling == Pooling::kEos ? options.eos : std::nullopt;
}

EosRule eos_rule(const EncodeOptions& options) {
  return {.id = options.eos, .has_bos = options.bos.has_value()};
}

size_t scanned_tokens(size_t n, const EncodeOptions& options) {
  const size_t once = n + (options.bos ? 1 : 0) + (appended_eos(options) ? 1 : 0);
  return options.scan == Scan::kBoth || options.scan == Scan::kEcho ? 2 * once : once;
}

EncodeStats& EncodeStats::operator+=(const EncodeStats& other) {
  n_token += other.n_token;
  n_batch += other.n_batch;
  n_block_run += other.n_block_run;
  n_pooled_row += other.n_pooled_row;
  rows.resize(std::max(rows.size(), other.rows.size()));
  for (size_t i = 0; i < other.rows.size(); ++i) {
    rows[i].time_mix += other.rows[i].time_mix;
    rows[i].channel_mix += other.rows[i].channel_mix;
    rows[i].v_first += other.rows[i].v_first;
  }
  return *this;
}

Encoder::Encoder(const Model& model, EncodeOptions options, const DepthPolicy* policy)
    : model_(model), options_(std::move(options)), policy_(policy) {
  if (options_.head) head_.emplace(model, *options_.head);
  policy_ ? check_policy() : check_options();
  const Config& config = model.config();
  taps_ = options_.layers;
  if (policy_ && policy_->depth()) taps_ = {*policy_->depth()};
  for (size_t layer : taps_) deepest_ = std::max(deepest_, std::min(layer, config.n_layer));
  if (is_adaptive()) deepest_ = config.n_layer;
  if (deepest_ > model.n_block())
    throw UsageError(concat("layer ", deepest_, ": the model was opened with ", model.n_block(),
                            " of its ", config.n_layer, " blocks"));
  room_ = options_.batch_tokens * (is_adaptive() ? kBudgetsHeld : 1);
  const size_t state_bytes =
      sizeof(float) * config.n_layer * (2 * config.d_model + config.wkv_state_size());
  const bool keeps_states = pools_state(options_.pooling) || model.has_initial_state();
  max_sequences_ = keeps_states ? std::max<size_t>(1, kStateBytes / state_bytes) : SIZE_MAX;
}

size_t Encoder::pooled_size() const {
  const size_t dim = pooled_dim(options_.pooling, model_.config());
  return policy_ ? policy_->dim(dim) : dim;
}

size_t Encoder::dim() const {
  return options_.post.empty() ? pooled_size() : options_.post.front().out_dim(pooled_size());
}

void Encoder::check_policy() const {
  check_post();
  const std::string depth = "`depth` " + policy_->name();
  if (!options_.layers.empty())
    throw InvalidOption("layers",
                        concat("none beside ", depth, ", which chooses the layer itself"));
  if (options_.batch_tokens == 0) throw InvalidOption("batch_tokens", "at least 1", "0");
  if (pools_state(options_.pooling))
    throw InvalidOption("pooling", concat("a pooling of rows beside ", depth),
                        std::string(name_of(options_.pooling)));
  if (options_.head)
    throw InvalidOption("head", concat("none beside ", depth),
                        std::string(name_of(*options_.head)));
  if (is_adaptive() && options_.scan == Scan::kBoth)
    throw InvalidOption("scan", concat("another beside ", depth, ", which reads a text once"),
                        "both");
  FATHOM_ASSERT(!policy_->depth() || *policy_->depth() <= model_.config().n_layer);
  if (options_.pooling == Pooling::kEos) check_eos();
}

void Encoder::check_post() const {
  if (options_.post.empty()) return;
  if (policy_ || head_ || options_.head)
    throw UsageError("post-processing: not with a depth policy or a task head");
  FATHOM_REQUIRE(options_.post.size() == options_.layers.size(), "post-processing: for ",
                 options_.post.size(), " layers, expected ", options_.layers.size());
  for (const Postprocess& post : options_.post)
    FATHOM_REQUIRE((post.is_identity() || post.mean.size() == pooled_size()) &&
                       post.out_dim(pooled_size()) == dim(),
                   "post-processing: fitted to vectors of ", post.mean.size(), " numbers, not ",
                   pooled_size(), ", or with another number of directions at another layer");
}

void Encoder::check_options() const {
  check_post();
  const size_t n_layer = model_.config().n_layer;
  if (options_.layers.empty()) throw InvalidOption("layers", "at least one layer");
  if (options_.batch_tokens == 0) throw InvalidOption("batch_tokens", "at least 1", "0");
  const bool of_state = pools_state(options_.pooling);
  for (size_t layer : options_.layers) {
    if (layer > final_layer(n_layer))
      throw UsageError(
          concat("layer ", layer, ": the model has layers 0 to ", n_layer, " and final"));
    if (of_state && (layer == 0 || layer > n_layer))
      throw InvalidOption(
          "layers",
          concat("1-", n_layer, " or some of them with `pooling` ", name_of(options_.pooling)), {},
          concat("layer ", layer_name(layer, n_layer), " has no state"));
  }
  if (of_state && options_.norm != Norm::kNone)
    throw InvalidOption(
        "norm", concat("none with `pooling` ", name_of(options_.pooling), ", which pools no rows"),
        std::string(name_of(options_.norm)));
  if (options_.pooling == Pooling::kEos) check_eos();
  if (options_.head && (options_.pooling != Pooling::kEos || options_.layers.size() != 1 ||
                        options_.layers[0] != final_layer(n_layer)))
    throw InvalidOption("head", "`pooling` eos at `layers` final with it, and nothing else",
                        std::string(name_of(*options_.head)));
}

void Encoder::check_eos() const {
  const size_t n_vocab = model_.config().n_vocab;
  if (options_.eos && *options_.eos >= n_vocab)
    throw InvalidOption(
        "eos", "none or an id below it with `pooling` eos",
        concat(*options_.eos, *options_.eos == kEosToken ? ", which EmbeddingRWKV appends" : ""),
        concat("the model's n_vocab is ", n_vocab));
}

EncodeStats Encoder::encode(std::span<const std::vector<Token>> texts, std::span<float> out,
                            Workspace& work, const std::function<void(size_t)>& progress,
                            std::span<DepthTrace> trace) const {
  return encode_texts(texts, out, work, progress, trace, nullptr);
}

std::optional<size_t> Encoder::first_nonfinite_layer(std::span<const std::vector<Token>> texts,
                                                     Workspace& work) const {
  std::vector<float> out(n_vector() * texts.size() * dim());
  std::optional<size_t> layer;
  encode_texts(texts, out, work, {}, {}, &layer);
  return layer;
}

EncodeStats Encoder::encode_texts(std::span<const std::vector<Token>> texts, std::span<float> out,
                                  Workspace& work, const std::function<void(size_t)>& progress,
                                  std::span<DepthTrace> trace,
                                  std::optional<size_t>* nonfinite) const {
  FATHOM_ASSERT(out.size() == n_vector() * texts.size() * dim());
  FATHOM_ASSERT(trace.empty() || (policy_ && trace.size() == texts.size()));
  if (policy_ && policy_->by_pair())
    FATHOM_REQUIRE(texts.size() % 2 == 0, policy_->name(),
                   ": decides by pair; expected an even number of texts, got ", texts.size());
  EncodeStats stats;
  stats.rows.resize(model_.config().n_layer);
  std::vector<float> before_post(options_.post.empty() ? 0
                                                       : n_vector() * texts.size() * pooled_size());
  const std::span<float> pooled = options_.post.empty() ? out : std::span<float>(before_post);
  const bool both = options_.scan == Scan::kBoth;
  // Pass 0, and for kBoth pass 1: a text is done when all its passes are.
  const auto pass = [&](bool reverse, std::span<float> result, size_t number) {
    Job job;
    job.n_text = texts.size();
    job.out = result;
    job.trace = trace;
    job.nonfinite = nonfinite;
    run_pass(texts, reverse, job, work, stats, [&](size_t done) {
      if (progress) progress((number * texts.size() + done) / (both ? 2 : 1));
    });
  };
  pass(options_.scan == Scan::kReverse, pooled, 0);
  if (both) {
    std::vector<float> reverse(pooled.size());
    pass(true, reverse, 1);
    for (size_t i = 0; i < pooled.size(); ++i) pooled[i] = (pooled[i] + reverse[i]) / 2;
  }
  if (head_ && !texts.empty()) {
    const Matrix<float> rows(out.data(), texts.size(), dim());
    head_->apply(rows, rows, work);
  }
  const size_t size = pooled_size();
  for (size_t i = 0; i < before_post.size(); i += size) {
    const size_t vector = i / size;
    options_.post[vector / texts.size()].apply(pooled.subspan(i, size),
                                               out.subspan(vector * dim(), dim()));
  }
  if (options_.normalize)
    for (size_t i = 0; i < out.size(); i += dim()) l2_normalize(out.subspan(i, dim()));
  return stats;
}

void Encoder::run_pass(std::span<const std::vector<Token>> texts, bool reverse, Job& job,
                       Workspace& work, EncodeStats& stats,
                       const std::function<void(size_t)>& progress) const {
  const auto flush = [&] {
    if (job.batch.size() == 0) return;
    run_batch(job, work, stats);
    job.text += job.batch.size();
    job.batch.clear();
    job.first.clear();
    progress(job.text);
  };
  const size_t together = policy_ && policy_->by_pair() ? 2 : 1;  // texts in the same batch
  for (size_t i = 0; i < texts.size(); i += together) {
    std::vector<std::vector<Token>> scans;
    size_t n_token = 0;
    for (size_t j = i; j < i + together; ++j) {
      scans.push_back(scan_of(texts[j], reverse, options_));
      FATHOM_REQUIRE(!scans.back().empty(), "text ", j + 1,
                     ": empty, and no BOS: nothing to embed");
      n_token += scans.back().size();
    }
    if (job.batch.n_token() + n_token > room_ || job.batch.size() + together > max_sequences_)
      flush();
    for (const std::vector<Token>& scan : scans) {
      job.batch.add(scan);
      job.first.push_back(scans_twice(options_) ? scan.size() / 2 : 0);
    }
  }
  flush();
}

void Encoder::run_batch(const Job& job, Workspace& work, EncodeStats& stats) const {
  const Config& config = model_.config();
  const size_t n_sequence = job.batch.size(), budget = options_.batch_tokens;
  const bool of_state = pools_state(options_.pooling);
  std::vector<Pool> pools;
  if (!of_state)
    pools.assign(taps_.size(),
                 Pool(options_.pooling, n_sequence, config.d_model, eos_rule(options_)));
  std::vector<size_t> position(n_sequence, 0);

  // A state only where something is to be carried, or kept: a scan longer than the budget, a model
  // that starts from a state of its own, pooling of the state.
  std::vector<State> states;
  std::vector<State*> state_of(n_sequence, nullptr);
  states.reserve(n_sequence);
  const std::span<const size_t> offsets = job.batch.offsets();
  for (size_t s = 0; s < n_sequence; ++s)
    if (offsets[s + 1] - offsets[s] > budget || model_.has_initial_state() || of_state)
      state_of[s] = &states.emplace_back(model_.initial_state());
  if (states.empty()) state_of.clear();

  // A batch is larger than the budget if it is one long scan, which is cut here, or if its
  // sequences may stop at different layers: LiveRows cuts those.
  const size_t piece = is_adaptive() ? job.batch.n_token() : budget;
  for (size_t begin = 0; begin < job.batch.n_token();) {
    const size_t end = std::min(begin + piece, job.batch.n_token());
    const size_t piece_offsets[] = {0, end - begin};
    const bool whole = begin == 0 && end == job.batch.n_token();
    const Rows rows{whole ? offsets : piece_offsets, state_of};
    FATHOM_ASSERT(whole || n_sequence == 1);
    run_piece(job, job.batch.tokens().subspan(begin, end - begin), rows, position, pools, work,
              stats);
    for (size_t s = 0; s < n_sequence; ++s) position[s] += rows.offsets[s + 1] - rows.offsets[s];
    stats.n_token += rows.n_token();
    ++stats.n_batch;
    begin = end;
  }
  for (size_t i = 0; i < taps_.size(); ++i)
    for (size_t s = 0; s < n_sequence; ++s) {
      const auto row =
          job.out.subspan((i * job.n_text + job.text + s) * pooled_size(), pooled_size());
      if (of_state)
        pool_state(options_.pooling, config, states[s].wkv(taps_[i] - 1), row);
      else
        pools[i].finish(s, row);
    }
}

void Encoder::run_piece(const Job& job, std::span<const Token> tokens, const Rows& rows,
                        std::span<const size_t> position, std::span<Pool> pools, Workspace& work,
                        EncodeStats& stats) const {
  LiveRows live(model_, tokens, rows.offsets, rows.states, options_.batch_tokens, work);
  live.embed();
  std::vector<Step> steps(live.size(), Step::kBlock);
  std::optional<DepthRun> run;
  const DepthJob depth{
      .pooling = options_.pooling,
      .eos = eos_rule(options_),
      .ln_out = options_.norm == Norm::kLnOut,
      .deepest = deepest_,
      .first = job.first,
      .out = {job.out.data() + job.text * pooled_size(), job.batch.size(), pooled_size()},
      .trace = job.trace.empty() ? job.trace : job.trace.subspan(job.text, job.batch.size())};
  if (policy_) run.emplace(model_, *policy_, depth, live, work);
  for (size_t layer = 0;; ++layer) {
    if (job.nonfinite) note_nonfinite(live.x(), layer, *job.nonfinite);
    add_to_pools(job, layer, live, position, pools, work);
    const std::span<const Step> next = run ? run->decide(layer) : steps;
    if (layer == deepest_ || live.size() == 0) break;
    live.run(layer, next, stats.rows[layer]);
    stats.n_block_run += std::ranges::any_of(next, [](Step s) { return s != Step::kSkip; });
  }
  if (run) stats.n_pooled_row += run->n_pooled_row();
}

void Encoder::add_to_pools(const Job& job, size_t layer, const LiveRows& live,
                           std::span<const size_t> position, std::span<Pool> pools,
                           Workspace& work) const {
  const size_t n_layer = model_.config().n_layer;
  const Matrix<float> x = live.x();
  Matrix<const float> normed;
  for (size_t i = 0; i < pools.size(); ++i) {
    const bool is_final = taps_[i] == final_layer(n_layer);
    if (std::min(taps_[i], n_layer) != layer) continue;
    const bool wants_norm = is_final || options_.norm == Norm::kLnOut;
    if (wants_norm && normed.rows() == 0) {
      const auto y = work.matrix(Workspace::kPooled, x.rows(), x.cols());
      model_.norm_out(x, y, work);
      normed = y;
    }
    pools[i].add(model_.backend(), work.pool(), wants_norm ? normed : Matrix<const float>(x),
                 live.offsets(), position, job.first, live.tokens());
  }
}

}  // namespace fathom
