// SPDX-License-Identifier: Apache-2.0
#include "eval/policy_flops.h"

#include "depth/mask.h"
#include "eval/cost.h"

namespace fathom {

void PolicyFlops::add(const Encoder& encoder, const EmbeddedBlock& block) {
  const CostModel cost = cost_model(encoder.model().config());
  const FixedDepth whole(cost.n_layer);
  DepthTrace all;
  all.exit_layer = all.n_time_mix = all.n_channel_mix = static_cast<uint32_t>(cost.n_layer);
  for (size_t i = 0; i < block.trace.size(); ++i) {
    const size_t n_token = scanned_tokens(block.ids[i].size(), encoder.options());
    policy += depth_flops(cost, *encoder.policy(), block.trace[i], n_token);
    full += depth_flops(cost, whole, all, n_token);
  }
}

}  // namespace fathom
