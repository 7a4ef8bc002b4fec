// SPDX-License-Identifier: Apache-2.0
// A trace of one sequence as a file of arrays: hidden states, recurrent states, logits.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "encode/pooling.h"
#include "encode/trace.h"

namespace fathom {

using HeadArrays = std::map<std::string, std::vector<float>>;  // "embed_cls", ... each (C)

// What the model's task heads, if any, make of ln_out at the tokens that are EOS; nullopt where they
// have no such token to read.
std::optional<HeadArrays> run_heads(const Model& model, const Trace& trace,
                                    std::span<const uint32_t> ids, EosRule eos, Workspace& work);

// Safetensors, all arrays F32 but the ids; names as in ../shared/golden/README.md. Arrays are written
// as they are, finite or not. Throws Error.
void write_trace(AtomicFile& file, Trace& trace, const HeadArrays& heads,
                 std::span<const uint32_t> ids, const Config& config,
                 const std::map<std::string, std::string>& metadata);

// Where the first number is that is not finite, in a sentence; nullopt: there is none.
std::optional<std::string> nonfinite_note(const Trace& trace);

}  // namespace fathom
