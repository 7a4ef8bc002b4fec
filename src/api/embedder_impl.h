// SPDX-License-Identifier: Apache-2.0
// What stands behind the public classes. Nothing outside api/ includes this.
#pragma once

#include <fathom/embedder.h>

#include <memory>
#include <optional>
#include <vector>

#include "api/engine_options.h"
#include "depth/policy_file.h"
#include "encode/embed_texts.h"
#include "encode/encoder.h"
#include "encode/vocabulary.h"
#include "model/model.h"

// Members of a class that is shown, which are not.
#define FATHOM_HIDDEN __attribute__((visibility("hidden")))

namespace fathom {

struct FATHOM_HIDDEN Policy::Impl {
  Impl(DepthChoice c, uint64_t id) : choice(std::move(c)), owner(id) {}

  const DepthChoice choice;  // with a policy
  const uint64_t owner;      // Embedder::Impl::id of the one that may use it
};

// Shared by all copies of an Embedder, and by threads.
struct FATHOM_HIDDEN Embedder::Impl {
  Impl(const std::filesystem::path& path, const EmbedderOptions& options);
  ~Impl();

  const Tokenizer& tokenizer() const;  // throws Error

  // An encoder and what it was made from, which must not move. Throws UsageError.
  struct Plan {
    Plan(const Impl& impl, const EmbedOptions& options);
    Plan(const Plan&) = delete;
    Plan& operator=(const Plan&) = delete;

    const EmbedOptions& options;
    std::shared_ptr<const Policy::Impl> policy;  // nullptr: full
    Encoder encoder;

    EmbeddingShape shape(size_t n_text) const {
      return {encoder.n_vector(), n_text, encoder.dim()};
    }
  };

  // Both forms of texts: every call ends here. What the sink throws comes out as it is. Returns the
  // tokens read.
  size_t stream(const Plan& plan, std::span<const std::string> texts,
                const EmbeddingSink& sink) const;
  size_t stream(const Plan& plan, std::span<const std::vector<Token>> texts,
                const EmbeddingSink& sink) const;

  template <class Text>
  Embeddings embed(std::span<const Text> texts, const EmbedOptions& options) const;
  template <class Text>
  void embed_into(std::span<const Text> texts, const EmbedOptions& options, std::span<float> out,
                  std::span<TextDepth> depth) const;
  HiddenStates hidden_states(std::span<const Token> ids) const;

  const uint64_t id;
  const Model model;
  const Vocabulary vocabulary;
  const Info info;

 private:
  class Lease;
  void note_process() const;          // from now on forks are counted
  void forget_other_process() const;  // under the mutex
  // What turns blocks of the engine into those of the public sink. All of it must outlive the result.
  EmbedSink checked(const Plan& plan, const EmbeddingSink& sink, Workspace& work) const;

  const size_t n_thread_;
  // Guarded by the mutex of stream.cc.
  mutable std::vector<std::unique_ptr<Workspace>> idle_;
  mutable size_t n_lease_ = 0;    // workspaces in use
  mutable uint64_t process_ = 0;  // whose they are: Lease forgets those of a process that forked
};

}  // namespace fathom
