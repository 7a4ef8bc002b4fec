// SPDX-License-Identifier: Apache-2.0
// From texts to blocks of vectors: what every embed function of the public interface does.
#include <pthread.h>

#include <algorithm>
#include <mutex>
#include <string_view>
#include <utility>

#include "api/embedder_impl.h"
#include "base/error.h"
#include "encode/embed_texts.h"
#include "encode/nonfinite.h"
#include "encode/trace.h"

namespace fathom {

namespace {

// Guards the idle workspaces of every Embedder, for the few instructions of a hand-over. A fork waits
// for it, so that the child finds it free; what the child finds beside it are workspaces whose
// threads stayed in the parent.
std::mutex hand_over;
uint64_t process = 0;  // counts the forks that led here; guarded by hand_over

void watch_forks() {
  static std::once_flag once;
  std::call_once(once, [] {
    ::pthread_atfork([] { hand_over.lock(); }, [] { hand_over.unlock(); },
                     [] {
                       ++process;
                       hand_over.unlock();
                     });
  });
}

}  // namespace

// A workspace that no other call has.
class Embedder::Impl::Lease {
 public:
  explicit Lease(const Impl& impl) : impl_(impl) {
    {
      const std::lock_guard lock(hand_over);
      impl.forget_other_process();
      process_ = process;
      // Room for its way back, so that the destructor does not allocate.
      impl.idle_.reserve(impl.idle_.size() + impl.n_lease_ + 1);
      ++impl.n_lease_;
      if (!impl.idle_.empty()) {
        work_ = std::move(impl.idle_.back());
        impl.idle_.pop_back();
      }
    }
    if (work_) return;
    try {
      work_ = std::make_unique<Workspace>(impl.n_thread_);
    } catch (...) {
      const std::lock_guard lock(hand_over);
      --impl.n_lease_;
      throw;
    }
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    const std::lock_guard lock(hand_over);
    if (process_ != process) {  // forked within the call, by a sink
      (void)work_.release();
      return;
    }
    --impl_.n_lease_;
    impl_.idle_.push_back(std::move(work_));
  }

  Workspace& work() { return *work_; }

 private:
  const Impl& impl_;
  std::unique_ptr<Workspace> work_;
  uint64_t process_ = 0;
};

// A team whose threads are not in this process can neither run nor be joined: its memory stays.
void Embedder::Impl::forget_other_process() const {
  if (process_ == process) return;
  for (std::unique_ptr<Workspace>& work : idle_) (void)work.release();
  idle_.clear();
  n_lease_ = 0;
  process_ = process;
}

void Embedder::Impl::note_process() const {
  watch_forks();
  const std::lock_guard lock(hand_over);
  process_ = process;
}

Embedder::Impl::~Impl() {
  const std::lock_guard lock(hand_over);
  forget_other_process();
}

namespace {

void require_running(const EmbedOptions& options) {
  if (options.stop.stop_requested()) throw Stopped("stopped before all texts were embedded");
}

// Refuses, before the work begins, whatever can be wrong with a text.
template <class Text>
void check_texts(std::span<const Text> texts, const EmbedOptions& options, bool by_pair) {
  const auto is_empty = [](const Text& text) { return text.empty(); };
  if (by_pair)
    FATHOM_REQUIRE(texts.size() % 2 == 0, options.depth.name(),
                   ": decides about pairs of texts; expected an even number of them, got ",
                   texts.size());
  const auto empty = std::ranges::find_if(texts, is_empty);
  if (empty == texts.end()) return;
  FATHOM_REQUIRE(options.empty == EmptyText::kZero, "text ", empty - texts.begin(),
                 ": expected at least one ",
                 std::is_same_v<Text, std::string> ? "byte" : "token id", ", got none");
  FATHOM_REQUIRE(!by_pair, options.depth.name(), ": decides about pairs of texts; text ",
                 empty - texts.begin(), " is empty");
}

void check_ids(std::span<const std::vector<Token>> texts, size_t n_vocab) {
  for (size_t i = 0; i < texts.size(); ++i)
    for (size_t t = 0; t < texts[i].size(); ++t)
      FATHOM_REQUIRE(texts[i][t] < n_vocab, "text ", i, ": token ", t, ": expected an id below ",
                     n_vocab, ", got ", texts[i][t]);
}

EmbedTextsOptions stream_options(const EmbedOptions& options) {
  return {.no_tokens = options.empty == EmptyText::kZero ? NoTokens::kZero : NoTokens::kRefuse,
          .place = [](size_t i) { return concat("text ", i); },
          .stop = options.stop,
          .batch = options.progress};
}

TextDepth to_public(const DepthTrace& t) {
  return {.exit_layer = t.exit_layer,
          .n_time_mix = t.n_time_mix,
          .n_channel_mix = t.n_channel_mix,
          .route = t.route,
          .predicted_class = t.predicted_class,
          .predicted_value = t.predicted_value,
          .confidence = t.confidence};
}

// A sink that puts every block in its place: out (n_layer, n_text, dim), depth (n_text) or empty.
EmbeddingSink into(const EmbeddingShape& shape, std::span<float> out, std::span<TextDepth> depth) {
  return [=](const EmbeddingBlock& block) {
    const size_t n = (block.end - block.begin) * shape.dim;
    for (size_t l = 0; l < shape.n_layer; ++l)
      std::copy_n(block.values.data() + l * n, n,
                  out.data() + (l * shape.n_text + block.begin) * shape.dim);
    if (!depth.empty()) std::ranges::copy(block.depth, depth.begin() + std::ptrdiff_t(block.begin));
  };
}

}  // namespace

EmbedSink Embedder::Impl::checked(const Plan& plan, const EmbeddingSink& sink,
                                  Workspace& work) const {
  return [&plan, &sink, &work](const EmbeddedBlock& block) {
    if (!plan.options.allow_nonfinite)
      if (const auto at = find_nonfinite(block.vectors, block.n_vector, block.size()))
        throw Error(concat("text ", block.begin + at->text, ": ",
                           explain_nonfinite(plan.encoder, block.ids, *at, work)));
    std::vector<TextDepth> depth(block.trace.size());
    for (size_t i = 0; i < depth.size(); ++i)
      if (!block.ids[i].empty()) depth[i] = to_public(block.trace[i]);
    sink({.begin = block.begin,
          .end = block.end,
          .n_layer = block.n_vector,
          .dim = block.dim,
          .values = block.vectors,
          .depth = depth});
  };
}

size_t Embedder::Impl::stream(const Plan& plan, std::span<const std::string> texts,
                              const EmbeddingSink& sink) const {
  const Tokenizer& tokenizer = this->tokenizer();
  check_texts(texts, plan.options, plan.encoder.by_pair());
  require_running(plan.options);
  if (texts.empty()) return 0;
  Lease lease(*this);
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  return fathom::embed_texts(plan.encoder, tokenizer, views, lease.work(),
                             checked(plan, sink, lease.work()), stream_options(plan.options))
      .n_token;
}

size_t Embedder::Impl::stream(const Plan& plan, std::span<const std::vector<Token>> texts,
                              const EmbeddingSink& sink) const {
  check_texts(texts, plan.options, plan.encoder.by_pair());
  check_ids(texts, info.n_vocab);
  require_running(plan.options);
  if (texts.empty()) return 0;
  Lease lease(*this);
  return fathom::embed_ids(plan.encoder, texts, lease.work(), checked(plan, sink, lease.work()),
                           stream_options(plan.options))
      .n_token;
}

template <class Text>
Embeddings Embedder::Impl::embed(std::span<const Text> texts, const EmbedOptions& options) const {
  const Plan plan(*this, options);
  const auto [n_layer, n_text, dim] = plan.shape(texts.size());
  Embeddings e{.n_layer = n_layer, .n_text = n_text, .dim = dim};
  e.layers = plan.encoder.options().layers;
  e.values.resize(n_layer * n_text * dim);
  e.depth.resize(plan.policy ? n_text : 0);
  e.n_token = stream(plan, texts, into(plan.shape(texts.size()), e.values, e.depth));
  return e;
}

template <class Text>
void Embedder::Impl::embed_into(std::span<const Text> texts, const EmbedOptions& options,
                                std::span<float> out, std::span<TextDepth> depth) const {
  const Plan plan(*this, options);
  const EmbeddingShape shape = plan.shape(texts.size());
  FATHOM_REQUIRE(out.size() == shape.size(), "out: expected ", shape.n_layer, " x ", shape.n_text,
                 " x ", shape.dim, " = ", shape.size(), " numbers, got ", out.size());
  FATHOM_REQUIRE(depth.empty() || plan.policy, "depth: expected none without a policy, got ",
                 depth.size());
  FATHOM_REQUIRE(depth.empty() || depth.size() == texts.size(), "depth: expected none or ",
                 texts.size(), ", got ", depth.size());
  stream(plan, texts, into(shape, out, depth));
}

HiddenStates Embedder::Impl::hidden_states(std::span<const Token> ids) const {
  if (info.n_block < info.n_layer)
    throw UsageError(concat("hidden_states: expected all ", info.n_layer, " blocks, got ",
                            info.n_block, " (n_block)"));
  Lease lease(*this);
  State state = model.initial_state();
  return {.n_layer = info.n_layer,
          .n_token = ids.size(),
          .d_model = info.d_model,
          .values = fathom::hidden_states(model, ids, 0, state, lease.work())};
}

template Embeddings Embedder::Impl::embed(std::span<const std::string>, const EmbedOptions&) const;
template Embeddings Embedder::Impl::embed(std::span<const std::vector<Token>>,
                                          const EmbedOptions&) const;
template void Embedder::Impl::embed_into(std::span<const std::string>, const EmbedOptions&,
                                         std::span<float>, std::span<TextDepth>) const;
template void Embedder::Impl::embed_into(std::span<const std::vector<Token>>, const EmbedOptions&,
                                         std::span<float>, std::span<TextDepth>) const;

}  // namespace fathom
