// SPDX-License-Identifier: Apache-2.0
// Dimensions whose costs tests work out by hand.
#pragma once

#include "model/block_cost.h"

namespace fathom::test {

inline CostModel finch_1b6() {
  return {.version = 6,
          .n_layer = 24,
          .d_model = 2048,
          .d_att = 2048,
          .d_ffn = 7168,
          .head_size = 64,
          .mix_rank = 32,
          .decay_rank = 64};
}

// Dimensions that are all different, so that no two can be mixed up unseen.
inline CostModel odd(int version) {
  return {.version = version,
          .n_layer = 3,
          .d_model = 10,
          .d_att = 12,
          .d_ffn = 37,
          .head_size = 4,
          .mix_rank = 3,
          .decay_rank = 5,
          .w_rank = 7,
          .a_rank = 11,
          .v_rank = 13,
          .g_rank = 17};
}

}  // namespace fathom::test
