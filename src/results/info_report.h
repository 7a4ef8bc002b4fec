// SPDX-License-Identifier: Apache-2.0
// What `fathom info` says of a model that is not opened, for programs and for people.
#pragma once

#include <string>

#include "base/json.h"
#include "base/thread_pool.h"
#include "encode/vocabulary.h"
#include "formats/checkpoint.h"
#include "model/model.h"

namespace fathom {

// Dimensions, files, tokenizer, memory, products, notes. options: what is asked for, as
// Model::open() would take it. "nonfinite" is left to nonfinite_json().
OrderedJson info_json(const Checkpoint& checkpoint, const Config& config, ModelInfo info,
                      const Vocabulary& vocabulary, const Backend& backend,
                      const ModelOptions& options);

// The first tensors that hold a number that is not finite, and how many there are: reads all
// weights.
OrderedJson nonfinite_json(const Checkpoint& checkpoint, ThreadPool& pool);

// Of info_json() with "nonfinite", null where nobody looked: one line a fact.
std::string info_text(const OrderedJson& info);

}  // namespace fathom
