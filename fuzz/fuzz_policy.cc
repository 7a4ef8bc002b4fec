// SPDX-License-Identifier: Apache-2.0
// A policy file from any bytes: refused with Error, or a policy that can be explained, written again
// as the same text, and run.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "depth/policy_file.h"

namespace {

// One sequence through all boundaries, with vectors of ones.
void run(const fathom::DepthPolicy& policy, const fathom::ModelFingerprint& model) {
  const size_t n = policy.by_pair() ? 2 : 1;
  const std::vector<float> vectors(n * model.d_model, 1.0f);
  const fathom::Matrix<const float> pooled(vectors.data(), n, model.d_model);
  std::vector<double> scratch(n * policy.scratch());
  std::vector<fathom::DepthTrace> trace(n);
  const std::vector<uint32_t> pair(n, 0);
  std::vector<fathom::Step> steps(n);
  fathom::Matrix<const float> previous;
  for (size_t layer = 0; layer <= model.n_layer; ++layer) {
    const bool reads = policy.reads_pooled(layer);
    policy.decide({.layer = layer,
                   .pooled = reads ? pooled : fathom::Matrix<const float>(),
                   .previous = previous,
                   .pair = pair,
                   .scratch = {scratch.data(), n, policy.scratch()},
                   .trace = trace},
                  steps);
    if (reads) previous = pooled;
    if (steps[0] != fathom::Step::kStop && layer < model.n_layer) continue;
    std::vector<float> out(policy.dim(model.d_model));
    policy.finish(layer, pooled.row(0), out);
    return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    fathom::PolicyFile file = fathom::parse_policy_file(std::as_bytes(std::span(data, size)));
    FATHOM_ASSERT(!fathom::to_json(file).dump().empty());
    // Widths up to a million are read: work on vectors of such size is no finding.
    if (file.model.d_model * (file.model.n_layer + 1) > size_t{1} << 20) return 0;
    const auto policy = fathom::make_policy("fuzz", std::move(file.rule));
    run(*policy, file.model);
  } catch (const fathom::Error&) {
  }
  return 0;
}
