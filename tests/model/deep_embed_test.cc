// SPDX-License-Identifier: Apache-2.0
// RWKV-7a (DeepEmbed): its tables, what is refused, what it costs in memory. The formula itself, the
// batches and the threads: model_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "model/exported.h"
#include "model/inspect.h"
#include "model/run_model.h"

namespace fathom::test::deep_embed_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

SyntheticModel deep_model(bool from_embedding = true, size_t d_model = 40) {
  Shape s;
  s.version = Version::kV7;
  s.n_layer = 3;
  s.d_model = d_model;
  s.d_ffn = 65;
  s.head_size = 20;
  s.deep_embed = {5, 7, from_embedding};
  return make_model(s);
}

Array& array_of(SyntheticModel& m, const std::string& name) {
  for (Array& a : m.arrays)
    if (a.name == name) return a;
  throw Error("no " + name);
}

ModelRun run(const Model& model, const std::vector<uint32_t>& ids) {
  Workspace work(2);
  return run_model(model, ids, 0, work);
}

TEST(DeepEmbed, Int8PointsInTheSameDirection) {
  for (const bool from_embedding : {false, true}) {
    const SyntheticModel m = deep_model(from_embedding);
    const auto ids = random_ids(21, m.shape.n_vocab, 5);
    LiteralRwkv literal(m);
    literal.feed(ids);
    for (const Backend* backend : {&reference_backend(), &cpu_backend()}) {
      if (!backend->supports(Compute::kInt8)) continue;
      ModelOptions options;
      options.compute = Compute::kInt8;
      options.small_as_asked = true;
      const Model model = open_blinkdl(m, *backend, options);
      EXPECT_EQ(model.compute(), Compute::kInt8);
      EXPECT_GE(cosine(run(model, ids).final, literal.final), 0.995) << backend->name();
    }
  }
}

TEST(DeepEmbed, ATableOfZerosAndOnesIsPlainRwkv7) {
  SyntheticModel m = deep_model(false);
  for (size_t i = 0; i < m.shape.n_layer; ++i) {
    std::ranges::fill(array_of(m, concat("blocks.", i, ".ffn.s_emb.weight")).values, 0.f);
    std::ranges::fill(array_of(m, concat("blocks.", i, ".ffn.s0")).values, 1.f);
  }
  SyntheticModel plain = m;
  std::erase_if(plain.arrays,
                [](const Array& a) { return a.name.find(".ffn.s") != std::string::npos; });
  const auto ids = random_ids(21, m.shape.n_vocab, 5);
  const Model deep = open_blinkdl(m, cpu_backend()), flat = open_blinkdl(plain, cpu_backend());
  EXPECT_TRUE(deep.config().deep_embed && !flat.config().deep_embed);
  EXPECT_EQ(name_of(deep.config()), "7a");
  EXPECT_EQ(name_of(flat.config()), "7");
  EXPECT_LE(relative_error(run(deep, ids).hidden, run(flat, ids).hidden), 1e-6);
}

// Whichever float type the table has, alone or with the rest.
TEST(DeepEmbed, ReadsTablesOfEveryFloatType) {
  const SyntheticModel m = deep_model();
  const auto ids = random_ids(9, m.shape.n_vocab, 5);
  ModelRun want = run(open_blinkdl(m, cpu_backend()), ids);
  for (StoredType dtype : {StoredType::kF16, StoredType::kBF16}) {
    const TempFolder folder;
    write_arrays(folder.file("m.st"), m.arrays, dtype);
    const Model model = Model::open(folder.file("m.st"), cpu_backend());
    ModelRun got = run(model, ids);
    expect_same_run(got, want, std::string(name_of(dtype)));
    EXPECT_EQ(model.info().table_bytes, m.shape.n_layer * m.shape.n_vocab * 35 * 2);
  }
}

TEST(DeepEmbed, TheTablesCountAndStayInTheFile) {
  for (const bool from_embedding : {false, true}) {
    const SyntheticModel m = deep_model(from_embedding);
    size_t n_parameter = 0;
    for (const Array& a : m.arrays) n_parameter += a.values.size();
    const Model model = open_blinkdl(m, reference_backend());
    EXPECT_EQ(model.info().n_parameter, n_parameter);
    EXPECT_EQ(model.info().table_bytes, m.shape.n_layer * m.shape.n_vocab * 35 * 4);
    EXPECT_EQ(model.config().deep_embed.from_embedding, from_embedding);
    EXPECT_TRUE(model.info().ignored.empty());
    EXPECT_THAT(model.info().notes, testing::Contains(HasSubstr("DeepEmbed")));
    SyntheticModel plain = m;
    std::erase_if(plain.arrays,
                  [](const Array& a) { return a.name.find(".ffn.s") != std::string::npos; });
    const Model flat = open_blinkdl(plain, reference_backend());
    EXPECT_EQ(flat.info().table_bytes, 0u);
    EXPECT_GT(model.block_bytes(1), flat.block_bytes(1) + m.shape.n_vocab * 35 * 4);
    // What is packed is the same list for `info` as for the model, apart from the tables.
    EXPECT_LT(packed_weight_bytes(flat.config(), Compute::kF32, Compute::kF32, 2),
              packed_weight_bytes(model.config(), Compute::kF32, Compute::kF32, 2));
  }
}

TEST(DeepEmbed, WhatIsMissingIsNamed) {
  for (const char* part : {"s_emb.weight", "s_emb_x.weight", "s0", "s1", "s2"})
    for (size_t block : {0, 2}) {
      SyntheticModel m = deep_model();
      const std::string name = concat("blocks.", block, ".ffn.", part);
      m.remove(name);
      EXPECT_THAT([&] { open_blinkdl(m, reference_backend()); },
                  ThrowsMessage<Error>(AllOf(HasSubstr("missing"), HasSubstr(name))));
    }
  // One part alone, in one block.
  for (const char* part : {"s_emb.weight", "s_emb_x.weight", "s0", "s1", "s2"}) {
    SyntheticModel m = deep_model();
    const Array stray = m.get(1, concat("ffn.", part));
    std::erase_if(m.arrays,
                  [](const Array& a) { return a.name.find(".ffn.s") != std::string::npos; });
    m.arrays.push_back(stray);
    EXPECT_THAT([&] { open_blinkdl(m, reference_backend()); },
                ThrowsMessage<Error>(AllOf(HasSubstr("missing"), HasSubstr(".ffn.s"))))
        << part;
  }
}

TEST(DeepEmbed, WrongShapesAreNamed) {
  const auto refusal = [](const char* part, std::vector<size_t> shape) {
    SyntheticModel m = deep_model();
    Array& a = array_of(m, concat("blocks.1.ffn.", part));
    a.shape = std::move(shape);
    size_t n = 1;
    for (size_t d : a.shape) n *= d;
    a.values.resize(n);
    try {
      open_blinkdl(m, reference_backend());
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_THAT(refusal("s_emb.weight", {36, 35}), HasSubstr("expected (37, 35)"));
  EXPECT_THAT(refusal("s_emb.weight", {37, 36}), HasSubstr("expected (37, 35)"));
  EXPECT_THAT(refusal("s_emb_x.weight", {40, 35}), HasSubstr("expected (35, 40)"));
  EXPECT_THAT(refusal("s1", {40, 6}), HasSubstr("blocks.1.ffn.s1: expected (5, 40)"));
  EXPECT_THAT(refusal("s2", {8, 65}), HasSubstr("blocks.1.ffn.s2: expected (65, 7)"));
  EXPECT_THAT(refusal("s0", {64}), HasSubstr("blocks.1.ffn.s0: expected 65"));
}

TEST(DeepEmbed, OtherVersionsAndLayoutsAreRefused) {
  SyntheticModel v6 = make_model({.version = Version::kV6});
  v6.arrays.push_back({"blocks.0.ffn.s_emb.weight", {37, 4}, std::vector<float>(37 * 4)});
  EXPECT_THAT([&] { open_blinkdl(v6, reference_backend()); },
              ThrowsMessage<Error>(HasSubstr("DeepEmbed) in RWKV-6")));
  const SyntheticModel m = deep_model();
  const TempFolder folder;
  Arrays fla = fla_v7(make_model({.version = Version::kV7}));
  fla.push_back({"model.layers.0.ffn.s_emb.weight", {37, 4}, std::vector<float>(37 * 4)});
  write_arrays(folder.file("fla.st"), fla);
  EXPECT_THAT([&] { Model::open(folder.file("fla.st"), reference_backend()); },
              ThrowsMessage<Error>(AllOf(HasSubstr("RWKV-7a"), HasSubstr("fla"))));
}

TEST(DeepEmbed, ConvertKeepsEveryTensorOrRefuses) {
  for (const bool from_embedding : {false, true})
    for (const size_t head_size : {20, 64}) {  // 64: plain RWKV-7 would become fla's
      Shape s = shape_of(Version::kV7, head_size);
      s.deep_embed = {5, 7, from_embedding};
      const SyntheticModel m = make_model(s);
      const TempFolder folder;
      const fs::path file = write_blinkdl(folder, m);
      const Exported e = to_hugging_face(file);
      EXPECT_THAT(e.layout, HasSubstr("RWKV-7a in BlinkDL"));
      EXPECT_THAT(e.notes, testing::Contains(HasSubstr("DeepEmbed")));
      EXPECT_FALSE(e.config.contains("architectures")) << "no class would read the tables";
      EXPECT_EQ(e.config["model_type"], "rwkv7a");
      const auto written = read_all(e.file);
      EXPECT_EQ(written.size(), m.arrays.size());
      for (const Array& a : m.arrays) {
        ASSERT_TRUE(written.contains(a.name)) << a.name;
        EXPECT_EQ(written.at(a.name).shape, a.shape) << a.name;
        EXPECT_TRUE(same_bits(written.at(a.name).values, a.values)) << a.name;
      }
      const auto ids = random_ids(9, m.shape.n_vocab, 5);
      ModelRun before = run(Model::open(file, cpu_backend()), ids),
               after = run(Model::open(e.file, cpu_backend()), ids);
      expect_same_run(before, after, "converted");
      EXPECT_THAT([&] { to_gguf(file); },
                  ThrowsMessage<Error>(AllOf(HasSubstr("RWKV-7a"), HasSubstr("safetensors"))));
    }
}

// The matrices beside the tables are packed and cached; the tables are not, and those of a new file
// are read from it.
TEST(DeepEmbed, AWeightCacheHoldsNoTable) {
  SyntheticModel m = deep_model();
  const TempFolder folder;
  const auto ids = random_ids(12, m.shape.n_vocab, 5);
  ModelOptions options;
  options.cache.folder = folder.path() / "cache";
  const fs::path file = folder.file("m.st");
  const auto open = [&] { return Model::open(file, cpu_backend(), options); };
  for (int round = 0; round < 2; ++round) {
    write_arrays(file, m.arrays);
    fs::last_write_time(file, fs::last_write_time(file) + std::chrono::seconds(round));
    ModelRun want = run(open_blinkdl(m, cpu_backend()), ids);
    ModelRun first = run(open(), ids), cached = run(open(), ids);
    expect_same_run(first, want, "packed");
    expect_same_run(cached, want, "from the cache");
    EXPECT_TRUE(open().info().messages.empty());
    for (size_t i = 0; i < m.shape.n_layer; ++i)
      std::ranges::reverse(array_of(m, concat("blocks.", i, ".ffn.s_emb.weight")).values);
  }
}

}  // namespace
}  // namespace fathom::test::deep_embed_test
