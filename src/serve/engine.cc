// SPDX-License-Identifier: Apache-2.0
#include "serve/engine.h"

#include <algorithm>
#include <utility>

#include "encode/nonfinite.h"
#include "eval/cost.h"

namespace fathom::serve {
namespace {

struct Left : std::exception {};  // whoever asked for the long text

void fail(Job& job, std::optional<size_t> text, std::string message) {
  if (!job.fault) job.fault = {text, std::move(message)};
}

// Room for results, when the first of them comes.
void start_job(Job& job) {
  if (job.started != Clock::time_point()) return;
  job.started = Clock::now();
  job.out.resize(job.n_value);
  job.trace.resize(job.items.size());
}

}  // namespace

Engine::Engine(std::span<const std::unique_ptr<ServedModel>> models, JobQueue& queue,
               Metrics& metrics, size_t batch_tokens, size_t n_thread)
    : models_(models),
      queue_(queue),
      metrics_(metrics),
      batch_tokens_(batch_tokens),
      long_work_(n_thread),
      thread_([this] { loop(); }) {}

Engine::~Engine() { queue_.close(); }

void Engine::loop() {
  for (;;) {
    const JobQueue::Turn turn = queue_.next();
    if (turn.empty()) return;
    if (turn.one)
      run_long(*turn.one);
    else
      run_batch(turn.batch);
  }
}

// Requests of the pieces, each into its place of its job.
void Engine::encode(std::span<const Piece> pieces, Workspace& work) {
  const ServedModel& model = *models_[pieces[0].job->model];
  std::vector<Request> requests;
  for (const auto& [job, unit] : pieces)
    for (size_t i = unit.first; i < unit.first + unit.n; ++i) {
      const Item& item = job->items[i];
      const Way& way = job->ways[item.way];
      requests.push_back({.tokens = job->texts[item.text],
                          .reading = &way.reading,
                          .policy = way.policy,
                          .out = std::span(job->out).subspan(item.out, way.size()),
                          .trace = way.policy ? &job->trace[i] : nullptr});
    }
  model.encoder->encode(requests, work);
}

void Engine::run_batch(const std::vector<Piece>& batch) {
  const auto start = Clock::now();
  size_t n_token = 0, n_text = 0;
  for (const auto& [job, unit] : batch) {
    n_token += unit.n_token;
    n_text += unit.n;
    start_job(*job);
  }
  metrics_.batch_next_size.add(static_cast<double>(n_text));
  metrics_.batch_next_tokens.add(static_cast<double>(n_token));
  try {
    encode(batch, models_[batch[0].job->model]->open.work);
    for (const auto& [job, unit] : batch) {
      check(*job, unit);
      count(*job, unit);
    }
  } catch (const std::exception& e) {
    for (const Piece& piece : batch) fail(*piece.job, std::nullopt, e.what());
  }
  finish(batch);
  last_batch_ = Clock::now() - start;
}

// Short texts have their turn where the long one has run as long as their last batch did: whatever
// its pieces are, each side has half of the time.
void Engine::run_between() {
  if (long_job_->gone) throw Left();
  if (Clock::now() - resumed_ < last_batch_) return;
  const std::vector<Piece> batch = queue_.try_batch();
  if (batch.empty()) return;
  run_batch(batch);
  resumed_ = Clock::now();
}

void Engine::run_long(const Piece& piece) {
  Job& job = *piece.job;
  start_job(job);
  long_job_ = &job;
  resumed_ = Clock::now();
  long_work_.set_between([this] { run_between(); });
  try {
    if (job.kind == Job::Kind::kTokenRows)
      run_rows(job, piece.unit);
    else if (job.kind == Job::Kind::kRerank)
      run_rerank(job, piece.unit);
    else
      encode({&piece, 1}, long_work_);
    check(job, piece.unit);
    count(job, piece.unit);
  } catch (const Left&) {
    fail(job, std::nullopt, "nobody waits for it");
  } catch (const std::exception& e) {
    fail(job, std::nullopt, e.what());
  }
  long_work_.set_between({});
  finish({piece});
}

// Every row at the one layer, in pieces of a budget on a carried state.
void Engine::run_rows(Job& job, const Unit& unit) {
  const Model& model = models_[job.model]->open.model;
  const Item& item = job.items[unit.first];
  const Reading& reading = job.ways[item.way].reading;
  const std::span<const Token> tokens = job.texts[item.text];
  const size_t c = model.config().d_model, n_layer = model.config().n_layer,
               layer = reading.layers[0];
  State state = model.initial_state();
  State* const states[] = {&state};
  float* out = job.out.data() + item.out;
  for (size_t begin = 0; begin < tokens.size(); begin += batch_tokens_) {
    const auto ids = tokens.subspan(begin, std::min(batch_tokens_, tokens.size() - begin));
    const size_t offsets[] = {0, ids.size()};
    const auto x = long_work_.matrix(Workspace::kResidual, ids.size(), c);
    model.embed(ids, x, long_work_);
    for (size_t i = 0; i < std::min(layer, n_layer); ++i)
      model.run_block(i, {offsets, states, {}, ids}, x, long_work_);
    if (layer == final_layer(n_layer) || reading.norm == Norm::kLnOut)
      model.norm_out(x, x, long_work_);
    out = std::copy_n(x.data(), ids.size() * c, out);
    long_work_.between();
  }
}

void Engine::run_rerank(Job& job, const Unit& unit) {
  const Reranker& reranker = *models_[job.model]->reranker;
  const std::span texts(job.texts);
  const std::vector<float> scores =
      reranker.rerank(texts.subspan(unit.first, unit.n), texts.first(1), batch_tokens_, long_work_);
  std::ranges::copy(scores, job.out.begin() + static_cast<std::ptrdiff_t>(unit.first - 1));
}

// No vector of zeros and none that is not finite is given out.
void Engine::check(Job& job, const Unit& unit) const {
  for (size_t i = unit.first; i < unit.first + unit.n; ++i) {
    if (job.kind == Job::Kind::kRerank) {
      if (!all_finite({&job.out[i - 1], 1})) fail(job, i - 1, "the score is not finite");
      continue;
    }
    const Item& item = job.items[i];
    const Way& way = job.ways[item.way];
    const bool rows = job.kind == Job::Kind::kTokenRows;
    const size_t dim = way.shape.dim, n = rows ? job.texts[item.text].size() : way.shape.n_vector;
    for (size_t v = 0; v < n; ++v) {
      const auto vector = std::span(job.out).subspan(item.out + v * dim, dim);
      if (!all_finite(vector)) fail(job, item.text, "its vector is not finite");
      if (std::ranges::all_of(vector, [](float x) { return x == 0; }))
        fail(job, item.text, "its vector is all zeros");
    }
  }
}

void Engine::count(const Job& job, const Unit& unit) {
  metrics_.n_text += unit.n;
  metrics_.n_token += unit.n_token;
  if (job.kind != Job::Kind::kVectors) return;
  const ServedModel& model = *models_[job.model];
  const size_t n_layer = model.cost.n_layer;
  DepthTrace whole;
  whole.exit_layer = whole.n_time_mix = whole.n_channel_mix = static_cast<uint32_t>(n_layer);
  for (size_t i = unit.first; i < unit.first + unit.n; ++i) {
    const Way& way = job.ways[job.items[i].way];
    if (!way.policy) continue;
    const size_t n_token = scanned_tokens(job.texts[job.items[i].text].size(), way.reading);
    metrics_.exit_layer.add(job.trace[i].exit_layer);
    metrics_.flops += depth_flops(model.cost, *way.policy, job.trace[i], n_token);
    metrics_.full_flops += depth_flops(model.cost, FixedDepth(n_layer), whole, n_token);
  }
}

void Engine::finish(const std::vector<Piece>& pieces) {
  for (const std::shared_ptr<Job>& job : queue_.finish(pieces)) {
    job->finished = Clock::now();
    // What it holds goes with the call.
    const auto done = std::move(job->done);
    if (!job->gone) done(job);
  }
}

}  // namespace fathom::serve
