// SPDX-License-Identifier: Apache-2.0
#include "encode/embed_texts.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "encode/tokenised_groups.h"

namespace fathom {
namespace {

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

  // ids: of consecutive texts, the first of which has number `begin`. long_text: the tokens of the
  // only one, which has no ids.
  void embed(size_t begin, std::span<const std::vector<Token>> ids, LongText* long_text = nullptr) {
    const size_t n = ids.size();
    vectors_.assign(n * encoder_.n_vector() * encoder_.dim(), 0);
    trace_.assign(encoder_.policy() ? n : 0, {});
    check_stop();
    const std::vector<Request> requests =
        long_text
            ? std::vector<Request>{{.out = vectors_, .step = encoder_.dim(), .source = long_text}}
            : requests_for(begin, ids);
    // The encoder says after each batch how far it is.
    stats_ += encoder_.encode(requests, work_, [&](size_t done) {
      check_stop();
      if (options_.batch) options_.batch(begin + done);
    });
    size_t n_token = long_text ? long_text->n_token() : 0;
    for (const std::vector<Token>& text : ids) n_token += text.size();
    sink_({.begin = begin,
           .end = begin + n,
           .n_vector = encoder_.n_vector(),
           .dim = encoder_.dim(),
           .vectors = vectors_,
           .ids = ids,
           .n_token = n_token,
           .trace = trace_});
    if (options_.progress) options_.progress(begin + n);
  }
  EncodeStats stats() && { return std::move(stats_); }

 private:
  void check_stop() const {
    if (options_.stop.stop_requested()) throw Stopped("stopped before all texts were done");
  }
  std::vector<Request> requests_for(size_t begin, std::span<const std::vector<Token>> ids) {
    const size_t n = ids.size(), dim = encoder_.dim();
    std::vector<Request> requests;
    for (size_t i = 0; i < n; ++i) {
      if (ids[i].empty()) {
        if (options_.no_tokens == NoTokens::kRefuse || encoder_.by_pair()) refuse(begin + i);
        continue;
      }
      requests.push_back({.tokens = ids[i],
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

// Texts that stay in one block.
size_t together_of(const Encoder& encoder, size_t n_text, const EmbedTextsOptions& options) {
  if (encoder.by_pair())
    FATHOM_REQUIRE(n_text % 2 == 0, encoder.policy()->name(),
                   ": decides by pair; expected an even number of texts, got ", n_text);
  return std::lcm(std::max<size_t>(options.together, 1), encoder.by_pair() ? 2 : 1);
}

}  // namespace

EncodeStats embed_texts(const Encoder& encoder, const Tokenizer& tokenizer,
                        std::span<const std::string_view> texts, Workspace& work,
                        const EmbedSink& sink, const EmbedTextsOptions& options) {
  const size_t together = together_of(encoder, texts.size(), options);
  Embedding embedding(encoder, work, sink, options);
  TokenisedGroups groups(tokenizer, texts, limits_of(encoder, options, together));
  while (const auto group = groups.next()) embedding.embed(group->begin, group->ids);
  return std::move(embedding).stats();
}

EncodeStats embed_stream(const Encoder& encoder, const Tokenizer& tokenizer, TextSource& texts,
                         Workspace& work, const EmbedSink& sink, const EmbedTextsOptions& options,
                         size_t long_text) {
  const size_t together = together_of(encoder, 0, options);
  const bool in_parts = tokenizer.takes_parts() && !encoder.policy() && together == 1 &&
                        encoder.options().scan == Scan::kForward;
  GroupLimits limits = limits_of(encoder, options, together);
  limits.longest = in_parts ? long_text : 0;
  Embedding embedding(encoder, work, sink, options);
  TokenisedGroups groups(tokenizer, texts, limits);
  while (const auto group = groups.next())
    embedding.embed(group->begin, group->ids, group->long_text);
  return std::move(embedding).stats();
}

EncodeStats embed_ids(const Encoder& encoder, std::span<const std::vector<Token>> texts,
                      Workspace& work, const EmbedSink& sink, const EmbedTextsOptions& options) {
  const size_t together = together_of(encoder, texts.size(), options);
  const GroupLimits limits = limits_of(encoder, options, together);
  Embedding embedding(encoder, work, sink, options);
  for (size_t begin = 0, end = 0; begin < texts.size(); begin = end) {
    for (size_t n_token = 0;
         end < texts.size() && ((n_token < limits.n_token && end - begin < limits.n_text) ||
                                (end - begin) % together != 0);)
      n_token += texts[end++].size();
    embedding.embed(begin, texts.subspan(begin, end - begin));
  }
  return std::move(embedding).stats();
}

}  // namespace fathom
