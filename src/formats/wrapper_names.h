// SPDX-License-Identifier: Apache-2.0
// Takes off the tensors' names what training wrappers put there: module. (DistributedDataParallel,
// DeepSpeed), _orig_mod. (torch.compile), _forward_module. (Lightning), _fsdp_wrapped_module. and
// _checkpoint_wrapped_module. (also in the middle of a name), and any prefix that stands in front of
// a model's names, for example student. or model.model.
#pragma once

#include <string>
#include <vector>

#include "formats/tensor.h"

namespace fathom {

// Renames and adds a note for what it took off. Prefixes that belong to a layout (model., rwkv.,
// reranker.) stay where names without them stand beside (head.weight, lm_head.weight). Names stay as
// they are, with a note, if two of them would become one, or if there are several models.
void strip_wrapper_names(std::vector<Tensor>& tensors, std::vector<std::string>& notes);

}  // namespace fathom
