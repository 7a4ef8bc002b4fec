// SPDX-License-Identifier: Apache-2.0
// Models that are opened for some of their blocks, and models that memory does not hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error_of.h"
#include "model/inspect.h"
#include "model/run_model.h"

namespace fathom::test::packed_blocks_test {
namespace {

using testing::Contains;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;

class PackedBlocks : public testing::TestWithParam<Version> {
 protected:
  PackedBlocks() {
    Shape s;
    s.version = GetParam();
    s.n_layer = 3;
    write_arrays(path(), make_model(s).arrays);
  }
  std::string path() const { return folder_.file("m.safetensors"); }
  Model open(size_t n_block, ModelOptions options = {}) const {
    options.n_thread = 1;
    options.n_block = [n_block](const Config&) { return n_block; };
    return Model::open(path(), cpu_backend(), options);
  }

  TempFolder folder_;
};

TEST_P(PackedBlocks, RunAsInTheWholeModel) {
  const Model whole = open(3);
  EXPECT_EQ(whole.n_block(), 3u);
  const auto ids = random_ids(9, whole.config().n_vocab, 5);
  const size_t n = ids.size(), c = whole.config().d_model;
  const std::vector<size_t> offsets = {0, n};
  Workspace work(1);
  const auto hidden_at = [&](const Model& model, size_t depth) {
    const auto x = work.matrix(Workspace::kResidual, n, c);
    model.embed(ids, x, work);
    for (size_t layer = 0; layer < depth; ++layer)
      model.run_block(layer, {.offsets = offsets, .states = {}}, x, work);
    return std::vector<float>(x.data(), x.data() + n * c);
  };
  size_t last = 0;
  for (size_t n_block = 0; n_block <= 3; ++n_block) {
    const Model model = open(n_block);
    EXPECT_EQ(model.n_block(), n_block);
    EXPECT_EQ(model.config().n_layer, 3u);
    EXPECT_THAT(hidden_at(model, n_block), ElementsAreArray(hidden_at(whole, n_block)));
    if (n_block > 0) {
      EXPECT_GT(model.weight_bytes(), last);
    }
    last = model.weight_bytes();
    for (size_t layer = 0; layer < n_block; ++layer)
      EXPECT_EQ(model.block_bytes(layer), whole.block_bytes(layer));
    for (size_t layer = n_block; layer < 3; ++layer)
      EXPECT_LT(model.block_bytes(layer), whole.block_bytes(layer) / 2);
  }
}

TEST_P(PackedBlocks, AreFewerThanMemoryHolds) {
  ModelOptions options;
  // What a block needs, with half as much beside it.
  options.available_bytes =
      packed_weight_bytes(open(0).config(), Compute::kF32, Compute::kF32, 1) * 3 / 2;
  EXPECT_THAT(open(1, options).info().messages, IsEmpty());
  for (std::optional<Compute> compute : {std::optional(Compute::kF32), std::optional<Compute>()}) {
    options.compute = compute;
    const std::string error = error_of([&] { open(3, options); });
    EXPECT_THAT(error, HasSubstr(path()));
    EXPECT_THAT(error, HasSubstr("MB of memory needed in f32"));
    EXPECT_THAT(error, HasSubstr("`exceed_memory`"));
  }
  options.exceed_memory = true;
  EXPECT_THAT(open(3, options).info().messages, Contains(HasSubstr("going on")));
}

TEST_P(PackedBlocks, MappedFromACacheTheyNeedNoMemory) {
  ModelOptions options;
  options.cache.folder = folder_.file("cache");
  open(3, options);
  options.available_bytes = 1;
  EXPECT_THAT(open(3, options).info().messages, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Versions, PackedBlocks,
                         testing::Values(Version::kV4, Version::kV5_2, Version::kV6, Version::kV7),
                         [](const auto& info) {
                           std::string name(name_of(info.param));
                           std::ranges::replace(name, '.', '_');
                           return "V" + name;
                         });

}  // namespace
}  // namespace fathom::test::packed_blocks_test
