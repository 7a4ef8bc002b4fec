// SPDX-License-Identifier: Apache-2.0
#include "encode/embed_texts.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "encode/tokenised_groups.h"

namespace fathom {
namespace {

bool by_pair(const Encoder& encoder) { return encoder.policy() && encoder.policy()->by_pair(); }

// Enough to fill many batches, so that little is lost in the last one; few enough that the vectors
// of a block stay within bounds: those of states, or of all layers, are long.
GroupLimits limits_of(const Encoder& encoder, const EmbedTextsOptions& options, size_t together) {
  constexpr size_t kMaxFloats = size_t{1} << 25, kBatches = 16;
  const size_t floats = std::max<size_t>(encoder.n_vector() * encoder.dim(), 1);
  const size_t n_text = std::min(options.max_texts, kMaxFloats / floats);
  return {.n_token = kBatches * encoder.options().batch_tokens,
          .n_text = std::max<size_t>(n_text / together, 1) * together,
          .multiple = together};
}

// Embeds one group after the other; a text without a token keeps zeros.
class Embedding {
 public:
  Embedding(const Encoder& encoder, Workspace& work, const EmbedSink& sink,
            const EmbedTextsOptions& options)
      : encoder_(encoder), work_(work), sink_(sink), options_(options) {}

  void embed(const TokenisedGroups::Group& group) {
    const size_t n = group.ids.size();
    vectors_.assign(n * encoder_.n_vector() * encoder_.dim(), 0);
    trace_.assign(encoder_.policy() ? n : 0, {});
    check_stop();
    // The encoder says after each batch how far it is.
    stats_ += encoder_.encode(requests_for(group), work_, [&](size_t) { check_stop(); });
    sink_({.begin = group.begin,
           .end = group.end,
           .n_vector = encoder_.n_vector(),
           .dim = encoder_.dim(),
           .vectors = vectors_,
           .ids = group.ids,
           .trace = trace_});
    if (options_.progress) options_.progress(group.end);
  }
  EncodeStats stats() && { return std::move(stats_); }

 private:
  void check_stop() const {
    if (options_.stop.stop_requested()) throw Stopped();
  }
  std::vector<Request> requests_for(const TokenisedGroups::Group& group) {
    const size_t n = group.ids.size(), dim = encoder_.dim();
    std::vector<Request> requests;
    for (size_t i = 0; i < n; ++i) {
      if (group.ids[i].empty()) {
        if (options_.no_tokens == NoTokens::kRefuse || by_pair(encoder_)) refuse(group.begin + i);
        continue;
      }
      requests.push_back({.tokens = group.ids[i],
                          .out = std::span(vectors_).subspan(i * dim),
                          .step = n * dim,
                          .trace = trace_.empty() ? nullptr : &trace_[i]});
    }
    return requests;
  }
  [[noreturn]] void refuse(size_t text) const {
    throw Error(concat(options_.place ? options_.place(text) : concat("text ", text + 1),
                       ": no token in it: nothing to embed"));
  }

  const Encoder& encoder_;
  Workspace& work_;
  const EmbedSink& sink_;
  const EmbedTextsOptions& options_;
  std::vector<float> vectors_;     // (n_vector, n_text of the group, dim)
  std::vector<DepthTrace> trace_;  // (n_text of the group) or empty
  EncodeStats stats_;
};

}  // namespace

EncodeStats embed_texts(const Encoder& encoder, const Tokenizer& tokenizer,
                        std::span<const std::string_view> texts, Workspace& work,
                        const EmbedSink& sink, const EmbedTextsOptions& options) {
  const size_t together = std::lcm(std::max<size_t>(options.together, 1), by_pair(encoder) ? 2 : 1);
  if (by_pair(encoder))
    FATHOM_REQUIRE(texts.size() % 2 == 0, encoder.policy()->name(),
                   ": decides by pair; expected an even number of texts, got ", texts.size());
  Embedding embedding(encoder, work, sink, options);
  TokenisedGroups groups(tokenizer, texts, limits_of(encoder, options, together));
  while (const auto group = groups.next()) embedding.embed(*group);
  return std::move(embedding).stats();
}

}  // namespace fathom
