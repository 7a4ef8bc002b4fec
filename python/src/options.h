// SPDX-License-Identifier: Apache-2.0
// How a model is opened and how texts are read, from Python's words to the engine's options.
#pragma once

#include <fathom/options.h>
#include <nanobind/nanobind.h>

#include <optional>
#include <string>
#include <vector>

#include "encode/encoder.h"
#include "encode/open_model.h"

namespace fathom::python {

namespace nb = nanobind;

// Which model: what Embedder::open() takes and, for the studies, OpenModel.
struct Source {
  std::string model;
  EmbedderOptions options;

  OpenOptions open_options() const;  // throws UsageError
};

// How texts are read, all but their layers.
struct ReadingOptions {
  Pooling pooling = Pooling::kMean;
  Norm norm = Norm::kNone;
  Scan scan = Scan::kForward;
  std::optional<Token> bos = {}, eos = kEosToken;
  size_t batch_tokens = 1024;

  EncodeOptions encode_options(std::vector<size_t> layers) const;
};

DType parse_dtype(const std::string& name);  // throws InvalidOption

void bind_options(nb::module_& m);

}  // namespace fathom::python
