// SPDX-License-Identifier: Apache-2.0
// What the rest of the program asks instead of comparing versions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/config.h"

namespace fathom::version_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr Version kVersions[] = {Version::kV4,   Version::kV5_0, Version::kV5_1,
                                 Version::kV5_2, Version::kV6,   Version::kV7};

Config of(Version version) {
  Config c;
  c.version = version;
  c.d_att = 48;
  c.head_size = version == Version::kV4 ? 1 : 16;
  c.rank = {.mix = 2, .decay = 3, .iclr = 5, .value = 7, .gate = 11};
  return c;
}

TEST(Version, SaysHowTheStateLies) {
  EXPECT_EQ(state_layout(Version::kV4), StateLayout::kAverage);
  for (Version v : {Version::kV5_0, Version::kV5_1, Version::kV5_2, Version::kV6})
    EXPECT_EQ(state_layout(v), StateLayout::kKeyValue) << name_of(v);
  EXPECT_EQ(state_layout(Version::kV7), StateLayout::kValueKey);
  for (Version v : kVersions) {
    const bool heads = v != Version::kV4;
    EXPECT_EQ(of(v).has_heads(), heads) << name_of(v);
    EXPECT_EQ(of(v).wkv_state_size(), heads ? 48u * 16 : 3u * 48) << name_of(v);
  }
}

TEST(Version, OnlyRwkv7HasValuesOfBlock0AndStatesToRerank) {
  for (Version v : kVersions) {
    EXPECT_EQ(of(v).needs_v_first(), v == Version::kV7) << name_of(v);
    EXPECT_EQ(of(v).can_rerank_states(), v == Version::kV7) << name_of(v);
    EXPECT_EQ(hidden_states_begin_with_embedding(v), v == Version::kV7) << name_of(v);
  }
}

TEST(Version, NamesTheRanksThatItHas) {
  for (Version v : {Version::kV4, Version::kV5_0, Version::kV5_1, Version::kV5_2})
    EXPECT_THAT(named_ranks(of(v)), IsEmpty()) << name_of(v);
  EXPECT_THAT(named_ranks(of(Version::kV6)), ElementsAre(Pair("mix", 2u), Pair("decay", 3u)));
  EXPECT_THAT(named_ranks(of(Version::kV7)), ElementsAre(Pair("decay", 3u), Pair("iclr", 5u),
                                                         Pair("value", 7u), Pair("gate", 11u)));
}

}  // namespace
}  // namespace fathom::version_test
