// SPDX-License-Identifier: Apache-2.0
// Masks for kinds of texts and a router that chooses among them, and the gain of routing over one
// mask for all, over random masks and over other controls.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "study/fit_route.h"
#include "study/mask_corpus.h"

namespace fathom {

struct RouteStudyOptions {
  MaskSize size = {};
  size_t n_cluster = 8;
  size_t layer = 1;  // where the router reads; blocks in front of it always run
  Router router = Router::kCentroid;
  std::string post = "scale";  // of what it reads, as parse_postprocess() takes it
  std::string reference = {};  // as reference_layer() takes it
  size_t n_resample = 2000;
  uint64_t seed = 1;
  std::string command = {};  // for the record: what a user typed
};

// The route, or what it is compared with, and what routing gains over that.
struct RouteLine {
  std::string name;                  // for programs: "routed", "global", "random", ...
  std::string title;                 // for people
  double flops_share = 1, loss = 0;  // means over the held-out texts
  RouteGain gain = {};               // not of the route itself
};

struct RouteResult {
  static constexpr size_t kRandomMasks = 20;

  RouteStudyOptions options;
  size_t reference = 0;  // layer
  RouteFit fit;
  RouteLosses losses;
  std::vector<RouteLine> lines;  // the first is the route
  PolicyFile file;               // the route, with summary_json() in `fitted`
  // The same with the one mask for all texts.
  PolicyFile global_file() const;
};

// Tells the corpus's listener of a stage "masks". Throws UsageError: a layer that the model has
// not; Error as fit_route() does.
RouteResult route(MaskCorpus& corpus, const RouteStudyOptions& options);

// How it was fitted and what was found, as the policy file holds it.
OrderedJson summary_json(const RouteResult& result);

}  // namespace fathom
