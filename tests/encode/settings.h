// SPDX-License-Identifier: Apache-2.0
// Versions, backends and kinds of product whose rows are exact: what tests of "not a bit" run over.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "encode/encode_texts.h"

namespace fathom::test {

struct Setting {
  Version version;
  const Backend* backend;
  Compute compute;
  DeepEmbed deep_embed = {};
};

inline std::vector<Setting> cpu_settings() {
  std::vector<Setting> all;
  for (Version v : {Version::kV4, Version::kV5_2, Version::kV6, Version::kV7})
    for (Compute c : {Compute::kF32, Compute::kBF16})
      if (cpu_backend().supports(c)) all.push_back({v, &cpu_backend(), c});
  // v7a: channel mix knows the tokens of its rows.
  for (Compute c : {Compute::kF32, Compute::kInt8})
    if (cpu_backend().supports(c)) all.push_back({Version::kV7, &cpu_backend(), c, {4, 7, true}});
  return all;
}

inline std::string setting_name(const testing::TestParamInfo<Setting>& info) {
  std::string name = concat("v", name_of(info.param.version), "_", info.param.backend->name(), "_",
                            name_of(info.param.compute), info.param.deep_embed ? "_deep" : "");
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

class SettingTest : public testing::TestWithParam<Setting> {
 protected:
  void SetUp() override {
    if (!GetParam().backend->rows_are_exact(GetParam().compute))
      GTEST_SKIP() << "products of this machine are not exact per row";
  }
  // Small, and all the same computed as the setting says.
  Model open(size_t n_layer = 3) const {
    ModelOptions options;
    options.compute = GetParam().compute;
    options.small_as_asked = true;
    options.n_thread = 1;
    Model model = open_blinkdl(small(GetParam().version, n_layer, GetParam().deep_embed),
                               *GetParam().backend, options);
    EXPECT_EQ(model.compute(), GetParam().compute);
    return model;
  }
};

}  // namespace fathom::test
