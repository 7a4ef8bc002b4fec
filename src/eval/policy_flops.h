// SPDX-License-Identifier: Apache-2.0
// What a depth policy costs the texts that it has taken so far, beside full depth.
#pragma once

#include "encode/embed_texts.h"
#include "encode/encoder.h"

namespace fathom {

// FLOPs, by eval/cost.h. One stream of blocks, one thread.
struct PolicyFlops {
  double policy = 0;  // blocks that ran, and all that the policy decided by
  double full = 0;    // all blocks

  // Of an encoder with a policy.
  void add(const Encoder& encoder, const EmbeddedBlock& block);
  double share() const { return full > 0 ? policy / full : 0; }
};

}  // namespace fathom
