// SPDX-License-Identifier: Apache-2.0
// The reading that a model's folder recommends: the layer and the pooling.
//
//   fathom.json        {"recommended": {"layers": "3", "pool": "mean", "norm": "none", ...},
//                       "why": "..."}, written by `fathom eval --write-recommendation`. Other keys
//                      have other readers: "prompts" (serve/prompts.h), "eos", "depth" and "dtype"
//                      (the Python package). Without "recommended" the next file counts.
//   modules.json       of sentence-transformers, with 1_Pooling/config.json: mean or last token of
//                      the model's last layer, and Normalize
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"
#include "encode/encoder.h"

namespace fathom {

struct RecommendedReading {
  std::string file;  // that recommends it
  std::string why;   // the file's reason, or ""
  // In the form of the options.
  std::string layers = "final", pool = "mean", norm = "none", scan = "forward", bos = "none";
  bool normalize = false;
};

// model: a folder, or a file in one. nullopt: nothing is recommended. Throws Error naming file and
// field: a recommendation that cannot be read.
std::optional<RecommendedReading> recommended_reading(const std::filesystem::path& model);

// A model's folder: the path itself, or the folder of the file.
std::filesystem::path model_folder(const std::filesystem::path& model);

// Path of the file for this model's recommendation. Throws Error if there is no such model.
std::filesystem::path recommendation_path(const std::filesystem::path& model);
// A recommendation of one layer by name: the keys "recommended" and "why" of fathom.json.
OrderedJson recommendation_json(const std::string& layer, const EncodeOptions& how,
                                const std::string& why);
// What the file holds, with this recommendation in the place of its own: everything else stays.
// The recommendation itself if there is no file. Throws Error naming the file: it cannot be read,
// or is not a JSON object. Does not count as reading an input (base/file_roles.h), since the file
// is written again.
OrderedJson merged_recommendation(const std::filesystem::path& file,
                                  const OrderedJson& recommendation);

}  // namespace fathom
