// SPDX-License-Identifier: Apache-2.0
// Decides whether the config.json beside the weights belongs to them. People copy files into
// folders of other models, and a wrong epsilon changes every result.
#pragma once

#include <string>

#include "formats/checkpoint.h"

namespace fathom {

// config.json beside the weights if it belongs to them; else null. It does if what it gives of
// hidden_size, num_hidden_layers and vocab_size are the tensors' sizes. If it gives none of them,
// it does where the weights have Hugging Face's names (model.safetensors, pytorch_model.bin,
// shards): these come with their config.json. All readers of config.json ask here. The reference is
// good as long as the checkpoint.
const Json& config_json(const Checkpoint& checkpoint);

// Why a config.json that is there is not used, one sentence; "" if it is used or not there.
std::string why_config_is_not_used(const Checkpoint& checkpoint);

}  // namespace fathom
