// SPDX-License-Identifier: Apache-2.0
// Everything that a caller can get wrong is an Error that names it; nothing ends the process.
#include <cmath>
#include <functional>
#include <limits>

#include "api/api_models.h"
#include "base/error_of.h"
#include "formats/write_safetensors.h"

namespace fathom::test::embedder_errors_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class EmbedderErrors : public testing::Test {
 protected:
  const TempFolder folder_;
  const std::string path_ = byte_model(folder_);
  const Embedder e_ = Embedder::open(path_, {.threads = 1});
  const std::vector<std::string> texts_ = {"one", "two", "three"};

  // A UsageError whose message holds both; vectors() and shape() say the same.
  void expect_usage(const EmbedOptions& options, const std::string& field,
                    const std::string& got) const {
    EXPECT_THROW(e_.shape(3, options), UsageError) << field;
    EXPECT_THROW(e_.embed(texts_, options), UsageError) << field;
    EXPECT_THAT(error_of([&] { e_.embed(texts_, options); }),
                AllOf(HasSubstr(field), HasSubstr(got)));
  }
};

TEST_F(EmbedderErrors, OfOptionsThatTheModelHasNot) {
  expect_usage({.layers = {1, 9}}, "layer", "9");
  expect_usage({.layers = {SIZE_MAX - 1}}, "layer", std::to_string(SIZE_MAX - 1));
  expect_usage({.layers = {0}, .pooling = Pooling::kState}, "state", "0");
  expect_usage({.layers = {kFinalLayer}, .pooling = Pooling::kStateCols}, "state", "final");
  expect_usage({.bos = 256}, "bos", "256");
  expect_usage({.pooling = Pooling::kEos}, "eos", "65535");
  expect_usage({.batch_tokens = 0}, "batch_tokens", "0");
  expect_usage({.dimensions = 0}, "dimensions", "0");
  expect_usage({.dimensions = e_.info().d_model + 1}, "dimensions",
               std::to_string(e_.info().d_model + 1));
  expect_usage({.batch_tokens = SIZE_MAX}, "batch_tokens", std::to_string(SIZE_MAX));
  expect_usage({.layers = {1}, .norm = Norm::kLnOut, .head = {}, .depth = e_.policy("fixed:1")},
               "fixed:1", "layer");
  // Values beyond the enumerators.
  expect_usage({.pooling = static_cast<Pooling>(77)}, "pooling", "77");
  expect_usage({.norm = static_cast<Norm>(2)}, "norm", "2");
  expect_usage({.scan = static_cast<Scan>(4)}, "scan", "4");
  expect_usage({.head = static_cast<HeadKind>(3)}, "head", "3");
  expect_usage({.empty = static_cast<EmptyText>(9)}, "empty", "9");
}

TEST_F(EmbedderErrors, OfOptionsThatExcludeEachOther) {
  EXPECT_THROW(e_.shape(1, {.layers = {1}, .pooling = Pooling::kState, .norm = Norm::kLnOut}),
               UsageError);
  // The model has no task heads.
  EXPECT_THROW(e_.shape(1, {.pooling = Pooling::kEos, .eos = 0, .head = HeadKind::kSts}), Error);
}

TEST_F(EmbedderErrors, OfTexts) {
  EXPECT_THAT(error_of([&] {
                e_.embed(std::vector<std::string>{"a", ""});
              }),
              HasSubstr("text 1: expected at least one byte, got none"));
  using Ids = std::vector<std::vector<Token>>;
  EXPECT_THAT(error_of([&] {
                e_.embed_ids(Ids{{1}, {2}, {}});
              }),
              HasSubstr("text 2: expected at least one token id, got none"));
  EXPECT_THAT(error_of([&] {
                e_.embed_ids(Ids{{1}, {2, 256}});
              }),
              HasSubstr("text 1: token 1: expected an id below 256, got 256"));
  EXPECT_THAT(error_of([&] { e_.decode(std::vector<Token>{256}); }), HasSubstr("256"));
}

TEST_F(EmbedderErrors, OfBuffers) {
  std::vector<float> out(3 * 24 + 1);
  EXPECT_THAT(error_of([&] { e_.embed_into(texts_, {}, out); }),
              HasSubstr("out: expected 1 x 3 x 24 = 72 numbers, got 73"));
  out.resize(72);
  std::vector<TextDepth> depth(3);
  EXPECT_THAT(error_of([&] { e_.embed_into(texts_, {}, out, depth); }),
              HasSubstr("depth: expected none without a policy"));
  depth.resize(2);
  EXPECT_THAT(error_of([&] { e_.embed_into(texts_, {.depth = e_.policy("fixed:1")}, out, depth); }),
              HasSubstr("depth: expected none or 3, got 2"));
  const Embeddings v = e_.embed(texts_);
  EXPECT_THROW(v.row(0, 3), Error);
  EXPECT_THROW(v.row(1, 0), Error);
  EXPECT_THROW(e_.embed(texts_, {}, EmbeddingSink()), UsageError);
}

TEST_F(EmbedderErrors, OfPolicies) {
  for (const char* text : {"", "fixed", "fixed:", "fixed:4", "fixed:-1", "nonsense:3", "exit:"})
    EXPECT_THROW(e_.policy(text), UsageError) << text;
  EXPECT_THAT(error_of([&] { e_.policy("exit:no such file"); }), HasSubstr("no such file"));
  EXPECT_THAT(error_of([&] { e_.policy("mask:" + path_); }), HasSubstr("model.safetensors"));
  const Embedder other = Embedder::open(path_, {.threads = 1});
  EXPECT_THAT(error_of([&] { e_.embed(texts_, {.depth = other.policy("fixed:1")}); }),
              HasSubstr("another Embedder"));
  EXPECT_THROW(e_.layers("1,99"), UsageError);
  EXPECT_THROW(e_.layers(""), UsageError);
}

TEST_F(EmbedderErrors, OfOpening) {
  const auto error = [&](const EmbedderOptions& options) {
    return error_of([&] { Embedder::open(path_, options); });
  };
  EXPECT_THAT(error_of([] { Embedder::open("no/such/model.pth"); }),
              HasSubstr("no/such/model.pth"));
  EXPECT_THROW(Embedder::open(""), Error);
  EXPECT_THAT(error_of([&] { Embedder::open(folder_.write("x.pth", "not a model")); }),
              HasSubstr("x.pth"));
  EXPECT_THAT(error({.dtype = static_cast<DType>(4)}), HasSubstr("dtype"));
  EXPECT_THAT(error({.threads = 1025}), HasSubstr("threads: expected 0 to 1024, got 1025"));
  EXPECT_THAT(error({.vocabulary = "no vocabulary"}), HasSubstr("no vocabulary"));
  EXPECT_THAT(error({.backend = "gpu"}), HasSubstr("gpu"));
  EXPECT_THAT(error({.adapter = "no adapter"}), HasSubstr("no adapter"));
  EXPECT_THAT(error({.ln_x_eps = 0.0f}), HasSubstr("ln_x_eps"));
  EXPECT_THAT(error({.ln_eps = std::numeric_limits<float>::infinity()}), HasSubstr("ln_eps"));
  EXPECT_THAT(error({.ln_eps = std::nanf("")}), HasSubstr("ln_eps"));
  EXPECT_THAT(error({.n_block = 4}), HasSubstr("n_block: expected 0 to 3, got 4"));
}

TEST_F(EmbedderErrors, OfLayersThatWereNotKept) {
  const Embedder shallow = Embedder::open(path_, {.threads = 1, .n_block = 2});
  EXPECT_EQ(shallow.info().n_block, 2u);
  EXPECT_TRUE(same_bits(shallow.embed(texts_, {.layers = {2}}).values,
                        e_.embed(texts_, {.layers = {2}}).values));
  EXPECT_THROW(shallow.embed(texts_, {.layers = {3}}), UsageError);
  EXPECT_THROW(shallow.embed(texts_), UsageError);  // the final layer
}

TEST_F(EmbedderErrors, WithoutAVocabularyOnlyIdsWork) {
  Shape shape = byte_shape();
  shape.n_vocab = 37;
  const TempFolder folder;
  const std::string path = folder.file("model.safetensors");
  write_arrays(path, make_model(shape).arrays);
  const Embedder e = Embedder::open(path, {.threads = 1});
  EXPECT_EQ(e.info().vocabulary, "");
  for (const auto& call : std::vector<std::function<void()>>{
           [&] { e.tokenize("a"); }, [&] { e.decode({}); }, [&] { e.embed(texts_); }})
    EXPECT_THAT(error_of(call), HasSubstr("no vocabulary"));
  EXPECT_EQ(e.embed_ids(std::vector<std::vector<Token>>{{1, 2}, {36}}).n_text, 2u);
}

TEST_F(EmbedderErrors, OfVectorsThatAreNotFinite) {
  SyntheticModel m = make_model(byte_shape());
  for (Array& a : m.arrays)
    if (a.name == "emb.weight")
      for (size_t i = 0; i < 24; ++i)
        a.values['w' * 24 + i] = std::numeric_limits<float>::quiet_NaN();
  const TempFolder folder;
  const std::string path = folder.file("model.safetensors");
  write_arrays(path, m.arrays);
  const Embedder e = Embedder::open(path, {.threads = 1});
  EXPECT_THAT(error_of([&] { e.embed(texts_, {.layers = {1}}); }),
              AllOf(HasSubstr("text 1: "), HasSubstr("layer 1"), HasSubstr("not finite")));
  const Embeddings v = e.embed(texts_, {.layers = {1}, .allow_nonfinite = true});
  EXPECT_TRUE(std::isnan(v.row(0, 1)[0]));
  EXPECT_TRUE(std::isfinite(v.row(0, 0)[0]));
}

}  // namespace
}  // namespace fathom::test::embedder_errors_test
