// SPDX-License-Identifier: Apache-2.0
#include "encode/trace.h"

#include <algorithm>

#include "base/error.h"

namespace fathom {
namespace {

constexpr size_t kPiece = 1024;  // tokens at a time

// Mean over the rows (double sums, in order) and the last row.
void summarise(Matrix<const float> rows, std::span<float> mean, std::span<float> last) {
  std::vector<double> sum(rows.cols(), 0);
  for (size_t t = 0; t < rows.rows(); ++t)
    for (size_t c = 0; c < rows.cols(); ++c) sum[c] += rows.row(t)[c];
  for (size_t c = 0; c < rows.cols(); ++c)
    mean[c] = static_cast<float>(sum[c] / static_cast<double>(rows.rows()));
  std::ranges::copy(rows.row(rows.rows() - 1), last.begin());
}

void fill_logits(const Model& model, Trace& t, bool all, size_t piece, Workspace& work) {
  if (!model.config().has_head) return;
  const auto head = model.pack_head(work);
  const size_t n_vocab = t.n_vocab, first = all ? 0 : t.n_token - 1;
  const Matrix<const float> final(t.final.data(), t.n_token, t.d_model);
  if (all) t.logits.resize(t.n_token * n_vocab);
  for (size_t begin = first; begin < t.n_token; begin += piece) {
    const size_t end = std::min(begin + piece, t.n_token);
    const auto out = work.matrix(Workspace::kHidden, end - begin, n_vocab);
    model.logits(*head, final.slice(begin, end), out, work);
    if (all) std::copy_n(out.data(), (end - begin) * n_vocab, t.logits.data() + begin * n_vocab);
    if (end == t.n_token) {
      const auto row = out.row(end - begin - 1);
      t.logits_last.assign(row.begin(), row.end());
    }
  }
}

}  // namespace

std::vector<float> hidden_states(const Model& model, std::span<const uint32_t> ids, size_t chunk,
                                 State& state, Workspace& work) {
  FATHOM_REQUIRE(!ids.empty(), "expected at least one token, got none");
  const size_t n_layer = model.config().n_layer, n_token = ids.size(), c = model.config().d_model;
  const size_t piece = chunk ? chunk : kPiece;
  std::vector<float> hidden((n_layer + 1) * n_token * c);
  State* const states[] = {&state};
  for (size_t begin = 0; begin < n_token; begin += piece) {
    const size_t n = std::min(piece, n_token - begin);
    const size_t offsets[] = {0, n};
    const auto x = work.matrix(Workspace::kResidual, n, c);
    model.embed(ids.subspan(begin, n), x, work);
    for (size_t layer = 0;; ++layer) {
      std::copy_n(x.data(), n * c, hidden.data() + (layer * n_token + begin) * c);
      if (layer == n_layer) break;
      model.run_block(layer, {offsets, states, {}, ids.subspan(begin, n)}, x, work);
    }
  }
  return hidden;
}

Trace trace(const Model& model, std::span<const uint32_t> ids, const TraceOptions& options,
            Workspace& work) {
  FATHOM_REQUIRE(!ids.empty(), "expected at least one token, got none");
  const Config& config = model.config();
  const size_t n_state = config.n_layer + 1, n_token = ids.size(), c = config.d_model;
  const size_t piece = options.chunk ? options.chunk : kPiece;
  Trace t{.n_layer = config.n_layer,
          .n_token = n_token,
          .d_model = c,
          .n_vocab = config.n_vocab,
          .hidden = {},
          .final = std::vector<float>(n_token * c),
          .mean = std::vector<float>(n_state * c),
          .last = std::vector<float>(n_state * c),
          .mean_lnout = std::vector<float>(n_state * c),
          .last_lnout = std::vector<float>(n_state * c),
          .logits = {},
          .logits_last = {},
          .state = model.initial_state()};
  t.hidden = hidden_states(model, ids, piece, t.state, work);

  std::vector<float> normed(n_token * c);
  const Matrix<float> y(normed.data(), n_token, c);
  for (size_t layer = 0; layer < n_state; ++layer) {
    const Matrix<const float> rows(t.hidden.data() + layer * n_token * c, n_token, c);
    const auto at = [&](std::vector<float>& v) { return std::span(v).subspan(layer * c, c); };
    summarise(rows, at(t.mean), at(t.last));
    model.norm_out(rows, y, work);
    summarise(y, at(t.mean_lnout), at(t.last_lnout));
    if (layer == config.n_layer) t.final = normed;
  }
  fill_logits(model, t, options.all_logits, piece, work);
  return t;
}

}  // namespace fathom
