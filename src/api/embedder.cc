// SPDX-License-Identifier: Apache-2.0
// The public classes: each function finds what is behind it and lets no foreign exception out.
#include <fathom/embedder.h>

#include <atomic>
#include <exception>
#include <filesystem>
#include <system_error>

#include "api/embedder_impl.h"
#include "base/error.h"
#include "depth/layers.h"
#include "encode/task_heads.h"

namespace fathom {
namespace {

// fathom/error.h promises that data and requests end in an Error.
template <class Work>
decltype(auto) as_errors(Work&& work) {
  try {
    return work();
  } catch (const std::filesystem::filesystem_error& e) {
    throw Error(concat(e.path1().string(), ": ", e.code().message()));
  } catch (const std::system_error& e) {  // a thread that could not be started
    throw Error(e.what());
  }
}

// The same around a caller's own function, whose exceptions are the caller's.
template <class Work>
void with_sink(const EmbeddingSink& sink, Work&& work) {
  if (!sink) throw UsageError("sink: expected a function, got none");
  std::exception_ptr own;
  const EmbeddingSink noted = [&](const EmbeddingBlock& block) {
    try {
      sink(block);
    } catch (...) {
      own = std::current_exception();
      throw;
    }
  };
  try {
    as_errors([&] { work(noted); });
  } catch (...) {
    if (own) std::rethrow_exception(own);
    throw;
  }
}

uint64_t next_id() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

std::optional<std::filesystem::path> given(const std::filesystem::path& path) {
  return path.empty() ? std::nullopt : std::optional(path);
}

Info info_of(const Model& model, const Vocabulary& vocabulary) {
  const Config& c = model.config();
  ModelInfo i = model.info();
  return {.path = model.checkpoint().files().front().string(),
          .version = std::string(name_of(c)),
          .layout = std::string(name_of(i.layout)),
          .stored_dtype = i.stored_dtype,
          .dtype = dtype_of(model.compute()),
          .backend = std::string(model.backend().name()),
          .n_layer = c.n_layer,
          .n_block = model.n_block(),
          .d_model = c.d_model,
          .n_vocab = c.n_vocab,
          .n_parameter = i.n_parameter,
          .weight_bytes = model.weight_bytes(),
          .vocabulary = vocabulary.tokenizer ? vocabulary.source : std::string(),
          .heads = heads_in(model.checkpoint()),
          .notes = i.notes,
          .messages = i.messages};
}

}  // namespace

const char* version() noexcept { return FATHOM_VERSION_STRING; }

std::span<const float> Embeddings::row(size_t layer, size_t text) const {
  FATHOM_REQUIRE(layer < n_layer && text < n_text, "row: expected a layer below ", n_layer,
                 " and a text below ", n_text, ", got ", layer, " and ", text);
  return std::span(values).subspan((layer * n_text + text) * dim, dim);
}

std::string Policy::name() const { return impl_ ? impl_->choice.policy->name() : "full"; }
bool Policy::by_pair() const { return impl_ && impl_->choice.policy->by_pair(); }

Embedder::Impl::Impl(const std::filesystem::path& path, const EmbedderOptions& options)
    : id(next_id()),
      model(Model::open(path, fathom::backend(options.backend), model_options(options))),
      vocabulary(
          find_vocabulary(model.checkpoint(), model.config().n_vocab, given(options.vocabulary))),
      info(info_of(model, vocabulary)),
      n_thread_(options.threads ? options.threads : available_threads()) {
  note_process();
}

const Tokenizer& Embedder::Impl::tokenizer() const {
  FATHOM_REQUIRE(vocabulary.tokenizer, "no vocabulary: ", vocabulary.source,
                 "; expected EmbedderOptions::vocabulary (token ids work without one)");
  return *vocabulary.tokenizer;
}

Embedder::Impl::Plan::Plan(const Impl& impl, const EmbedOptions& asked)
    : options(asked),
      policy(asked.depth.impl_),
      encoder(impl.model,
              encode_options(asked, policy ? &policy->choice : nullptr, impl.model.config()),
              policy ? policy->choice.policy.get() : nullptr) {
  if (policy && policy->owner != impl.id)
    throw UsageError(concat("depth: the policy ", asked.depth.name(),
                            " was made by another Embedder; expected one of this"));
}

Embedder::Embedder(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
Embedder::Embedder(const Embedder& other) noexcept = default;
Embedder& Embedder::operator=(const Embedder& other) noexcept = default;
Embedder::~Embedder() = default;

Embedder Embedder::open(const std::filesystem::path& model, const EmbedderOptions& options) {
  return as_errors([&] { return Embedder(std::make_shared<const Impl>(model, options)); });
}

const Info& Embedder::info() const noexcept { return impl_->info; }

std::vector<Token> Embedder::tokenize(std::string_view text) const {
  return impl_->tokenizer().encode(text);
}

std::string Embedder::decode(std::span<const Token> ids) const {
  return impl_->tokenizer().decode(ids);
}

std::vector<size_t> Embedder::layers(std::string_view list) const {
  return parse_layers(list, info().n_layer, "layers");
}

Policy Embedder::policy(std::string_view depth) const {
  return as_errors([&] {
    DepthChoice choice = open_depth(depth, impl_->model);
    if (!choice.policy) return Policy();
    return Policy(std::make_shared<const Policy::Impl>(std::move(choice), impl_->id));
  });
}

EmbeddingShape Embedder::shape(size_t n_text, const EmbedOptions& options) const {
  return as_errors([&] { return Impl::Plan(*impl_, options).shape(n_text); });
}

Embeddings Embedder::embed(std::span<const std::string> texts, const EmbedOptions& options) const {
  return as_errors([&] { return impl_->embed(texts, options); });
}

void Embedder::embed(std::span<const std::string> texts, const EmbedOptions& options,
                     const EmbeddingSink& sink) const {
  with_sink(sink, [&](const EmbeddingSink& noted) {
    impl_->stream(Impl::Plan(*impl_, options), texts, noted);
  });
}

void Embedder::embed_into(std::span<const std::string> texts, const EmbedOptions& options,
                          std::span<float> out, std::span<TextDepth> depth) const {
  as_errors([&] { impl_->embed_into(texts, options, out, depth); });
}

Embeddings Embedder::embed_ids(std::span<const std::vector<Token>> texts,
                               const EmbedOptions& options) const {
  return as_errors([&] { return impl_->embed(texts, options); });
}

void Embedder::embed_ids(std::span<const std::vector<Token>> texts, const EmbedOptions& options,
                         const EmbeddingSink& sink) const {
  with_sink(sink, [&](const EmbeddingSink& noted) {
    impl_->stream(Impl::Plan(*impl_, options), texts, noted);
  });
}

void Embedder::embed_ids_into(std::span<const std::vector<Token>> texts,
                              const EmbedOptions& options, std::span<float> out,
                              std::span<TextDepth> depth) const {
  as_errors([&] { impl_->embed_into(texts, options, out, depth); });
}

HiddenStates Embedder::hidden_states(std::span<const Token> ids) const {
  return as_errors([&] { return impl_->hidden_states(ids); });
}

}  // namespace fathom
