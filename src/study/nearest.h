// SPDX-License-Identifier: Apache-2.0
// Exact search: the texts whose vectors have the highest cosine with a query's.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/matrix.h"
#include "encode/embed_texts.h"
#include "encode/open_model.h"

namespace fathom {

struct Found {
  size_t text = 0;   // row of the texts' vectors
  double score = 0;  // cosine; of a vector of zeros 0
};

// For each query the `top` nearest texts, by falling score, of equals the first; fewer where there
// are fewer. queries: (n_query, dim), texts: (n_text, dim), none scaled.
std::vector<std::vector<Found>> nearest(Matrix<const float> queries, Matrix<const float> texts,
                                        size_t top);

// (n_text, dim) of an encoder of one layer. folder: keeps the vectors, so that a second call with
// the same texts, model and reading only reads them; "": they are not kept. Throws as
// embed_texts(); Error naming the text and the block for a vector that is not finite (where they
// are kept), Error naming the file.
std::vector<float> vectors_of(const Encoder& encoder, OpenModel& open,
                              std::span<const std::string_view> texts,
                              const std::filesystem::path& folder, const TextPlace& place,
                              const std::function<void(size_t)>& progress = {});

}  // namespace fathom
