// SPDX-License-Identifier: Apache-2.0
// Notes about the rows behind figures: which rows were left out, and where a text comes from.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "eval/dataset.h"
#include "study/feature_store.h"

namespace fathom {

// How many rows of a split were left out, and why: {"damaged", "empty", "unlabelled", ...}.
OrderedJson left_out_json(const LeftOut& out);

// "FILE:LINE" of text i, in the order of texts_in_order(). The data must outlive it.
TextPlace places_of(const Dataset& data);
// The same for the lines of a file, line: (n_text) from 1; "-" is standard input. A copy of both.
TextPlace places_of(const std::string& path, const std::vector<size_t>& line);

}  // namespace fathom
