// SPDX-License-Identifier: Apache-2.0
// Model against LiteralRwkv for every version and many shapes, and the properties that packing,
// chunking and threads must not break: bit for bit.
#include "model/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "model/run_model.h"

namespace fathom::test::model_test {
namespace {

constexpr Version kVersions[] = {Version::kV4,   Version::kV5_0, Version::kV5_1,
                                 Version::kV5_2, Version::kV6,   Version::kV7};

Shape shape_of(Version version, size_t n_layer, size_t d_model, size_t d_ffn, size_t head_size) {
  Shape s;
  s.version = version;
  s.n_layer = n_layer;
  s.d_model = d_model;
  s.d_ffn = d_ffn;
  s.head_size = head_size;
  s.seed = d_model * 131 + n_layer * 17 + head_size;
  return s;
}

// Odd widths, ranks and head sizes; deep, wide, square, one block, A != C.
std::vector<Shape> shapes() {
  std::vector<Shape> all;
  for (Version v : kVersions) {
    all.push_back(shape_of(v, 2, 24, 61, 8));
    all.push_back(shape_of(v, 1, 40, 33, 20));
    all.push_back(shape_of(v, 3, 72, 101, 36));
    all.push_back(shape_of(v, 2, 128, 97, 128));
    all.push_back(shape_of(v, 2, 27, 45, 9));  // nothing is a multiple of a SIMD register
    Shape wide = shape_of(v, 2, 40, 64, 16);
    wide.d_att = 48;
    all.push_back(wide);
  }
  for (Version v : {Version::kV5_0, Version::kV5_1}) {
    all.push_back(shape_of(v, 2, 32, 64, 8));
    all.back().log_bonus = true;
  }
  for (Version v : {Version::kV4, Version::kV6, Version::kV7}) {
    all.push_back(shape_of(v, 19, 24, 40, 8));
    all.push_back(shape_of(v, 2, 64, 224, 64));
    all.back().rank = {.mix = 32, .decay = 64, .iclr = 64, .value = 32, .gate = 64};
    all.push_back(shape_of(v, 2, 24, 84, 12));
    all.back().rank = {.mix = 24, .decay = 24, .iclr = 24, .value = 24, .gate = 24};  // == C
    all.push_back(shape_of(v, 2, 16, 56, 8));
    all.back().rank = {.mix = 1, .decay = 1, .iclr = 1, .value = 1, .gate = 1};
  }
  // v7a, with and without the part that comes from the embedding.
  for (const auto& [n_in, n_out] : {std::pair<size_t, size_t>{32, 32}, {5, 7}, {1, 1}, {1, 19}})
    for (const bool from_embedding : {false, true}) {
      all.push_back(
          shape_of(Version::kV7, n_in == 5 ? 2 : 3, n_in == 5 ? 27 : 64, 101, n_in == 5 ? 9 : 32));
      all.back().deep_embed = {n_in, n_out, from_embedding};
    }
  return all;
}

class EveryShape : public testing::TestWithParam<Shape> {};

std::string test_name(const testing::TestParamInfo<Shape>& info) {
  std::ostringstream out;
  out << info.param << "_" << info.index;
  std::string name = out.str();
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Shapes, EveryShape, testing::ValuesIn(shapes()), test_name);

TEST_P(EveryShape, F32IsTheLiteralFormulaOnEveryBackend) {
  const SyntheticModel m = make_model(GetParam());
  const auto ids = random_ids(21, m.shape.n_vocab, 5);
  const Expected expected(m, ids);
  Workspace work(1);
  for (const Backend* backend : {&reference_backend(), &cpu_backend()}) {
    const Model model = open_blinkdl(m, *backend);
    EXPECT_EQ(model.config().version, m.shape.version);
    EXPECT_EQ(model.config().head_size, m.shape.version == Version::kV4 ? 1 : m.shape.head_size);
    ModelRun run = run_model(model, ids, 0, work);
    expect_near(run, expected, m, std::string(backend->name()));
  }
}

TEST_P(EveryShape, Bf16PointsInTheSameDirection) {
  const SyntheticModel m = make_model(GetParam());
  const auto ids = random_ids(21, m.shape.n_vocab, 5);
  LiteralRwkv literal(m);
  literal.feed(ids);
  Workspace work(1);
  for (const Backend* backend : {&reference_backend(), &cpu_backend()}) {
    if (!backend->supports(Compute::kBF16)) continue;
    ModelOptions options;
    options.compute = Compute::kBF16;
    options.small_as_asked = true;
    options.n_thread = 1;
    const Model model = open_blinkdl(m, *backend, options);
    EXPECT_EQ(model.compute(), Compute::kBF16);
    const ModelRun run = run_model(model, ids, 0, work);
    const size_t size = literal.hidden[0].size();
    for (size_t i = 0; i < literal.hidden.size(); ++i)
      EXPECT_GE(cosine(std::span(run.hidden).subspan(i * size, size), literal.hidden[i]), 0.9995)
          << backend->name() << ": hidden " << i;
    EXPECT_GE(cosine(run.final, literal.final), 0.9995) << backend->name();
  }
}

// Rounding costs a small model more than it saves: f32 then, with a note.
TEST(ModelCompute, SmallModelsAreComputedInF32) {
  const TempFolder folder;
  ModelOptions options;
  for (size_t d_model : {size_t{64}, size_t{256}}) {
    const SyntheticModel m = make_model(shape_of(Version::kV6, 1, d_model, 9, 64));
    write_arrays(folder.file("m.safetensors"), m.arrays, StoredType::kBF16);
    for (Compute compute : {Compute::kBF16, Compute::kInt8}) {
      if (!cpu_backend().supports(compute)) continue;
      options.compute = compute;
      const Model model = Model::open(folder.file("m.safetensors"), cpu_backend(), options);
      const bool small = d_model < 256;
      EXPECT_EQ(model.compute(), small ? Compute::kF32 : compute) << d_model;
      EXPECT_EQ(std::ranges::count_if(model.info().notes,
                                      [](const std::string& n) {
                                        return n.find("computing in f32") != std::string::npos;
                                      }),
                small ? 1 : 0)
          << d_model;
    }
  }
}

// ---- properties: the same bits, whatever the pieces, neighbours and threads

struct Setting {
  Version version;
  const Backend* backend;
  Compute compute;
  DeepEmbed deep_embed = {};
};

class EverySetting : public testing::TestWithParam<Setting> {
 protected:
  EverySetting() : m_(make_model(shape())) {}

  static Shape shape() {
    Shape s = shape_of(GetParam().version, 3, 40, 65, 20);
    s.deep_embed = GetParam().deep_embed;
    return s;
  }

  void SetUp() override {
    if (!GetParam().backend->rows_are_exact(GetParam().compute))
      GTEST_SKIP() << "products of this machine are not exact per row";
  }
  Model open() const {
    ModelOptions options;
    options.compute = GetParam().compute;
    options.small_as_asked = true;
    options.n_thread = 1;
    return open_blinkdl(m_, *GetParam().backend, options);
  }

  SyntheticModel m_;
};

std::vector<Setting> settings() {
  std::vector<Setting> all;
  for (Version v : kVersions)
    for (const Backend* b : {&reference_backend(), &cpu_backend()})
      for (Compute c : {Compute::kF32, Compute::kBF16})
        if (b->supports(c)) all.push_back({v, b, c});
  for (const Backend* b : {&reference_backend(), &cpu_backend()})
    for (Compute c : {Compute::kF32, Compute::kBF16, Compute::kInt8})
      for (const bool from_embedding : {false, true})
        if (b->supports(c)) all.push_back({Version::kV7, b, c, {4, 9, from_embedding}});
  return all;
}

std::string setting_name(const testing::TestParamInfo<Setting>& info) {
  std::string name = concat("v", name_of(info.param.version), "_", info.param.backend->name(), "_",
                            name_of(info.param.compute));
  const DeepEmbed& deep = info.param.deep_embed;
  if (deep) name += deep.from_embedding ? "_deep_x" : "_deep";
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Settings, EverySetting, testing::ValuesIn(settings()), setting_name);

TEST_P(EverySetting, PiecesGiveTheBitsOfTheWhole) {
  const Model model = open();
  const auto ids = random_ids(40, m_.shape.n_vocab, 3);
  Workspace work(1);
  ModelRun whole = run_model(model, ids, 0, work);
  for (size_t chunk : {1, 7, 16, 39}) {
    ModelRun pieces = run_model(model, ids, chunk, work);
    expect_same_run(pieces, whole, concat("chunk ", chunk));
  }
}

TEST_P(EverySetting, ThreadsChangeNoBit) {
  const Model model = open();
  const auto ids = random_ids(70, m_.shape.n_vocab, 4);
  Workspace one(1);
  ModelRun expected = run_model(model, ids, 0, one);
  for (size_t n_thread : {2, 3}) {
    Workspace work(n_thread);
    ModelRun run = run_model(model, ids, 0, work);
    expect_same_run(run, expected, concat(n_thread, " threads"));
  }
}

TEST_P(EverySetting, PackedSequencesAreAsIfAlone) {
  const Model model = open();
  const size_t c = model.config().d_model, lengths[] = {5, 1, 23, 16, 1, 7};
  Workspace work(2);
  std::vector<uint32_t> tokens;
  std::vector<size_t> offsets = {0};
  std::vector<State> states;
  for (size_t n : lengths) {
    const auto ids = random_ids(n, m_.shape.n_vocab, 100 + n + offsets.size());
    tokens.insert(tokens.end(), ids.begin(), ids.end());
    offsets.push_back(tokens.size());
    states.push_back(model.initial_state());
  }
  std::vector<State*> state_of;
  for (State& s : states) state_of.push_back(&s);
  state_of[2] = nullptr;  // starts fresh, not kept

  for (const bool with_states : {true, false}) {
    std::vector<float> hidden;  // after every block, (L, T, C)
    const auto x = work.matrix(Workspace::kResidual, tokens.size(), c);
    model.embed(tokens, x, work);
    for (size_t layer = 0; layer < model.config().n_layer; ++layer) {
      Rows rows{offsets, {}, {}, tokens};
      if (with_states) rows.states = state_of;
      model.run_block(layer, rows, x, work);
      hidden.insert(hidden.end(), x.data(), x.data() + tokens.size() * c);
    }
    for (size_t s = 0; s + 1 < offsets.size(); ++s) {
      const size_t n = offsets[s + 1] - offsets[s];
      Workspace fresh(1);
      ModelRun alone = run_model(model, std::span(tokens).subspan(offsets[s], n), 0, fresh);
      for (size_t layer = 0; layer < model.config().n_layer; ++layer)
        EXPECT_TRUE(
            same_bits(std::span(hidden).subspan((layer * tokens.size() + offsets[s]) * c, n * c),
                      std::span(alone.hidden).subspan((layer + 1) * n * c, n * c)))
            << "sequence " << s << ", block " << layer;
      if (with_states && state_of[s]) {
        EXPECT_TRUE(same_bits(*state_of[s], alone.state)) << "sequence " << s;
      }
    }
  }
}

TEST_P(EverySetting, SublayersMakeABlock) {
  const Model model = open();
  const auto ids = random_ids(19, m_.shape.n_vocab, 8);
  const size_t c = model.config().d_model, offsets[] = {0, 12, 19};
  State a = model.initial_state(), b = model.initial_state();
  State* const states_a[] = {&a, nullptr};
  State* const states_b[] = {&b, nullptr};
  Workspace work_a(1), work_b(1);
  const auto x = work_a.matrix(Workspace::kResidual, 19, c);
  const auto y = work_b.matrix(Workspace::kResidual, 19, c);
  model.embed(ids, x, work_a);
  model.embed(ids, y, work_b);
  for (size_t layer = 0; layer < model.config().n_layer; ++layer) {
    model.run_block(layer, {offsets, states_a, {}, ids}, x, work_a);
    model.run_time_mix(layer, {offsets, states_b, {}, ids}, y, work_b);
    model.run_channel_mix(layer, {offsets, states_b, {}, ids}, y, work_b);
    EXPECT_TRUE(same_bits({x.data(), 19 * c}, {y.data(), 19 * c})) << "block " << layer;
  }
  EXPECT_TRUE(same_bits(a, b));
}

TEST(Model, AWorkspaceServesModelsAndBatchesOfAnySizeInAnyOrder) {
  const SyntheticModel small = make_model(shape_of(Version::kV7, 2, 24, 61, 8));
  const SyntheticModel large = make_model(shape_of(Version::kV6, 2, 72, 101, 36));
  const Model a = open_blinkdl(small, cpu_backend()), b = open_blinkdl(large, cpu_backend());
  const auto ids = random_ids(33, 37, 6);
  Workspace fresh_a(1), fresh_b(1), shared(1);
  ModelRun want_a = run_model(a, ids, 0, fresh_a), want_b = run_model(b, ids, 0, fresh_b);
  ModelRun short_run = run_model(a, std::span(ids).first(3), 0, shared);
  ModelRun got_b = run_model(b, ids, 0, shared);
  ModelRun got_a = run_model(a, ids, 0, shared);
  ModelRun again = run_model(a, std::span(ids).first(3), 0, shared);
  expect_same_run(got_a, want_a, "v7");
  expect_same_run(got_b, want_b, "v6");
  expect_same_run(again, short_run, "short");
  EXPECT_GT(shared.bytes(), 0u);
}

// ---- options and refusals

TEST(Model, GroupNormEpsilonCanBeGiven) {
  const SyntheticModel m = make_model(shape_of(Version::kV5_2, 2, 24, 61, 8));
  const auto ids = random_ids(9, m.shape.n_vocab, 5);
  const Expected expected(m, ids, 1e-5);
  ModelOptions options;
  options.ln_x_eps = 1e-5f;
  const Model model = open_blinkdl(m, reference_backend(), options);
  Workspace work(1);
  ModelRun run = run_model(model, ids, 0, work);
  expect_near(run, expected, m, "eps 1e-5");
  EXPECT_EQ(model.info().ln_x_eps_reason, "given by the user");
  // And it matters: with the default the result is another.
  const Model other = open_blinkdl(m, reference_backend());
  EXPECT_FLOAT_EQ(other.config().ln_x_eps, 64e-5f);
  EXPECT_GT(relative_error(run_model(other, ids, 0, work).final, expected.exact.final), 1e-3);
}

TEST(Model, RefusesTokensBeyondTheVocabulary) {
  const SyntheticModel m = make_model(shape_of(Version::kV6, 1, 24, 61, 8));
  const Model model = open_blinkdl(m, cpu_backend());
  Workspace work(1);
  const uint32_t good[] = {0, 36}, bad[] = {3, 37}, huge[] = {0xffffffff};
  EXPECT_NO_THROW(run_model(model, good, 0, work));
  EXPECT_THAT([&] { run_model(model, bad, 0, work); },
              testing::ThrowsMessage<Error>(testing::AllOf(testing::HasSubstr("token id 37"),
                                                           testing::HasSubstr("below 37"))));
  EXPECT_THROW(run_model(model, huge, 0, work), Error);
}

TEST(Model, WithoutAHeadThereAreHiddenStatesButNoLogits) {
  SyntheticModel m = make_model(shape_of(Version::kV6, 2, 24, 61, 8));
  const auto ids = random_ids(5, m.shape.n_vocab, 5);
  m.remove("head.weight");
  const Expected expected(m, ids);
  const Model model = open_blinkdl(m, cpu_backend());
  EXPECT_FALSE(model.config().has_head);
  EXPECT_THAT(model.info().notes, testing::Contains(testing::HasSubstr("no output head")));
  Workspace work(1);
  ModelRun run = run_model(model, ids, 0, work);
  expect_near(run, expected, m, "no head");
  EXPECT_THAT([&] { model.pack_head(work); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("head.weight")));
}

// State-tuned models carry an initial state. BlinkDL's training code keeps it as (H, value, key),
// and its inference code turns it round for v5 and v6.
TEST(Model, StartsFromTheStateThatTheFileHolds) {
  for (Version version : {Version::kV5_2, Version::kV6, Version::kV7}) {
    SyntheticModel m = make_model(shape_of(version, 2, 24, 61, 8));
    const size_t n = 8, h = m.shape.n_head();
    const auto ids = random_ids(11, m.shape.n_vocab, 5);
    Random random(9);
    for (size_t i = 0; i < m.shape.n_layer; ++i) {
      Array a{concat("blocks.", i, ".att.time_state"), {h, n, n}, {}};
      for (size_t j = 0; j < h * n * n; ++j)
        a.values.push_back(static_cast<float>(random.below(9)) / 4 - 1);
      m.arrays.push_back(std::move(a));
    }
    Expected expected(m, {});
    for (LiteralRwkv* literal : {&expected.exact, &expected.noisy}) {
      for (size_t i = 0; i < m.shape.n_layer; ++i) {
        const Array& s = m.get(i, "att.time_state");
        const Array& oriented = version == Version::kV7 ? s : transposed(s);
        literal->carried[i].wkv.assign(oriented.values.begin(), oriented.values.end());
      }
      literal->feed(ids);
    }
    const Model model = open_blinkdl(m, cpu_backend());
    EXPECT_TRUE(model.has_initial_state());
    EXPECT_THAT(model.info().notes, testing::Contains(testing::HasSubstr("att.time_state")));
    Workspace work(1);
    ModelRun run = run_model(model, ids, 0, work);
    expect_near(run, expected, m, concat("v", name_of(version)));

    const TempFolder folder;
    write_arrays(folder.file("w.st"), web_rwkv(m));
    const Model web = Model::open(folder.file("w.st"), cpu_backend());
    ModelRun same = run_model(web, ids, 0, work);
    if (version != Version::kV5_2) expect_same_run(same, run, "web-rwkv");
  }
}

TEST(Model, TellsWhatItReadAndWhatItHolds) {
  SyntheticModel m = make_model(shape_of(Version::kV7, 2, 24, 61, 8));
  size_t n_parameter = 0;
  for (const Array& a : m.arrays) n_parameter += a.values.size();
  for (const char* name : {"att.v0", "att.v1", "att.v2"})  // BlinkDL's later files hold dummies
    m.arrays.push_back(renamed(m.get(1, name), concat("blocks.0.", name)));
  const Model model = open_blinkdl(m, cpu_backend());
  const ModelInfo& info = model.info();
  EXPECT_EQ(info.layout, TensorLayout::kBlinkDl);
  EXPECT_EQ(info.n_parameter, n_parameter);
  EXPECT_EQ(info.stored_dtype, "F32");
  EXPECT_THAT(info.notes, testing::Contains(testing::HasSubstr("v0, v1, v2 of block 0")));
  EXPECT_THAT(info.ignored,
              testing::ElementsAre("blocks.0.att.v0", "blocks.0.att.v1", "blocks.0.att.v2"));
  EXPECT_GT(model.block_bytes(0), size_t{4} * 24 * 24 * 4);
  EXPECT_EQ(model.weight_bytes(), model.block_bytes(0) + model.block_bytes(1));
  EXPECT_EQ(&model.backend(), &cpu_backend());
  EXPECT_FALSE(model.has_initial_state());

  SyntheticModel plain = make_model(m.shape);
  Workspace work(1);
  const auto ids = random_ids(6, 37, 1);
  ModelRun with = run_model(model, ids, 0, work);
  const Model without_dummies = open_blinkdl(plain, cpu_backend());
  ModelRun without = run_model(without_dummies, ids, 0, work);
  expect_same_run(with, without, "dummy v0, v1, v2");
}

TEST(Model, StoredTypeDoesNotMatterWhereItHoldsTheNumbers) {
  for (Version version : {Version::kV4, Version::kV6, Version::kV7}) {
    const SyntheticModel m = make_model(shape_of(version, 2, 40, 65, 8));
    const auto ids = random_ids(8, m.shape.n_vocab, 2);
    Workspace work(1);
    const Model plain = open_blinkdl(m, cpu_backend());
    ModelRun expected = run_model(plain, ids, 0, work);
    for (StoredType dtype : {StoredType::kBF16, StoredType::kF16}) {
      const TempFolder folder;
      write_arrays(folder.file("m.safetensors"), m.arrays, dtype);
      const Model model = Model::open(folder.file("m.safetensors"), cpu_backend());
      ModelRun run = run_model(model, ids, 0, work);
      expect_same_run(run, expected, std::string(name_of(dtype)));
      EXPECT_EQ(model.info().stored_dtype, name_of(dtype));
    }
  }
}

TEST(Model, FreshV4StateIsTheEmptyPast) {
  Config c;
  c.version = Version::kV4;
  c.n_layer = 2;
  c.d_model = 3;
  c.d_att = 4;
  c.head_size = 1;
  State state(c);
  EXPECT_THAT(std::vector<float>(state.wkv(1).begin(), state.wkv(1).end()),
              testing::ElementsAre(0, 0, 0, 0, 0, 0, 0, 0, -1e30f, -1e30f, -1e30f, -1e30f));
  EXPECT_THAT(std::vector<float>(state.ffn_shift(1).begin(), state.ffn_shift(1).end()),
              testing::ElementsAre(0, 0, 0));
}

}  // namespace
}  // namespace fathom::test::model_test
