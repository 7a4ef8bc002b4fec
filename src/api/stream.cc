// SPDX-License-Identifier: Apache-2.0
// From texts to blocks of vectors: what every embed function of the public interface does.
#include <algorithm>
#include <utility>

#include "api/embedder_impl.h"
#include "base/error.h"
#include "encode/nonfinite.h"
#include "encode/tokenised_groups.h"

namespace fathom {

// Consecutive texts. ids is empty for an empty text.
struct Embedder::Impl::Group {
  size_t begin = 0;
  std::vector<std::vector<Token>> ids;
};

// A workspace that no other call has.
class Embedder::Impl::Lease {
 public:
  explicit Lease(const Impl& impl) : impl_(impl) {
    {
      const std::lock_guard lock(impl.mutex_);
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
      const std::lock_guard lock(impl.mutex_);
      --impl.n_lease_;
      throw;
    }
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    const std::lock_guard lock(impl_.mutex_);
    --impl_.n_lease_;
    impl_.idle_.push_back(std::move(work_));
  }

  Workspace& work() { return *work_; }

 private:
  const Impl& impl_;
  std::unique_ptr<Workspace> work_;
};

namespace {

void require_running(const EmbedOptions& options) {
  if (options.stop.stop_requested()) throw Stopped("stopped before all texts were embedded");
}

// Whatever can be wrong with a text is told before the work begins.
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

// Groups large enough to fill batches, small enough to stream (flattened states are long), and
// even, for policies that decide by pair.
GroupLimits group_limits(const Encoder& encoder) {
  constexpr size_t kMaxTexts = 1024, kMaxFloats = size_t{1} << 26, kBatches = 16;
  const size_t floats = encoder.n_vector() * encoder.dim();
  return {.n_token = kBatches * encoder.options().batch_tokens,
          .n_text = std::clamp<size_t>(kMaxFloats / floats / 2, 1, kMaxTexts / 2) * 2,
          .multiple = 2};
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

void Embedder::Impl::check_finite(const Plan& plan, std::span<const float> vectors,
                                  std::span<const std::vector<Token>> ids,
                                  std::span<const size_t> text, Workspace& work) const {
  if (plan.options.allow_nonfinite || ids.empty()) return;
  if (const auto at = find_nonfinite(vectors, plan.encoder.n_vector(), ids.size()))
    throw Error(
        concat("text ", text[at->text], ": ", explain_nonfinite(plan.encoder, ids, *at, work)));
}

void Embedder::Impl::embed_group(const Plan& plan, Group group, const EmbeddingSink& sink,
                                 Workspace& work, size_t& n_token) const {
  const size_t n = group.ids.size();
  const auto [n_vector, n_text, dim] = plan.shape(n);
  std::vector<std::vector<Token>> ids;
  std::vector<size_t> text;  // the number of each
  for (size_t i = 0; i < n; ++i) {
    if (group.ids[i].empty()) continue;
    ids.push_back(std::move(group.ids[i]));
    text.push_back(group.begin + i);
  }
  std::vector<float> dense(n_vector * ids.size() * dim);
  std::vector<DepthTrace> traces(plan.policy ? ids.size() : 0);
  const auto progress = [&](size_t) { require_running(plan.options); };
  n_token += plan.encoder.encode(ids, dense, work, progress, traces).n_token;
  check_finite(plan, dense, ids, text, work);

  std::vector<TextDepth> depth(plan.policy ? n : 0);
  for (size_t i = 0; i < traces.size(); ++i) depth[text[i] - group.begin] = to_public(traces[i]);
  if (ids.size() < n) {  // an empty text becomes zeros
    std::vector<float> all(n_vector * n * dim, 0);
    for (size_t v = 0; v < n_vector; ++v)
      for (size_t i = 0; i < text.size(); ++i)
        std::copy_n(dense.data() + (v * text.size() + i) * dim, dim,
                    all.data() + (v * n + text[i] - group.begin) * dim);
    dense = std::move(all);
  }
  sink({.begin = group.begin,
        .end = group.begin + n,
        .n_layer = n_vector,
        .dim = dim,
        .values = dense,
        .depth = depth});
}

size_t Embedder::Impl::stream(const Plan& plan, std::span<const std::string> texts,
                              const EmbeddingSink& sink) const {
  const Tokenizer& tokenizer = this->tokenizer();
  check_texts(texts, plan.options, plan.by_pair());
  require_running(plan.options);
  if (texts.empty()) return 0;
  Lease lease(*this);
  size_t n_token = 0;
  TokenisedGroups groups(tokenizer, texts, group_limits(plan.encoder));
  while (auto group = groups.next()) {
    for (size_t i = group->begin; i < group->end; ++i)
      FATHOM_REQUIRE(!group->ids[i - group->begin].empty() || texts[i].empty(), "text ", i,
                     ": the tokenizer makes no token of it");
    embed_group(plan, {group->begin, std::move(group->ids)}, sink, lease.work(), n_token);
  }
  return n_token;
}

size_t Embedder::Impl::stream(const Plan& plan, std::span<const std::vector<Token>> texts,
                              const EmbeddingSink& sink) const {
  check_texts(texts, plan.options, plan.by_pair());
  check_ids(texts, info.n_vocab);
  require_running(plan.options);
  if (texts.empty()) return 0;
  Lease lease(*this);
  const GroupLimits limits = group_limits(plan.encoder);
  size_t n_token = 0;
  for (size_t begin = 0; begin < texts.size();) {
    size_t end = begin, in_group = 0;
    while (end < texts.size() && ((in_group < limits.n_token && end - begin < limits.n_text) ||
                                  (end - begin) % limits.multiple != 0))
      in_group += texts[end++].size();
    const auto part = texts.subspan(begin, end - begin);
    embed_group(plan, {begin, {part.begin(), part.end()}}, sink, lease.work(), n_token);
    begin = end;
  }
  return n_token;
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

template Embeddings Embedder::Impl::embed(std::span<const std::string>, const EmbedOptions&) const;
template Embeddings Embedder::Impl::embed(std::span<const std::vector<Token>>,
                                          const EmbedOptions&) const;
template void Embedder::Impl::embed_into(std::span<const std::string>, const EmbedOptions&,
                                         std::span<float>, std::span<TextDepth>) const;
template void Embedder::Impl::embed_into(std::span<const std::vector<Token>>, const EmbedOptions&,
                                         std::span<float>, std::span<TextDepth>) const;

}  // namespace fathom
