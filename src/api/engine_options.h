// SPDX-License-Identifier: Apache-2.0
// From the public options to those of the engine below, for the interfaces that take them: C++ and
// Python.
#pragma once

#include <fathom/options.h>

#include <optional>

#include "depth/policy_file.h"
#include "encode/encoder.h"
#include "model/model.h"

namespace fathom {

// Throws UsageError for a value that a field cannot have, or one that the policy was not fitted with.
ModelOptions model_options(const EmbedderOptions& options);
EncodeOptions encode_options(const EmbedOptions& options, const DepthChoice* depth,
                             const Config& config);
std::optional<Compute> compute_of(DType dtype);
DType dtype_of(Compute compute);

}  // namespace fathom
