// SPDX-License-Identifier: Apache-2.0
#include "encode/encoder.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <iterator>
#include <tuple>
#include <utility>

#include "base/invalid_option.h"

namespace fathom {
namespace {

// Memory for the carried states of one batch.
constexpr size_t kStateBytes = size_t{256} << 20;

// Budgets of tokens that a batch starts with whose sequences may stop early: what is left of it
// still fills products.
constexpr size_t kBudgetsHeld = 4;

// One scan of a text; kBoth makes two, all others one.
std::vector<Token> scan_of(std::span<const Token> text, bool reverse, const Reading& reading) {
  const std::optional<Token> eos = appended_eos(reading);
  if (eos && !text.empty() && text.back() == *eos) text = text.first(text.size() - 1);
  std::vector<Token> tokens;
  tokens.reserve((reading.scan == Scan::kEcho ? 2 : 1) * (text.size() + 2));
  if (reading.bos) tokens.push_back(*reading.bos);
  if (reverse)
    tokens.insert(tokens.end(), text.rbegin(), text.rend());
  else
    tokens.insert(tokens.end(), text.begin(), text.end());
  if (eos) tokens.push_back(*eos);
  if (reading.scan == Scan::kEcho) {
    const std::vector<Token> once = tokens;
    tokens.insert(tokens.end(), once.begin(), once.end());
  }
  return tokens;
}

// What scan_of() makes of a text, piece by piece: BOS in front, EOS behind it if it has none there.
class ScannedTokens final : public TokenSource {
 public:
  ScannedTokens(TokenSource& text, const Reading& reading)
      : text_(text), bos_(reading.bos), eos_(appended_eos(reading)) {}

  size_t read(std::span<Token> out) override {
    size_t n = 0;
    if (bos_ && !out.empty()) out[n++] = *std::exchange(bos_, std::nullopt);
    n += text_.read(out.subspan(n));
    if (n > 0) last_ = out[n - 1];
    if (n == out.size() || !eos_) return n;
    if (last_ != eos_) out[n++] = *eos_;
    eos_.reset();
    return n;
  }

 private:
  TokenSource& text_;
  std::optional<Token> bos_, eos_, last_;
};

void l2_normalize(std::span<float> x) {
  double sum = 0;
  for (float v : x) sum += double{v} * v;
  if (sum == 0) return;
  const double scale = 1 / std::sqrt(sum);
  for (float& v : x) v = static_cast<float>(v * scale);
}

// From a vector as it was pooled, (plan.pooled_size), to what is returned, (plan.dim).
void finish_vector(const Plan& plan, size_t vector, std::span<const float> pooled,
                   std::span<float> out) {
  if (!plan.post.empty()) {
    std::vector<float> processed(plan.post[vector].out_dim(pooled.size()));
    plan.post[vector].apply(pooled, processed);
    std::copy_n(processed.begin(), out.size(), out.begin());
  } else if (pooled.data() != out.data()) {
    std::copy_n(pooled.begin(), out.size(), out.begin());
  }
  if (plan.reading.normalize) l2_normalize(out);
}

// A request with its plan, and where its vectors lie as they are pooled: in its `out`, or beside it
// where something else becomes of them.
struct Text {
  const Request* request = nullptr;
  const Plan* plan = nullptr;
  size_t plan_number = 0;
  float* pooled = nullptr;   // (n_vector, pooled_size), each `step` behind the one before
  float* reverse = nullptr;  // the same of the second scan, if there is one
  size_t step = 0;

  size_t out_step() const { return request->step ? request->step : plan->dim; }
  std::span<float> out(size_t vector) const {
    return request->out.subspan(vector * out_step(), plan->dim);
  }
  bool scans_both() const { return plan->reading.scan == Scan::kBoth; }
};

}  // namespace

// One call of encode().
struct Encoder::Call {
  Call(const Encoder& from, std::span<const Request> requests);

  // What no reading allows, and where vectors go.
  void check() const;
  void place();
  // All first scans, or the second ones of the texts that are read both ways.
  void pass(bool second, Workspace& work, const Progress& progress);
  void finish(Workspace& work);

  const Encoder& encoder;
  std::deque<Plan> plans = {};  // of readings that are not the encoder's
  std::vector<Text> texts = {};
  std::vector<float> beside = {};
  std::deque<ScannedTokens> scanned = {};
  EncodeStats stats = {};
  std::optional<size_t>* nonfinite = nullptr;
  size_t room = 0;  // tokens in one batch
  size_t n_scan = 0, n_done = 0;

 private:
  std::pair<const Plan*, size_t> plan_of(const Request& request);
  void run(std::vector<Sequence>& batch, Workspace& work, const Progress& progress);
  void run_source(const Text& text, Workspace& work, const Progress& progress);
  void apply_head(Workspace& work);
};

Encoder::Call::Call(const Encoder& from, std::span<const Request> requests) : encoder(from) {
  for (const Request& r : requests) {
    Text text{.request = &r};
    const bool as_before = !texts.empty() && texts.back().request->reading == r.reading &&
                           texts.back().request->policy == r.policy;
    std::tie(text.plan, text.plan_number) =
        as_before ? std::pair(texts.back().plan, texts.back().plan_number) : plan_of(r);
    texts.push_back(text);
  }
  check();
  place();
  stats.rows.resize(encoder.model_.config().n_layer);
  const auto stops_early = [&](const Text& t) {
    return t.plan->adaptive() || t.plan->deepest != texts.front().plan->deepest;
  };
  room =
      encoder.options_.batch_tokens * (std::ranges::any_of(texts, stops_early) ? kBudgetsHeld : 1);
  n_scan = texts.size() + static_cast<size_t>(
                              std::ranges::count_if(texts, [](auto& t) { return t.scans_both(); }));
}

std::pair<const Plan*, size_t> Encoder::Call::plan_of(const Request& request) {
  if (!request.reading) {
    FATHOM_REQUIRE(!request.policy, "request: a depth policy without a reading; expected both");
    return {&encoder.plan_, 0};
  }
  for (size_t i = 0; i < plans.size(); ++i)
    if (plans[i].policy == request.policy && plans[i].reading == *request.reading)
      return {&plans[i], i + 1};
  plans.push_back(
      make_plan(encoder.model_, {.reading = *request.reading, .policy = request.policy}));
  return {&plans.back(), plans.size()};
}

void Encoder::Call::check() const {
  for (size_t i = 0; i < texts.size(); ++i) {
    const Plan& plan = *texts[i].plan;
    const Request& r = *texts[i].request;
    FATHOM_REQUIRE(r.source || scanned_tokens(r.tokens.size(), plan.reading) > 0, "text ", i + 1,
                   ": empty, and no BOS: nothing to embed");
    FATHOM_ASSERT(!r.source || (!plan.policy && plan.reading.scan == Scan::kForward));
    FATHOM_REQUIRE(!r.trace || plan.policy, "text ", i + 1, ": a trace without a depth policy");
    const size_t size = (plan.n_vector() - 1) * texts[i].out_step() + plan.dim;
    FATHOM_REQUIRE(texts[i].out_step() >= plan.dim && r.out.size() >= size, "text ", i + 1,
                   ": room for ", r.out.size(), " numbers, expected ", plan.n_vector(),
                   " vectors of ", plan.dim);
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    if (!texts[i].plan->by_pair()) continue;
    FATHOM_REQUIRE(i + 1 < texts.size() && texts[i + 1].plan == texts[i].plan, "text ", i + 1, ": ",
                   texts[i].plan->policy->name(),
                   " decides by pair; expected another text behind it, under the same policy and "
                   "read alike");
    ++i;
  }
}

void Encoder::Call::place() {
  const auto size_of = [](const Text& t) { return t.plan->n_vector() * t.plan->pooled_size; };
  size_t n = 0;
  for (const Text& t : texts)
    if (!t.plan->returns_pooled()) n += size_of(t) * (t.scans_both() ? 2 : 1);
  beside.resize(n);
  float* next = beside.data();
  for (Text& t : texts) {
    if (t.plan->returns_pooled()) {
      t.pooled = t.request->out.data();
      t.step = t.out_step();
      continue;
    }
    t.step = t.plan->pooled_size;
    t.pooled = std::exchange(next, next + size_of(t));
    if (t.scans_both()) t.reverse = std::exchange(next, next + size_of(t));
  }
}

void Encoder::Call::pass(bool second, Workspace& work, const Progress& progress) {
  std::vector<Sequence> batch;
  size_t n_token = 0, n_state = 0;
  for (size_t i = 0; i < texts.size();) {
    const Plan& plan = *texts[i].plan;
    if (texts[i].request->source) {  // alone, and read once
      run(batch, work, progress);
      n_token = n_state = 0;
      if (!second) run_source(texts[i], work, progress);
      ++i;
      continue;
    }
    const size_t together = plan.by_pair() ? 2 : 1;  // texts in the same batch
    std::vector<Sequence> next;
    for (const size_t end = i + together; i < end; ++i) {
      const Text& text = texts[i];
      if (second && !text.scans_both()) continue;
      const bool reverse = second || plan.reading.scan == Scan::kReverse;
      std::vector<Token> tokens = scan_of(text.request->tokens, reverse, plan.reading);
      const size_t first = plan.reading.scan == Scan::kEcho ? tokens.size() / 2 : 0;
      next.push_back({.plan = &plan,
                      .plan_number = text.plan_number,
                      .tokens = std::move(tokens),
                      .first = first,
                      .out = second ? text.reverse : text.pooled,
                      .step = text.step,
                      .trace = text.request->trace});
    }
    size_t next_token = 0;
    for (const Sequence& s : next) next_token += s.tokens.size();
    const bool keeps_state = plan.pools_state() || encoder.model_.has_initial_state();
    const size_t next_state = keeps_state ? next.size() : 0;
    if (n_token + next_token > room || n_state + next_state > encoder.max_states_) {
      run(batch, work, progress);
      n_token = n_state = 0;
    }
    n_token += next_token;
    n_state += next_state;
    std::ranges::move(next, std::back_inserter(batch));
  }
  run(batch, work, progress);
}

void Encoder::Call::run_source(const Text& text, Workspace& work, const Progress& progress) {
  TokenSource& tokens = scanned.emplace_back(*text.request->source, text.plan->reading);
  std::vector<Sequence> alone(1);
  alone[0].plan = text.plan;
  alone[0].plan_number = text.plan_number;
  alone[0].source = &tokens;
  alone[0].out = text.pooled;
  alone[0].step = text.step;
  run(alone, work, progress);
}

void Encoder::Call::run(std::vector<Sequence>& batch, Workspace& work, const Progress& progress) {
  if (batch.empty()) return;
  run_batch(encoder.model_, batch, encoder.options_.batch_tokens, work, stats, nonfinite);
  n_done += batch.size();
  batch.clear();
  if (progress) progress(n_done * texts.size() / n_scan);
}

void Encoder::Call::finish(Workspace& work) {
  for (const Text& t : texts)
    if (t.scans_both())
      for (size_t i = 0; i < t.plan->n_vector() * t.plan->pooled_size; ++i)
        t.pooled[i] = (t.pooled[i] + t.reverse[i]) / 2;
  apply_head(work);
  work.pool().run(texts.size(), [&](size_t i) {
    const Text& t = texts[i];
    for (size_t v = 0; v < t.plan->n_vector(); ++v)
      finish_vector(*t.plan, v, {t.pooled + v * t.step, t.plan->pooled_size}, t.out(v));
  });
}

// On one vector a text, of the texts that are read as the encoder's options say.
void Encoder::Call::apply_head(Workspace& work) {
  if (!encoder.head_) return;
  const size_t dim = encoder.plan_.pooled_size;
  std::vector<float> rows;
  for (const Text& t : texts)
    if (t.plan->head) rows.insert(rows.end(), t.pooled, t.pooled + dim);
  if (rows.empty()) return;
  const Matrix<float> all(rows.data(), rows.size() / dim, dim);
  encoder.head_->apply(all, all, work);
  size_t row = 0;
  for (const Text& t : texts)
    if (t.plan->head) std::ranges::copy(all.row(row++), t.pooled);
}

Encoder::Encoder(const Model& model, EncodeOptions options, const DepthPolicy* policy)
    : model_(model), options_(std::move(options)), policy_(policy) {
  if (options_.head) head_.emplace(model, *options_.head);
  plan_ = make_plan(
      model, {.reading = options_, .policy = policy, .head = options_.head, .post = options_.post});
  if (options_.batch_tokens == 0) throw InvalidOption("batch_tokens", "at least 1", "0");
  const Config& config = model.config();
  const size_t state_bytes =
      sizeof(float) * config.n_layer * (2 * config.d_model + config.wkv_state_size());
  max_states_ = std::max<size_t>(1, kStateBytes / state_bytes);
}

VectorShape Encoder::shape(const Reading& reading, const DepthPolicy* policy) const {
  const Plan plan = make_plan(model_, {.reading = reading, .policy = policy});
  return {plan.n_vector(), plan.dim};
}

EncodeStats Encoder::encode(std::span<const std::vector<Token>> texts, std::span<float> out,
                            Workspace& work, const Progress& progress,
                            std::span<DepthTrace> trace) const {
  return run(requests_for(texts, out, trace), work, progress, nullptr);
}

EncodeStats Encoder::encode(std::span<const Request> requests, Workspace& work,
                            const Progress& progress) const {
  return run(requests, work, progress, nullptr);
}

std::optional<size_t> Encoder::first_nonfinite_layer(std::span<const std::vector<Token>> texts,
                                                     Workspace& work) const {
  std::vector<float> out(n_vector() * texts.size() * dim());
  std::optional<size_t> layer;
  run(requests_for(texts, out, {}), work, {}, &layer);
  return layer;
}

std::vector<Request> Encoder::requests_for(std::span<const std::vector<Token>> texts,
                                           std::span<float> out,
                                           std::span<DepthTrace> trace) const {
  const size_t n = texts.size(), size = n_vector() * n * dim();
  FATHOM_REQUIRE(out.size() == size, "vectors of ", n, " texts: expected room for ", size,
                 " numbers, got ", out.size());
  FATHOM_REQUIRE(trace.empty() || (policy_ && trace.size() == n), "traces of ", n,
                 " texts: expected a depth policy and ", n, " of them, got ", trace.size());
  if (plan_.by_pair())
    FATHOM_REQUIRE(n % 2 == 0, policy_->name(),
                   ": decides by pair; expected an even number of texts, got ", n);
  std::vector<Request> requests;
  requests.reserve(n);
  for (size_t i = 0; i < n; ++i)
    requests.push_back({.tokens = texts[i],
                        .out = out.subspan(i * dim()),
                        .step = n * dim(),
                        .trace = trace.empty() ? nullptr : &trace[i]});
  return requests;
}

EncodeStats Encoder::run(std::span<const Request> requests, Workspace& work,
                         const Progress& progress, std::optional<size_t>* nonfinite) const {
  Call call(*this, requests);
  if (requests.empty()) return std::move(call.stats);
  call.nonfinite = nonfinite;
  call.pass(false, work, progress);
  if (call.n_scan > call.texts.size()) call.pass(true, work, progress);
  call.finish(work);
  return std::move(call.stats);
}

}  // namespace fathom
