// SPDX-License-Identifier: Apache-2.0
// The reading that a model's folder recommends: which layer, pooled how.
//
//   fathom.json        {"recommended": {"layers": "3", "pool": "mean", "norm": "none", ...},
//                       "why": "..."}, written by `fathom eval --write-recommendation`; else
//   modules.json       of sentence-transformers, with 1_Pooling/config.json: mean or last token of the
//                      model's last layer, and Normalize
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"
#include "encode/encoder.h"

namespace fathom {

struct RecommendedReading {
  std::string file;  // that says so
  std::string why;   // "" where it does not say
  // As options take them.
  std::string layers = "final", pool = "mean", norm = "none", scan = "forward", bos = "none";
  bool normalize = false;
};

// model: a folder, or a file in one. nullopt: nothing is recommended. Throws Error naming file and field:
// a recommendation that cannot be read.
std::optional<RecommendedReading> recommended_reading(const std::filesystem::path& model);

// A model's folder: itself, or the one that its file lies in.
std::filesystem::path model_folder(const std::filesystem::path& model);

// Where a recommendation for this model belongs. Throws Error if the model is not there.
std::filesystem::path recommendation_path(const std::filesystem::path& model);
// Of one layer by name.
OrderedJson recommendation_json(const std::string& layer, const EncodeOptions& how,
                                const std::string& why);

}  // namespace fathom
