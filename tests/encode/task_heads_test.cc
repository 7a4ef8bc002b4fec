// SPDX-License-Identifier: Apache-2.0
// EmbeddingRWKV: task heads and EOS pooling against the formula in double, and the golden arrays.
#include "encode/task_heads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "encode/embedding_rwkv.h"
#include "encode/encoder.h"
#include "encode/trace.h"
#include "model/run_model.h"

namespace fathom::test::task_heads_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::ThrowsMessage;

using Row = LiteralRwkv::Row;
using Texts = std::vector<std::vector<Token>>;

constexpr HeadKind kHeads[] = {HeadKind::kCls, HeadKind::kSts, HeadKind::kRetr};

Model open_arrays(const Arrays& arrays, const Backend& backend, Compute compute = Compute::kF32) {
  const TempFolder folder;
  write_arrays(folder.file("m.safetensors"), arrays);
  ModelOptions options;
  options.compute = compute;
  options.small_as_asked = true;
  options.n_thread = 1;
  return Model::open(folder.file("m.safetensors"), backend, options);
}

Texts some_texts() {
  Texts texts;
  for (size_t n : {6, 1, 20, 3, 11}) texts.push_back(random_ids(n, 60000, 30 + texts.size()));
  return texts;
}

std::vector<Token> with_eos(std::vector<Token> ids) {
  ids.push_back(kEos);
  return ids;
}

const std::vector<float>& values_of(const Arrays& arrays, const std::string& name) {
  for (const Array& a : arrays)
    if (a.name == name) return a.values;
  throw Error("no " + name);
}

// LN_1e-5(fc2 relu(fc1 p) + p)
Row literal_head(const Arrays& arrays, HeadKind kind, const Row& p) {
  const std::string prefix = concat("head.", name_of(kind), "_head.");
  const size_t c = p.size();
  const auto times = [&](const char* name, const Row& x) {
    const std::string whole = prefix + name;
    const auto& w = values_of(arrays, whole);
    Row y(c);
    for (size_t o = 0; o < c; ++o)
      for (size_t i = 0; i < c; ++i) y[o] += double{w[o * c + i]} * x[i];
    return y;
  };
  Row hidden = times("fc1.weight", p);
  for (double& v : hidden) v = std::max(v, 0.0);
  Row y = times("fc2.weight", hidden);
  for (size_t i = 0; i < c; ++i) y[i] += p[i];
  const double n = static_cast<double>(c), mean = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double variance = 0;
  for (double v : y) variance += (v - mean) * (v - mean) / n;
  for (size_t i = 0; i < c; ++i)
    y[i] = (y[i] - mean) / std::sqrt(variance + 1e-5) *
               double{values_of(arrays, prefix + "norm.weight")[i]} +
           double{values_of(arrays, prefix + "norm.bias")[i]};
  return y;
}

// Mean over the EOS rows of a (T, C) matrix.
Row literal_pool(const Row& rows, std::span<const Token> ids, size_t c) {
  Row mean(c);
  double n = 0;
  for (size_t t = 0; t < ids.size(); ++t) {
    if (ids[t] != kEos) continue;
    ++n;
    for (size_t i = 0; i < c; ++i) mean[i] += rows[t * c + i];
  }
  for (double& v : mean) v /= n;
  return mean;
}

std::vector<float> encode(const Model& model, const EncodeOptions& options, const Texts& texts,
                          EncodeStats* stats = nullptr) {
  const Encoder encoder(model, options);
  Workspace work(1);
  std::vector<float> out(options.layers.size() * texts.size() * encoder.dim());
  const EncodeStats s = encoder.encode(texts, out, work);
  if (stats) *stats = s;
  return out;
}

EncodeOptions head_options(const Model& model, HeadKind kind) {
  EncodeOptions options;
  options.layers = {final_layer(model.config().n_layer)};
  options.pooling = Pooling::kEos;
  options.head = kind;
  return options;
}

TEST(TaskHeads, AreTheFormula) {
  const SyntheticModel m = embedding_rwkv();
  const Arrays arrays = embedding_rwkv_arrays(m);
  const size_t c = m.shape.d_model;
  Texts texts = some_texts();
  texts[2][7] = kEos;  // an end inside the text counts as well
  for (const Backend* backend : {&cpu_backend(), &reference_backend()}) {
    const Model model = open_arrays(arrays, *backend);
    for (HeadKind kind : kHeads) {
      const auto got = encode(model, head_options(model, kind), texts);
      for (size_t t = 0; t < texts.size(); ++t) {
        LiteralRwkv rwkv(m);
        rwkv.feed(with_eos(texts[t]));
        const Row want =
            literal_head(arrays, kind, literal_pool(rwkv.final, with_eos(texts[t]), c));
        EXPECT_LE(relative_error(std::span(got).subspan(t * c, c), want), 2e-5)
            << backend->name() << " " << name_of(kind) << " text " << t;
      }
    }
  }
}

TEST(TaskHeads, OneEosIsAppendedWhereThereIsNone) {
  const Model model = open_arrays(embedding_rwkv_arrays(embedding_rwkv()), cpu_backend());
  const EncodeOptions options = head_options(model, HeadKind::kRetr);
  Texts ended;
  for (const auto& t : some_texts()) ended.push_back(with_eos(t));
  EncodeStats without, with;
  EXPECT_EQ(encode(model, options, some_texts(), &without), encode(model, options, ended, &with));
  EXPECT_EQ(without.n_token, with.n_token);
  EXPECT_EQ(with.n_token, 41u + 5u);
  EXPECT_EQ(encode(model, options, {{}}), encode(model, options, {{kEos}}));
  EXPECT_EQ(scanned_tokens(7, options), 8u);
}

TEST(TaskHeads, DependOnTheirOwnTextOnly) {
  const Model model = open_arrays(embedding_rwkv_arrays(embedding_rwkv()), cpu_backend());
  if (!model.backend().rows_are_exact(Compute::kF32)) GTEST_SKIP() << "products are not exact";
  EncodeOptions options = head_options(model, HeadKind::kSts);
  const Texts texts = some_texts();
  const auto packed = encode(model, options, texts);
  for (size_t budget : {1, 5, 13}) {
    options.batch_tokens = budget;
    EXPECT_TRUE(same_bits(encode(model, options, texts), packed)) << budget;
  }
  for (size_t t = 0; t < texts.size(); ++t)
    EXPECT_TRUE(
        same_bits(encode(model, options, {texts[t]}), std::span(packed).subspan(t * 16, 16)));
}

TEST(TaskHeads, AreNormalisedOnlyIfAsked) {
  const Model model = open_arrays(embedding_rwkv_arrays(embedding_rwkv()), cpu_backend());
  EncodeOptions options = head_options(model, HeadKind::kCls);
  const auto raw = encode(model, options, some_texts());
  options.normalize = true;
  const auto unit = encode(model, options, some_texts());
  for (size_t t = 0; t < 5; ++t) {
    const auto u = std::span(unit).subspan(t * 16, 16), r = std::span(raw).subspan(t * 16, 16);
    EXPECT_NEAR(std::inner_product(u.begin(), u.end(), u.begin(), 0.0), 1, 1e-6);
    EXPECT_NEAR(cosine(u, r), 1, 1e-6);
    EXPECT_GT(std::abs(std::inner_product(r.begin(), r.end(), r.begin(), 0.0) - 1), 0.01);
  }
}

TEST(TaskHeads, EosPoolingWorksAtEveryLayerAndScan) {
  const SyntheticModel m = embedding_rwkv();
  const Model model = open_arrays(m.arrays, cpu_backend());  // needs no heads
  EncodeOptions options;
  options.layers = parse_layers("all", 3);
  options.pooling = Pooling::kEos;
  options.bos = 5;
  const std::vector<Token> text = random_ids(9, 60000, 3);
  const auto check = [&](const std::vector<Token>& ids, size_t first) {
    LiteralRwkv rwkv(m);
    rwkv.feed(ids);
    std::vector<Token> counted = ids;
    std::fill_n(counted.begin(), first, 0);
    const auto got = encode(model, options, {text});
    for (size_t layer = 0; layer <= 3; ++layer)
      EXPECT_LE(relative_error(std::span(got).subspan(layer * 16, 16),
                               literal_pool(rwkv.hidden[layer], counted, 16)),
                2e-5)
          << name_of(options.scan) << " layer " << layer;
  };
  std::vector<Token> ids = {5};
  ids.insert(ids.end(), text.begin(), text.end());
  ids.push_back(kEos);
  check(ids, 0);
  options.scan = Scan::kReverse;  // the end stays at the end
  std::vector<Token> reversed = ids;
  std::reverse(reversed.begin() + 1, reversed.end() - 1);
  check(reversed, 0);
  options.scan = Scan::kEcho;
  std::vector<Token> twice = ids;
  twice.insert(twice.end(), ids.begin(), ids.end());
  check(twice, ids.size());
  EXPECT_EQ(scanned_tokens(9, options), twice.size());
}

// ---- refusals

TEST(TaskHeads, AModelWithoutThemIsRefusedByName) {
  const SyntheticModel m = embedding_rwkv();
  const Model bare = open_arrays(m.arrays, cpu_backend());
  EXPECT_THAT(
      [&] { encode(bare, head_options(bare, HeadKind::kSts), {{1}}); },
      ThrowsMessage<Error>(AllOf(HasSubstr("m.safetensors"), HasSubstr("head.sts_head.fc1.weight"),
                                 HasSubstr("heads in the file: none"))));
  Arrays arrays = embedding_rwkv_arrays(m);
  std::erase_if(arrays, [](const Array& a) { return a.name == "head.sts_head.norm.bias"; });
  const Model partial = open_arrays(arrays, cpu_backend());
  EXPECT_NO_THROW(TaskHead(partial, HeadKind::kCls));
  EXPECT_THAT([&] { TaskHead(partial, HeadKind::kSts); },
              ThrowsMessage<Error>(AllOf(HasSubstr("head.sts_head.norm.bias"),
                                         HasSubstr("heads in the file: cls, retr"))));
  // Another vocabulary: the missing head is what is told.
  SyntheticModel small = make_model({.version = Version::kV7});
  const Model other = open_arrays(small.arrays, cpu_backend());
  EXPECT_THAT([&] { encode(other, head_options(other, HeadKind::kCls), {{1}}); },
              ThrowsMessage<Error>(HasSubstr("head.cls_head.fc1.weight")));
}

TEST(TaskHeads, WrongShapesAreRefused) {
  const SyntheticModel m = embedding_rwkv(1);
  const auto refusal_of = [&](const std::string& name, std::vector<size_t> shape) {
    Arrays arrays = embedding_rwkv_arrays(m);
    for (Array& a : arrays)
      if (a.name == name) {
        a.shape = shape;
        a.values.resize(
            std::accumulate(shape.begin(), shape.end(), size_t{1}, std::multiplies<>()));
      }
    const Model model = open_arrays(arrays, cpu_backend());
    return refusal([&] { TaskHead(model, HeadKind::kCls); });
  };
  EXPECT_THAT(
      refusal_of("head.cls_head.fc1.weight", {16, 17}),
      AllOf(HasSubstr("head.cls_head.fc1.weight"), HasSubstr("(16, 16)"), HasSubstr("(16, 17)")));
  EXPECT_THAT(refusal_of("head.cls_head.fc2.weight", {256}), HasSubstr("(256)"));
  EXPECT_THAT(refusal_of("head.cls_head.norm.weight", {15}), HasSubstr("(15)"));
}

TEST(TaskHeads, OptionsThatExcludeEachOtherAreRefused) {
  const Model model = open_arrays(embedding_rwkv_arrays(embedding_rwkv()), cpu_backend());
  const auto refused = [&](auto change, const char* message) {
    EncodeOptions options = head_options(model, HeadKind::kCls);
    change(options);
    EXPECT_THAT([&] { Encoder(model, options); }, ThrowsMessage<UsageError>(HasSubstr(message)));
  };
  refused([](EncodeOptions& o) { o.layers = {3}; }, "got cls");
  refused([](EncodeOptions& o) { o.layers = {4, 4}; }, "got cls");
  refused([](EncodeOptions& o) { o.pooling = Pooling::kMean; }, "got cls");
  const Model small = open_arrays(make_model({.version = Version::kV7}).arrays, cpu_backend());
  EncodeOptions eos;
  eos.layers = {0};
  eos.pooling = Pooling::kEos;
  EXPECT_THAT([&] { Encoder(small, eos); },
              ThrowsMessage<UsageError>(AllOf(HasSubstr("n_vocab is 37"), HasSubstr("65535"))));
}

TEST(TaskHeads, NamesReadBack) {
  for (HeadKind kind : kHeads) EXPECT_EQ(parse_head(name_of(kind)), kind);
  EXPECT_THAT([] { parse_head("retrieval"); },
              ThrowsMessage<UsageError>(AllOf(HasSubstr("head: "), HasSubstr("'retrieval'"))));
  EXPECT_EQ(parse_pooling("eos"), Pooling::kEos);
}

// ---- what info tells

TEST(TaskHeads, AreNoLongerIgnoredTensors) {
  Arrays arrays = embedding_rwkv_arrays(embedding_rwkv());
  for (const char* name : {"vit.blocks.0.attn.qkv.weight", "proj.gate.weight", "proj.ln_v.bias"})
    arrays.push_back({name, {2}, {1, 2}});
  std::erase_if(arrays, [](const Array& a) { return a.name == "head.retr_head.fc2.weight"; });
  const Model model = open_arrays(arrays, cpu_backend());
  ModelInfo info = model.info();
  EXPECT_EQ(info.ignored.size(), 11u + 3u);
  EXPECT_THAT(account_for_heads(model.checkpoint(), info),
              ElementsAre(HeadKind::kCls, HeadKind::kSts));
  EXPECT_THAT(info.ignored, testing::UnorderedElementsAre("head.retr_head.fc1.weight",
                                                          "head.retr_head.norm.weight",
                                                          "head.retr_head.norm.bias"));
  arrays.push_back({"head.sts_head.extra", {2}, {1, 2}});  // no part of a head
  EXPECT_THAT([&] { open_arrays(arrays, cpu_backend()); },
              ThrowsMessage<Error>(HasSubstr("head.sts_head.extra")));
  EXPECT_THAT(info.notes, testing::Contains(AllOf(HasSubstr("vit.*"), HasSubstr("3 tensors"))));

  const Model bare = open_arrays(embedding_rwkv().arrays, cpu_backend());
  ModelInfo none = bare.info();
  EXPECT_THAT(account_for_heads(bare.checkpoint(), none), IsEmpty());
  EXPECT_THAT(none.notes, Not(testing::Contains(HasSubstr("vit"))));
}

TEST(TaskHeads, MeanAtEosNeedsAnEos) {
  const Token ids[] = {kEos, 7, kEos}, no_end[] = {1, 2, 3};
  const float rows[] = {1, 2, 50, 60, 3, 6};
  EXPECT_THAT(*mean_at_eos(ids, {rows, 3, 2}), ElementsAre(2, 4));
  EXPECT_EQ(mean_at_eos(no_end, {rows, 3, 2}), std::nullopt);
}

// ---- golden arrays

std::vector<float> golden_array(const Checkpoint& file, const std::string& name) {
  const Tensor* t = file.find(name);
  if (!t) throw Error("no golden array " + name);
  std::vector<float> values(t->n_element());
  read_f32(*t, 0, values.size(), values);
  return values;
}

TEST(TaskHeads, GiveTheGoldenArrays) {
  const auto folder = shared_folder() / "golden/embrwkv";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no golden files in " << folder;
  const Json manifest = Json::parse(read_whole(folder / "manifest.json"));
  for (const Backend* backend : {&cpu_backend(), &reference_backend()})
    for (Compute compute : {Compute::kF32, Compute::kBF16}) {
      ModelOptions options;
      options.compute = compute;
      options.small_as_asked = true;
      const Model model = Model::open(folder / "model.pth", *backend, options);
      EXPECT_EQ(heads_in(model.checkpoint()).size(), 3u);
      for (const std::string name : manifest.at("goldens")) {
        const Checkpoint golden = Checkpoint::open(folder / name);
        const auto ids = golden_array(golden, "ids");
        const std::vector<Token> tokens(ids.begin(), ids.end());
        for (HeadKind kind : kHeads) {
          const std::string array = concat("embed_", name_of(kind));
          const auto want = golden_array(golden, array);
          const double tolerance = manifest["recommended_tolerance_fp32"][name].value(array, 2e-5);
          const auto got = encode(model, head_options(model, kind), {tokens});
          if (compute == Compute::kF32)
            EXPECT_LE(relative_error(got, want), tolerance) << name << " " << array;
          else
            EXPECT_GE(cosine(got, want), 0.9995) << name << " " << array;
        }
      }
    }
}

}  // namespace
}  // namespace fathom::test::task_heads_test
