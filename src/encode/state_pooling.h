// SPDX-License-Identifier: Apache-2.0
// State pooling: the recurrent state of a block after a sequence's last token, as its embedding.
// Layer i is the state of block i, so layers 0 and final have none.
//
//   state       the whole WKV state: (H, N, N); dim A N
//   state-rows  the mean of every row of every head's matrix: (H, N); dim A
//   state-cols  the mean of every column: (H, N); dim A
//
// v5 and v6 keep S[key][value]: rows belong to the key channels. v7 keeps S[value][key]: rows
// belong to the value channels. v4 has no matrix. It has one weighted average aa / bb for each
// channel, and all three poolings give that vector, dim A.
#pragma once

#include <span>
#include <string>

#include "depth/reading.h"
#include "model/config.h"

namespace fathom {

// Length of what this pooling gives: d_model for the ones that pool rows.
size_t pooled_dim(Pooling pooling, const Config& config);

// wkv: one block's part of a State (State::wkv) after at least one token; out: (pooled_dim).
void pool_state(Pooling pooling, const Config& config, std::span<const float> wkv,
                std::span<float> out);

// What one number of the vector stands for, for reports: "mean over the values of S[key][value]".
std::string state_meaning(Pooling pooling, StateLayout layout);

}  // namespace fathom
