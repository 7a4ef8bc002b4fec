// SPDX-License-Identifier: Apache-2.0
// embed_texts(): turns a stream of texts into vectors. It tokenises ahead on another thread, fills
// packed batches, and returns blocks of vectors in the order of the texts. Memory is bounded by the
// block, for any number of texts.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "encode/encoder.h"
#include "encode/text_source.h"
#include "text/tokenizer.h"

namespace fathom {

// What messages call text i; "text 17" where there is nothing better.
using TextPlace = std::function<std::string(size_t)>;

// The vectors of texts [begin, end). All that it shows lasts until the sink returns.
struct EmbeddedBlock {
  size_t begin = 0, end = 0;
  size_t n_vector = 0, dim = 0;         // of a text; numbers of a vector
  std::span<const float> vectors = {};  // (n_vector, end - begin, dim)
  // (end - begin) what the tokenizer made of each; nothing of a long text, which is a block by
  // itself.
  std::span<const std::vector<Token>> ids = {};
  size_t n_token = 0;                      // of all of them
  std::span<const DepthTrace> trace = {};  // (end - begin) under a depth policy, else empty

  size_t size() const { return end - begin; }
  // The vector of text begin + i, (dim).
  std::span<const float> row(size_t vector, size_t i) const {
    return vectors.subspan((vector * size() + i) * dim, dim);
  }
};

// Called on the thread of embed_texts(), which it may keep waiting; may use its workspace.
using EmbedSink = std::function<void(const EmbeddedBlock&)>;

enum class NoTokens : unsigned char {
  kRefuse,  // a text without a token is an Error that names it
  kZero,    // its vectors are zeros, its trace is empty
};

struct EmbedTextsOptions {
  NoTokens no_tokens = NoTokens::kRefuse;
  size_t together = 1;      // texts that stay in one block, counted from text 0; 2: pairs
  size_t max_texts = 1024;  // in a block, at least `together`
  TextPlace place = {};
  std::function<void(size_t)> progress = {};  // called with the number of texts that the sink has
  std::stop_token stop = {};                  // checked between packed batches
  // Called between packed batches, on the calling thread, with the number of texts that are done.
  std::function<void(size_t)> batch = {};
};

// Of embed_stream(): bytes of a text from which on neither it nor its tokens are held as a whole,
// if its tokenizer takes parts, it is read forward alone and no policy looks at it.
inline constexpr size_t kLongText = size_t{1} << 20;

// Vectors are those of Encoder::encode(): they depend on no other text, nor on blocks. Returns what
// all of it cost. Throws Stopped (what the sink got before is whole and right); Error: a text
// without a token, a token id beyond the model's vocabulary, an odd number of texts under a policy
// that decides by pair; and what the sink throws.
// Encoder and tokenizer may be shared by many threads; one caller of a workspace at a time.
EncodeStats embed_texts(const Encoder& encoder, const Tokenizer& tokenizer,
                        std::span<const std::string_view> texts, Workspace& work,
                        const EmbedSink& sink, const EmbedTextsOptions& options = {});
// The same of texts that come one after the other, how many of them is not known. `texts` is read
// on another thread, but for the parts of a long text; nothing reads it when this returns.
EncodeStats embed_stream(const Encoder& encoder, const Tokenizer& tokenizer, TextSource& texts,
                         Workspace& work, const EmbedSink& sink,
                         const EmbedTextsOptions& options = {}, size_t long_text = kLongText);
// The same of texts that are tokens already.
EncodeStats embed_ids(const Encoder& encoder, std::span<const std::vector<Token>> texts,
                      Workspace& work, const EmbedSink& sink,
                      const EmbedTextsOptions& options = {});

}  // namespace fathom
