// SPDX-License-Identifier: Apache-2.0
// Post-processing of sentence vectors, fitted without labels: what cosine similarity gains when a
// few large dimensions or directions no longer drown the rest (docs/methods.md, "Heads").
//
//   none
//   centre          e - mean
//   scale           (e - mean) / standard deviation, per dimension
//   abtt:D          e - mean without its D strongest principal directions (all-but-the-top, Mu and
//                   Viswanath 2018); abtt alone: D = max(1, dim / 100)
//   whiten, :K      L^-1/2 U^T (e - mean), the K strongest directions (all if not given)
//   soft:A, :K      L^-A/2 U^T (e - mean), 0 <= A <= 1: between centring (0) and whitening (1)
//
// U, L: eigenvectors and eigenvalues of the covariance; directions with an eigenvalue below 1e-7 of
// the largest are what rounding left: the whitening kinds give 0 there, and refuse them as one of K.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/matrix.h"
#include "probe/probe.h"

namespace fathom {

enum class PostprocessKind : uint8_t { kNone, kCentre, kScale, kAllButTheTop, kSoftWhiten };

struct PostprocessOptions {
  PostprocessKind kind = PostprocessKind::kNone;
  size_t n_direction = 0;  // removed or kept; 0: as said above
  double power = 1;        // of whitening
};
// As listed above, e.g. "soft:0.5:64". Throws UsageError.
PostprocessOptions parse_postprocess(std::string_view text);

// e -> matrix (I - removed^T removed) ((e - mean) * scale), of which what is empty is left out.
// Immutable: share it between threads.
struct Postprocess {
  std::vector<float> mean;     // (dim); empty: nothing is done at all
  std::vector<float> scale;    // (dim) or empty
  std::vector<float> removed;  // (n_removed, dim), orthonormal rows, or empty
  std::vector<float> matrix;   // (out_dim, dim) or empty

  bool is_identity() const { return mean.empty(); }
  size_t out_dim(size_t dim) const { return matrix.empty() ? dim : matrix.size() / dim; }
  // e: (dim), out: (out_dim); they must not overlap. Sums are double.
  void apply(std::span<const float> e, std::span<float> out) const;
};

// x: (n, dim), one vector a row, n >= 2. Throws Error: too few rows, numbers that are not finite,
// more directions than there are.
Postprocess fit_postprocess(const PostprocessOptions& options, Matrix<const float> x);

void save(const Postprocess& postprocess, const std::string& prefix,
          std::vector<NamedArray>& arrays);
// The identity if no array begins with `prefix`.
Postprocess load_postprocess(std::span<const NamedArray> arrays, const std::string& prefix,
                             size_t dim);

}  // namespace fathom
