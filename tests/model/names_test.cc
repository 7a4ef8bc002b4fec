// SPDX-License-Identifier: Apache-2.0
// What a checkpoint is found to be from its tensors' names and shapes, and what is refused and how.
#include "model/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/run_model.h"

namespace fathom::test::names_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

Shape small(Version version, size_t n_layer = 2) {
  Shape s;
  s.version = version;
  s.n_layer = n_layer;
  return s;
}

// ---- what it is

// Names of a model with some arrays changed.
struct Opened {
  TempFolder folder;
  Checkpoint checkpoint;
  Names names;

  explicit Opened(const Arrays& arrays, const std::string& prefix = "")
      : checkpoint([&] {
          write_arrays(folder.file("m.safetensors"), arrays);
          return Checkpoint::open(folder.file("m.safetensors"));
        }()),
        names(checkpoint, prefix) {}
};

TEST(Names, VersionComesFromNamesAndShapes) {
  for (Version v :
       {Version::kV4, Version::kV5_0, Version::kV5_1, Version::kV5_2, Version::kV6, Version::kV7}) {
    const Opened opened(make_model(small(v, 3)).arrays);
    EXPECT_EQ(opened.names.version(), v) << name_of(v);
    EXPECT_EQ(opened.names.layout(), TensorLayout::kBlinkDl);
    EXPECT_EQ(opened.names.n_layer(), 3u);
  }
}

TEST(Names, DecayShapesTellTheKindsOfV5) {
  struct Case {
    std::vector<size_t> shape;
    Version expected;
  };
  for (const Case& c :
       {Case{{3}, Version::kV5_1}, Case{{3, 1}, Version::kV5_1}, Case{{3, 1, 1}, Version::kV5_1},
        Case{{3, 8}, Version::kV5_2}, Case{{3, 8, 1}, Version::kV5_2},
        Case{{1, 24}, Version::kV5_2}, Case{{1, 24, 1}, Version::kV5_2}}) {
    SyntheticModel m = make_model(small(Version::kV5_2));
    for (Array& a : m.arrays) {
      if (!a.name.ends_with("time_decay") && !a.name.ends_with("time_faaaa")) continue;
      a.shape = c.shape;
      size_t n = 1;
      for (size_t d : c.shape) n *= d;
      a.values.resize(n);
    }
    EXPECT_EQ(Opened(m.arrays).names.version(), c.expected) << testing::PrintToString(c.shape);
  }
}

TEST(Names, ADecayForEachChannelWantsAGate) {
  SyntheticModel m = make_model(small(Version::kV5_2));
  for (const char* name : {"blocks.0.att.gate.weight", "blocks.1.att.gate.weight"}) m.remove(name);
  EXPECT_THAT([&] { open_blinkdl(m, reference_backend()); },
              ThrowsMessage<Error>(HasSubstr("att.gate.weight")));
}

TEST(Names, TheFirstSignThatFitsDecides) {
  // A stray tensor of an older version does not make a model older.
  SyntheticModel m = make_model(small(Version::kV7));
  const Array stray = {"blocks.0.att.time_maa_x", {1, 1, 24}, std::vector<float>(24)};
  m.arrays.push_back(stray);
  const Opened opened(m.arrays);
  EXPECT_EQ(opened.names.version(), Version::kV7);
  EXPECT_THAT([&] { open_blinkdl(m, reference_backend()); },
              ThrowsMessage<Error>(
                  AllOf(HasSubstr("blocks.0.att.time_maa_x"), HasSubstr("not part of RWKV-7"))));
}

// What training with adapters saves, or a part of a model: called by its own name.
TEST(Names, APartOfRwkv7IsNotTakenForAnOlderOne) {
  SyntheticModel m = make_model(small(Version::kV7));
  std::erase_if(m.arrays, [](const Array& a) { return a.name.ends_with(".r_k"); });
  for (const char* name : {"blocks.0.att.key.adapter_A", "blocks.0.att.key.adapter_B"})
    m.arrays.push_back({name, {2, 24}, std::vector<float>(48)});
  EXPECT_THAT([&] { open_blinkdl(m, reference_backend()); },
              ThrowsMessage<Error>(AllOf(HasSubstr("RWKV-7"), HasSubstr("r_k"))));
  // Not even k_k is left: no version, and no word of a missing decay alone.
  std::erase_if(m.arrays, [](const Array& a) {
    return a.name.find(".k_k") != std::string::npos || a.name.find(".k_a") != std::string::npos;
  });
  EXPECT_THAT([&] { open_blinkdl(m, reference_backend()); },
              ThrowsMessage<Error>(AllOf(HasSubstr("a part of one"), HasSubstr("r_k (RWKV-7)"))));
}

TEST(Names, NewerAndMixedModelsAreRefusedByName) {
  struct Case {
    const char *tensor, *message;
  };
  for (const Case& c :
       {Case{"blocks.1.qkv.w_q.weight", "RWKV-7b"}, Case{"blocks.0.ffn.enn.weight", "RWKV-8"},
        Case{"rosa1.q.weight", "ROSA"}, Case{"blocks.0.rosa.q.weight", "ROSA"},
        Case{"blocks.1.att.q_proj.weight", "attention"},
        Case{"model.layers.1.attn.q_proj.weight", "attention"},
        Case{"model.layers.1.self_attn.q_proj.weight", "attention"},
        Case{"model.layers.0.mlp.gate_proj.weight", "Qwen"},
        Case{"blk.0.attn_q.weight", "attention"}, Case{"blk.0.attn_qkv.weight", "attention"},
        Case{"blk.0.ffn_gate.weight", "Qwen"}}) {
    SyntheticModel m = make_model(small(Version::kV7));
    m.arrays.push_back({c.tensor, {2, 2}, std::vector<float>(4)});
    const TempFolder folder;
    write_arrays(folder.file("x.safetensors"), m.arrays);
    EXPECT_THAT([&] { Model::open(folder.file("x.safetensors"), reference_backend()); },
                ThrowsMessage<Error>(
                    AllOf(HasSubstr(c.message), HasSubstr("x.safetensors"), HasSubstr("expected"))))
        << c.tensor;
  }
  // v7b holds v7a's tensors as well.
  SyntheticModel m = make_model(small(Version::kV7));
  for (const char* name : {"blocks.0.ffn.s_emb.weight", "blocks.0.qkv.w_q.weight"})
    m.arrays.push_back({name, {2, 2}, std::vector<float>(4)});
  EXPECT_THAT([&] { Opened opened(m.arrays); }, ThrowsMessage<Error>(HasSubstr("RWKV-7b")));
}

TEST(Names, WhatIsNoRwkvIsRefused) {
  const auto refusal = [](const Arrays& arrays) {
    try {
      Opened opened(arrays);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  const std::vector<float> four(4);
  EXPECT_THAT(refusal({{"bert.embeddings.weight", {2, 2}, four}}),
              AllOf(HasSubstr("no RWKV model"), HasSubstr("bert.embeddings.weight")));
  EXPECT_THAT(refusal({{"blocks.0.attn.weight", {2, 2}, four}}), HasSubstr("no RWKV model"));
  // A block number that no file of this size can have must not become an allocation.
  EXPECT_THAT(refusal({{"blocks.99999999999.att.time_first", {4}, four}}),
              HasSubstr("no RWKV model"));
  // Two spellings of one weight.
  EXPECT_THAT(refusal({{"blocks.0.att.time_first", {4}, four},
                       {"rwkv.blocks.0.attention.time_first", {4}, four}}),
              HasSubstr("two tensors mean"));
}

TEST(Names, EverySingleMissingTensorIsNamed) {
  for (Version v :
       {Version::kV4, Version::kV5_0, Version::kV5_1, Version::kV5_2, Version::kV6, Version::kV7}) {
    const SyntheticModel whole = make_model(small(v));
    const TempFolder folder;
    for (const Array& a : whole.arrays) {
      if (a.name == "head.weight") continue;  // embeddings need none
      SyntheticModel m = whole;
      m.remove(a.name);
      write_arrays(folder.file("m.safetensors"), m.arrays);
      std::string name = a.name;
      if (name.find(".ln0.") != std::string::npos) name = name.substr(9);
      // Block 0's decay tells the kinds of v5 apart, so it is missed before the version is known.
      const bool tells = name == "blocks.0.att.time_decay" && v > Version::kV4 && v < Version::kV6;
      if (tells) name = "att.time_decay";
      EXPECT_THAT([&] { Model::open(folder.file("m.safetensors"), reference_backend()); },
                  ThrowsMessage<Error>(AllOf(HasSubstr(tells ? "a part of one" : "missing tensor"),
                                             HasSubstr(name), HasSubstr("RWKV-"),
                                             HasSubstr("m.safetensors"))))
          << a.name;
    }
  }
}

TEST(Names, EverySingleWrongShapeIsNamed) {
  for (Version v :
       {Version::kV4, Version::kV5_0, Version::kV5_1, Version::kV5_2, Version::kV6, Version::kV7}) {
    const SyntheticModel whole = make_model(small(v));
    const TempFolder folder;
    for (size_t i = 0; i < whole.arrays.size(); ++i) {
      SyntheticModel m = whole;
      Array& a = m.arrays[i];
      a.shape.back() += 1;  // one column, or element, too many
      size_t n = 1;
      for (size_t d : a.shape) n *= d;
      a.values.resize(n);
      write_arrays(folder.file("m.safetensors"), m.arrays);
      EXPECT_THROW(Model::open(folder.file("m.safetensors"), reference_backend()), Error)
          << name_of(v) << " " << a.name;
    }
  }
}

TEST(Names, AWrongShapeIsExplained) {
  SyntheticModel m = make_model(small(Version::kV6));
  for (Array& a : m.arrays) {
    if (a.name == "blocks.1.ffn.value.weight") a = transposed(a);
  }
  EXPECT_THAT(
      [&] { open_blinkdl(m, reference_backend()); },
      ThrowsMessage<Error>(AllOf(HasSubstr("blocks.1.ffn.value.weight"),
                                 HasSubstr("expected (24, 61)"), HasSubstr("got (61, 24)"))));
  m = make_model(small(Version::kV6));
  for (Array& a : m.arrays) {
    if (a.name != "blocks.1.ln2.bias") continue;
    a.shape = {7};
    a.values.resize(7);
  }
  EXPECT_THAT([&] { open_blinkdl(m, reference_backend()); },
              ThrowsMessage<Error>(AllOf(HasSubstr("blocks.1.ln2.bias"), HasSubstr("expected 24"),
                                         HasSubstr("got 7"))));
}

// BlinkDL's trained toy has RWKV-7 and ROSA layers in turns, and no blocks.
TEST(Names, TheRealToyOfRwkv8IsRefusedForWhatItIs) {
  const auto folder = shared_folder() / "data/models/RWKV-LM-v8-toys";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "not there: " << folder;
  EXPECT_THAT([&] { Model::open(folder, reference_backend()); },
              ThrowsMessage<Error>(AllOf(HasSubstr("RWKV-8 with ROSA"), HasSubstr("rosa1."),
                                         HasSubstr(folder.string()))));
}

// ---- the lookups themselves

TEST(Names, FindsUsedAndUnusedTensors) {
  SyntheticModel m = make_model(small(Version::kV6));
  m.arrays.push_back({"extra.bias", {2}, std::vector<float>(2)});
  m.arrays.push_back({"blocks.1.att.nothing", {2}, std::vector<float>(2)});
  EXPECT_THAT([&] { open_blinkdl(m, reference_backend()); },
              ThrowsMessage<Error>(HasSubstr("extra.bias, blocks.1.att.nothing")));

  Opened opened(m.arrays);
  EXPECT_EQ(opened.names.unused().size(), m.arrays.size());
  EXPECT_TRUE(opened.names.has("att.key.weight", 1));
  EXPECT_FALSE(opened.names.has("att.key.weight", 2));
  EXPECT_FALSE(opened.names.has("att.key.weight"));
  EXPECT_EQ(opened.names.find("att.w1", 0), std::nullopt);
  EXPECT_EQ(opened.names.unused().size(), m.arrays.size());  // only find() and get() use
  ASSERT_TRUE(opened.names.find("att.key.weight", 1));
  EXPECT_EQ(opened.names.unused().size(), m.arrays.size() - 1);
  const Tensor* stored = opened.names.stored("att.time_maa_w1", 0);
  ASSERT_TRUE(stored);
  EXPECT_THAT(stored->shape, ElementsAre(24, 15));
}

TEST(Names, MatricesAreOutTimesInAndReadableByRows) {
  const SyntheticModel m = make_model(small(Version::kV6));
  Opened opened(m.arrays);
  const Array& w1 = m.get(1, "att.time_maa_w1");  // (24, 15)
  const SourceWeight source = opened.names.get("att.time_maa_w1", 1);
  ASSERT_EQ(source.rows(), 15u);
  ASSERT_EQ(source.cols(), 24u);
  std::vector<float> rows(3 * 24);
  read_rows(source, 4, 7, rows.data());
  for (size_t r = 0; r < 3; ++r)
    for (size_t c = 0; c < 24; ++c) EXPECT_EQ(rows[r * 24 + c], w1.values[c * 15 + r + 4]);

  const Array& w2 = m.get(1, "att.time_maa_w2");  // (5, 3, 24), group v is the third
  const SourceWeight group = opened.names.get("att.time_maa_w2.v", 1);
  ASSERT_EQ(group.rows(), 24u);
  ASSERT_EQ(group.cols(), 3u);
  std::vector<float> all(72);
  read_rows(group, 0, 24, all.data());
  for (size_t r = 0; r < 24; ++r)
    for (size_t c = 0; c < 3; ++c) EXPECT_EQ(all[r * 3 + c], w2.values[(2 * 3 + c) * 24 + r]);
}

TEST(Names, RowsOfAWeightInPartsCrossTheirBorders) {
  const SyntheticModel m = make_model(small(Version::kV6));
  Opened blinkdl(m.arrays), fla(fla_v6(m));
  const SourceWeight a = blinkdl.names.get("att.time_maa_w1", 0);
  SourceWeight b = fla.names.get("att.time_maa_w1", 0);
  EXPECT_EQ(b.parts.size(), 5u);
  for (size_t begin = 0; begin < 15; ++begin)
    for (size_t end = begin; end <= 15; ++end) {
      std::vector<float> x((end - begin) * 24), y(x.size());
      read_rows(a, begin, end, x.data());
      read_rows(b, begin, end, y.data());
      EXPECT_EQ(x, y) << begin << " " << end;
    }
  b.scale = 4;
  std::vector<float> x(15 * 24), y(15 * 24);
  read_rows(a, 0, 15, x.data());
  read_rows(b, 0, 15, y.data());
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(4 * x[i], y[i]);
}

TEST(Names, APrefixSelectsOneModelOfSeveral) {
  const SyntheticModel m = make_model(small(Version::kV7)), other = make_model(small(Version::kV6));
  SyntheticModel both = m;
  for (Array& a : both.arrays) a.name = "reranker." + a.name;
  for (const Array& a : other.arrays) both.arrays.push_back(a);
  ModelOptions options;
  options.prefix = "reranker.";
  const Model model = open_blinkdl(both, reference_backend(), options);
  EXPECT_EQ(model.config().version, Version::kV7);
  EXPECT_THAT(model.info().ignored, ElementsAre());
  const auto ids = random_ids(7, 37, 1);
  Workspace work(1);
  const Model plain = open_blinkdl(m, reference_backend());
  ModelRun run = run_model(model, ids, 0, work), expected = run_model(plain, ids, 0, work);
  expect_same_run(run, expected, "prefix");
  options.prefix = "nothing.";
  EXPECT_THAT([&] { open_blinkdl(both, reference_backend(), options); },
              ThrowsMessage<Error>(HasSubstr("no RWKV model")));
}

TEST(Names, EverythingHasAName) {
  EXPECT_EQ(name_of(Version::kV5_1), "5.1");
  EXPECT_EQ(name_of(Version::kV7), "7");
  EXPECT_EQ(name_of(TensorLayout::kGgmf), "rwkv.cpp");
  EXPECT_EQ(name_of(TensorLayout::kFla), "fla");
}

}  // namespace
}  // namespace fathom::test::names_test
