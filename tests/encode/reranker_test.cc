// SPDX-License-Identifier: Apache-2.0
// The state reranker against its formula in double, on a generated backbone and reranker.
#include "encode/reranker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "encode/embedding_rwkv.h"
#include "encode/trace.h"
#include "model/run_model.h"

namespace fathom::test::reranker_test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::ThrowsMessage;

using Row = LiteralRwkv::Row;
using Texts = std::vector<std::vector<Token>>;

constexpr size_t kBlocks = 3;  // of the backbone

// The two models, and the files they are read from.
class Pair {
 public:
  explicit Pair(size_t n_rerank = kBlocks, DeepEmbed deep_embed = {})
      : backbone(embedding_rwkv(kBlocks, deep_embed)),
        blocks(reranker_blocks(backbone.shape, n_rerank)) {
    write_arrays(folder.file("backbone.st"), embedding_rwkv_arrays(backbone));
  }
  Model open_backbone(const Backend& backend = cpu_backend()) const {
    ModelOptions options;
    options.n_thread = 1;
    return Model::open(folder.file("backbone.st"), backend, options);
  }
  Reranker open(const Model& model, const std::string& contents) const {
    return Reranker::open(folder.write("reranker.pth", contents), model, {});
  }
  std::string file(pickle::Entries more = {}, bool token_weight = false) const {
    return pth(reranker_arrays(blocks, token_weight), std::move(more));
  }

  TempFolder folder;
  SyntheticModel backbone, blocks;
};

pickle::Entries layer_list(const std::vector<int64_t>& layers) {
  return {{"reranker_layer_idx", pickle_list(layers)}};
}

Texts documents() {
  Texts texts;
  for (size_t n : {9, 30, 4, 17}) texts.push_back(random_ids(n, 60000, 80 + texts.size()));
  return texts;
}
Texts queries() { return {random_ids(5, 60000, 90), random_ids(12, 60000, 91)}; }

std::vector<Token> joined(const std::vector<Token>& document, const std::vector<Token>& query) {
  std::vector<Token> ids = document;
  ids.insert(ids.end(), query.begin(), query.end());
  ids.push_back(kEos);
  return ids;
}

const std::vector<float>& values_of(const Arrays& arrays, const std::string& name) {
  for (const Array& a : arrays)
    if (a.name == name) return a.values;
  throw Error("no " + name);
}

// The logit of (document, query) straight from docs/layouts.md.
double literal_logit(const Pair& pair, const std::vector<Token>& document,
                     const std::vector<Token>& query, const std::vector<size_t>& layers) {
  LiteralRwkv rwkv(pair.backbone);
  rwkv.feed(joined(document, query));
  LiteralRwkv rerank(pair.blocks);
  for (size_t i = 0; i < layers.size(); ++i) rerank.carried[i].wkv = rwkv.carried[layers[i]].wkv;
  rerank.feed({0});
  const Arrays head = reranker_arrays(pair.blocks);
  const Row& x = rerank.final;
  double logit = 0;
  for (size_t o = 0; o < x.size(); ++o) {
    double z = values_of(head, "reranker.head.0.bias")[o];
    for (size_t i = 0; i < x.size(); ++i)
      z += double{values_of(head, "reranker.head.0.weight")[o * x.size() + i]} * x[i];
    logit += double{values_of(head, "reranker.head.2.weight")[o]} * std::tanh(z);
  }
  return logit;
}

double logit_of(double score) { return std::log(score / (1 - score)); }

void expect_literal(const Pair& pair, const Reranker& reranker, const std::vector<size_t>& layers) {
  EXPECT_TRUE(std::ranges::equal(reranker.layers(), layers));
  Workspace work(1);
  const auto scores = reranker.rerank(documents(), queries(), 1024, work);
  ASSERT_EQ(scores.size(), 2u * 4u);
  for (size_t q = 0; q < 2; ++q)
    for (size_t d = 0; d < 4; ++d)
      EXPECT_NEAR(logit_of(scores[q * 4 + d]),
                  literal_logit(pair, documents()[d], queries()[q], layers), 1e-4)
          << "query " << q << " document " << d;
}

TEST(Reranker, IsTheFormula) {
  const Pair pair;
  for (const Backend* backend : {&cpu_backend(), &reference_backend()}) {
    const Model model = pair.open_backbone(*backend);
    expect_literal(pair, pair.open(model, pair.file()), {0, 1, 2});
  }
  // The scores differ, or nothing would be tested.
  const Model model = pair.open_backbone();
  const Reranker reranker = pair.open(model, pair.file());
  Workspace work(1);
  auto scores = reranker.rerank(documents(), queries(), 1024, work);
  std::sort(scores.begin(), scores.end());
  for (size_t i = 1; i < scores.size(); ++i) EXPECT_GT(scores[i] - scores[i - 1], 1e-5);
}

// Documents and queries reach channel mix with their tokens, in pieces and in batches; so does the
// reranker's own token.
TEST(Reranker, IsTheFormulaWithDeepEmbed) {
  const Pair pair(kBlocks, {3, 4, true});
  const Model model = pair.open_backbone();
  const Reranker reranker = pair.open(model, pair.file());
  expect_literal(pair, reranker, {0, 1, 2});
  Workspace work(1);
  const auto whole = reranker.rerank(documents(), queries(), 1024, work);
  const auto pieces = reranker.rerank(documents(), queries(), 7, work);
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(whole[i], pieces[i], 1e-6);
}

TEST(Reranker, ReadsTheLayersThatItsFileLists) {
  const Pair pair(2);
  const Model model = pair.open_backbone();
  expect_literal(pair, pair.open(model, pair.file(layer_list({0, 2}))), {0, 2});
  expect_literal(pair, pair.open(model, pair.file(layer_list({1, 0}))), {1, 0});
  expect_literal(pair, pair.open(model, pair.file(layer_list({-1, -3}))), {2, 0});
  // As a tensor.
  Arrays arrays = reranker_arrays(pair.blocks);
  arrays.push_back({"reranker_layer_idx", {2}, {0, 1}});
  expect_literal(pair, pair.open(model, pth(arrays)), {0, 1});
}

TEST(Reranker, KnowsTheNameOfTheTokenInReleasedFiles) {
  const Pair pair;
  const Model model = pair.open_backbone();
  expect_literal(pair, pair.open(model, pair.file({}, true)), {0, 1, 2});
}

TEST(Reranker, ReadsAFileThatHoldsTheBackboneToo) {
  const Pair pair;
  Arrays all = embedding_rwkv_arrays(pair.backbone);
  for (const Array& a : reranker_arrays(pair.blocks)) all.push_back(a);
  write_arrays(pair.folder.file("both.st"), all);
  const Model model = Model::open(pair.folder.file("both.st"), cpu_backend());
  expect_literal(pair, Reranker::open(pair.folder.file("both.st"), model, {}), {0, 1, 2});
}

TEST(Reranker, ContinuingADocumentsStateIsReadingTheWholeText) {
  const Pair pair;
  const Model model = pair.open_backbone();
  const Reranker reranker = pair.open(model, pair.file());
  Workspace work(2);
  const auto scores = reranker.rerank(documents(), queries(), 1024, work);
  for (size_t q = 0; q < 2; ++q)
    for (size_t d = 0; d < 4; ++d) {
      const Trace whole = trace(model, joined(documents()[d], queries()[q]), {}, work);
      std::vector<State> states = {whole.state};
      std::vector<float> score(1);
      reranker.score(states, score, work);
      EXPECT_NEAR(score[0], scores[q * 4 + d], 1e-6);
      if (model.backend().rows_are_exact(Compute::kF32)) {
        EXPECT_EQ(score[0], scores[q * 4 + d]);
      }
      // Not written back: the state can be used again.
      std::vector<State> untouched = {whole.state};
      EXPECT_TRUE(same_bits(states[0], untouched[0]));
    }
}

TEST(Reranker, AScoreDependsOnItsOwnTextsOnly) {
  const Pair pair;
  const Model model = pair.open_backbone();
  if (!model.backend().rows_are_exact(Compute::kF32)) GTEST_SKIP() << "products are not exact";
  const Reranker reranker = pair.open(model, pair.file());
  Workspace one(1), three(3);
  const auto expected = reranker.rerank(documents(), queries(), 1024, one);
  // Documents and queries in pieces, alone, a few at a time.
  for (size_t budget : {1, 4, 13, 31, 60})
    EXPECT_EQ(reranker.rerank(documents(), queries(), budget, three), expected) << budget;
  for (size_t d = 0; d < 4; ++d)
    for (size_t q = 0; q < 2; ++q) {
      const Texts document = {documents()[d]}, query = {queries()[q]};
      EXPECT_THAT(reranker.rerank(document, query, 1024, one), ElementsAre(expected[q * 4 + d]));
    }
}

TEST(Reranker, ReportsProgressInDocuments) {
  const Pair pair;
  const Model model = pair.open_backbone();
  const Reranker reranker = pair.open(model, pair.file());
  Workspace work(1);
  std::vector<size_t> seen;
  reranker.rerank(documents(), queries(), 32, work, [&](size_t done) { seen.push_back(done); });
  EXPECT_THAT(seen, ElementsAre(1, 2, 4));
  EXPECT_THAT(reranker.rerank({}, queries(), 32, work), IsEmpty());
}

TEST(Reranker, Bf16IsNear) {
  if (!cpu_backend().supports(Compute::kBF16)) GTEST_SKIP() << "no bf16 on this machine";
  const Pair pair;
  const Model model = pair.open_backbone();
  ModelOptions options;
  options.compute = Compute::kBF16;
  options.small_as_asked = true;
  const Model rounded_model = Model::open(pair.folder.file("backbone.st"), cpu_backend(), options);
  const Reranker reranker = pair.open(model, pair.file());
  const Reranker rounded = Reranker::open(pair.folder.file("reranker.pth"), rounded_model, options);
  Workspace work(1);
  const auto exact = reranker.rerank(documents(), queries(), 1024, work);
  const auto got = rounded.rerank(documents(), queries(), 1024, work);
  for (size_t i = 0; i < exact.size(); ++i) EXPECT_NEAR(got[i], exact[i], 0.05);
}

// ---- the prompt

TEST(RerankPrompt, IsTheDocumentedText) {
  const RerankPrompt prompt;
  EXPECT_EQ(prompt.document("A b.") + prompt.query("What?"),
            "Instruct: Given a query, retrieve documents that answer the query\n"
            "Document: A b.\nQuery: What?");
  EXPECT_EQ(RerankPrompt{"Find"}.document("x"), "Instruct: Find\nDocument: x\n");
}

TEST(RerankPrompt, NoTokenReachesAcrossTheSeam) {
  const auto path = shared_folder() / "golden/tokenizer/rwkv_vocab_v20230424.txt";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no vocabulary in " << path;
  const auto tokenizer = open_tokenizer(path);
  const RerankPrompt prompt;
  for (const char* document : {"A sentence.", "ends in spaces  ", "ends in lines\n\n",
                               "\xE4\xBD\xA0", "code();", "\t", "\xFF"}) {
    std::vector<Token> parts = tokenizer->encode(prompt.document(document));
    for (Token t : tokenizer->encode(prompt.query("What is it?"))) parts.push_back(t);
    EXPECT_EQ(parts, tokenizer->encode(prompt.document(document) + prompt.query("What is it?")))
        << document;
  }
}

// ---- refusals

TEST(Reranker, FilesThatAreNoneAreRefused) {
  const Pair pair;
  const Model model = pair.open_backbone();
  const auto refused = [&](const std::string& contents, auto matcher) {
    EXPECT_THAT(refusal([&] { pair.open(model, contents); }),
                AllOf(HasSubstr("reranker.pth"), matcher));
  };
  refused(pth(embedding_rwkv_arrays(embedding_rwkv(1))), HasSubstr("reranker.head.0.weight"));
  for (const char* name : {"reranker.head.0.bias", "reranker.head.2.weight", "reranker.ln_out.bias",
                           "reranker.blocks.1.att.r_k", "reranker.emb.weight"}) {
    Arrays arrays = reranker_arrays(pair.blocks);
    std::erase_if(arrays, [&](const Array& a) { return a.name == name; });
    refused(pth(arrays), HasSubstr(std::string(name).substr(9)));
  }
  Arrays narrow = reranker_arrays(pair.blocks);
  narrow[2].shape = {16};
  refused(pth(narrow), AllOf(HasSubstr("head.2.weight"), HasSubstr("(1, 16)"), HasSubstr("(16)")));
  EXPECT_THAT([&] { Reranker::open(pair.folder.file("absent.pth"), model, {}); },
              ThrowsMessage<Error>(HasSubstr("absent.pth")));
}

TEST(Reranker, LayersThatDoNotFitAreRefused) {
  const Pair pair(2);
  const Model model = pair.open_backbone();
  const auto refused = [&](pickle::Entries more, auto matcher) {
    EXPECT_THAT(refusal([&] { pair.open(model, pair.file(std::move(more))); }), matcher);
  };
  refused({}, AllOf(HasSubstr("2 blocks"), HasSubstr("expected 3")));
  refused(layer_list({0, 1, 2}), HasSubstr("expected 3"));
  refused(layer_list({0, 3}), AllOf(HasSubstr("reranker_layer_idx"), HasSubstr("got 3")));
  refused(layer_list({0, -4}), HasSubstr("got -4"));
  refused({{"reranker_layer_idx", pickle::text("0,1")}}, HasSubstr("list of integers"));
  Arrays arrays = reranker_arrays(pair.blocks);
  arrays.push_back({"reranker_layer_idx", {2}, {NAN, 1}});
  EXPECT_THAT(refusal([&] { pair.open(model, pth(arrays)); }), HasSubstr("layer numbers"));
}

TEST(Reranker, BackbonesThatDoNotFitAreRefused) {
  const Pair pair;
  const std::string file = pair.folder.write("reranker.pth", pair.file());
  const auto refused = [&](Shape shape, auto matcher) {
    const Model model = open_blinkdl(make_model(shape), cpu_backend());
    EXPECT_THAT(refusal([&] { Reranker::open(file, model, {}); }), matcher);
  };
  Shape shape = pair.backbone.shape;
  shape.head_size = 4;
  refused(shape, AllOf(HasSubstr("2 heads of 8"), HasSubstr("4 heads of 4")));
  shape = pair.backbone.shape;
  shape.n_vocab = 65535;
  refused(shape, AllOf(HasSubstr("n_vocab is 65535"), HasSubstr("65535, the end of text")));
  shape.version = Version::kV6;
  refused(shape, HasSubstr("RWKV-6"));
}

TEST(Reranker, EmptyAndUnknownTokensAreRefused) {
  const Pair pair;
  const Model model = pair.open_backbone();
  const Reranker reranker = pair.open(model, pair.file());
  Workspace work(1);
  EXPECT_THAT(
      [&] {
        reranker.rerank(Texts{{1}, {}}, queries(), 8, work);
      },
      ThrowsMessage<Error>(HasSubstr("empty")));
  EXPECT_THAT([&] { reranker.rerank(Texts{{65536}}, queries(), 8, work); },
              ThrowsMessage<Error>(HasSubstr("65536")));
}

// ---- what info tells

TEST(Reranker, TellsWhatItsFileIs) {
  const Pair pair(2);
  const Checkpoint file =
      Checkpoint::open(pair.folder.write("r.pth", pair.file(layer_list({0, 2}))));
  EXPECT_TRUE(is_reranker(file));
  EXPECT_FALSE(is_reranker(Checkpoint::open(pair.folder.file("backbone.st"))));
  const Model blocks = Model::open(
      pair.folder.file("r.pth"), cpu_backend(),
      {.compute = Compute::kF32, .n_thread = 1, .prefix = kRerankerPrefix, .ln_x_eps = {}});
  ModelInfo info = blocks.info();
  EXPECT_EQ(info.ignored.size(), 3u);
  account_for_reranker(file, info);
  EXPECT_THAT(info.ignored, IsEmpty());
  EXPECT_THAT(info.notes, Contains(AllOf(HasSubstr("state reranker"), HasSubstr("0, 2"))));
}

}  // namespace
}  // namespace fathom::test::reranker_test
