// SPDX-License-Identifier: Apache-2.0
#include "study/mask_objective.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "base/invalid_option.h"
#include "encode/batch.h"
#include "encode/nonfinite.h"
#include "eval/metrics.h"
#include "probe/features.h"

namespace fathom {
namespace {

Matrix<const float> rows_of(std::span<const float> vectors, size_t n) {
  return {vectors.data(), n, n ? vectors.size() / n : 0};
}

std::vector<double> pair_cosines(Matrix<const float> vectors) {
  std::vector<double> out;
  for (size_t i = 0; i + 1 < vectors.rows(); i += 2)
    out.push_back(cosine_of(vectors.row(i), vectors.row(i + 1)));
  return out;
}

std::vector<float> encode(const MaskTexts& texts, std::vector<size_t> layers,
                          const DepthPolicy* policy, Workspace& work) {
  EncodeOptions options = texts.options;
  options.layers = std::move(layers);
  const Encoder encoder(texts.model, options, policy);
  std::vector<float> out(encoder.n_vector() * texts.ids.size() * encoder.dim());
  encoder.encode(texts.ids, out, work);
  return out;
}

}  // namespace

std::vector<float> vectors_at(const MaskTexts& texts, size_t layer, Workspace& work) {
  EncodeOptions options = texts.options;
  options.layers = {layer};
  const Encoder encoder(texts.model, options);
  std::vector<float> out(texts.ids.size() * encoder.dim());
  encoder.encode(texts.ids, out, work);
  if (const auto at = find_nonfinite(out, 1, texts.ids.size()))
    throw Error(
        concat("text ", at->text + 1, ": ", explain_nonfinite(encoder, texts.ids, *at, work)));
  return out;
}

std::vector<float> vectors_under(const MaskTexts& texts, const BlockMask& mask, Workspace& work) {
  const MaskedDepth policy("mask", mask);
  return encode(texts, {}, &policy, work);
}

std::vector<double> spearman_by_layer(const MaskTexts& texts, std::span<const double> gold,
                                      Workspace& work) {
  std::vector<size_t> layers;
  for (size_t l = 0; l <= texts.model.config().n_layer; ++l) layers.push_back(l);
  const std::vector<float> all = encode(texts, layers, nullptr, work);
  const size_t n = texts.ids.size(), dim = all.size() / layers.size() / std::max<size_t>(n, 1);
  std::vector<double> out;
  for (size_t l : layers)
    out.push_back(spearman(pair_cosines({all.data() + l * n * dim, n, dim}), gold));
  return out;
}

std::string_view name_of(ObjectiveKind kind) {
  switch (kind) {
    case ObjectiveKind::kCosine:
      return "cosine";
    case ObjectiveKind::kRsa:
      return "rsa";
    case ObjectiveKind::kLabel:
      return "label";
    case ObjectiveKind::kTask:
      return "task";
  }
  FATHOM_ASSERT(!"unknown ObjectiveKind");
}

ObjectiveKind parse_objective(std::string_view name) {
  for (ObjectiveKind kind :
       {ObjectiveKind::kCosine, ObjectiveKind::kRsa, ObjectiveKind::kLabel, ObjectiveKind::kTask})
    if (name == name_of(kind)) return kind;
  throw InvalidOption("objective", "cosine, rsa, label or task", concat("'", name, "'"));
}

std::vector<double> pairwise_cosines(Matrix<const float> vectors, ThreadPool& pool) {
  const size_t n = vectors.rows();
  std::vector<double> out(n * (n - std::min<size_t>(n, 1)) / 2);
  pool.run(n, [&](size_t i) {
    double* to =
        out.data() + i * (2 * n - i - 1) / 2;  // rows before this one have n - 1, n - 2, ...
    for (size_t j = i + 1; j < n; ++j) *to++ = cosine_of(vectors.row(i), vectors.row(j));
  });
  return out;
}

MaskObjective::MaskObjective(MaskTexts texts, ObjectiveKind kind, size_t reference,
                             std::span<const double> gold, Workspace& work)
    : texts_(std::move(texts)), kind_(kind), gold_(gold.begin(), gold.end()), work_(work) {
  FATHOM_ASSERT(kind != ObjectiveKind::kTask);
  const size_t n = texts_.ids.size();
  const auto varies = [](const std::vector<double>& v) {
    return !v.empty() && std::ranges::any_of(v, [&](double x) { return x != v[0]; });
  };
  if (kind == ObjectiveKind::kLabel) {
    FATHOM_ASSERT(gold_.size() * 2 == n);
    FATHOM_REQUIRE(varies(gold_), "objective label: the ", gold_.size(),
                   " gold values are all the same");
    return;
  }
  FATHOM_REQUIRE(n > 0, "objective ", name_of(kind), ": no texts");
  reference_ = vectors_at(texts_, reference, work_);
  if (kind != ObjectiveKind::kRsa) return;
  FATHOM_REQUIRE(n >= 3, "objective rsa: expected at least 3 texts, got ", n);
  reference_cosines_ = pairwise_cosines(rows_of(reference_, n), work_.pool());
  FATHOM_REQUIRE(varies(reference_cosines_), "objective rsa: the cosines of all texts at layer ",
                 reference, " are the same");
}

double MaskObjective::operator()(const BlockMask& mask) const {
  const size_t n = texts_.ids.size();
  if (kind_ == ObjectiveKind::kCosine) {
    double sum = 0;
    for (double loss : text_losses(mask)) sum += loss;
    return sum / static_cast<double>(n);
  }
  const std::vector<float> vectors = vectors_under(texts_, mask, work_);
  const auto correlation = [&] {
    return kind_ == ObjectiveKind::kRsa
               ? spearman(pairwise_cosines(rows_of(vectors, n), work_.pool()), reference_cosines_)
               : spearman(pair_cosines(rows_of(vectors, n)), gold_);
  }();
  // A mask under which all texts look the same says nothing about them.
  const double known = std::isnan(correlation) ? 0 : correlation;
  return kind_ == ObjectiveKind::kRsa ? std::max(0.0, 1 - known) : -known;
}

std::vector<double> MaskObjective::text_losses(const BlockMask& mask) const {
  return text_losses(vectors_under(texts_, mask, work_));
}

std::vector<double> MaskObjective::text_losses(std::span<const float> vectors) const {
  FATHOM_ASSERT(kind_ != ObjectiveKind::kLabel && vectors.size() == reference_.size());
  const size_t n = texts_.ids.size();
  std::vector<double> out;
  for (size_t i = 0; i < n; ++i) {
    // A vector that overflows under the mask has nothing left of the reference: the largest loss.
    const double cosine = cosine_of(rows_of(vectors, n).row(i), rows_of(reference_, n).row(i));
    // Rounding may put a cosine above 1, which is no gain.
    out.push_back(std::isfinite(cosine) ? std::max(0.0, 1 - cosine) : 2);
  }
  return out;
}

double SublayerStates::pooled_influence(size_t from, size_t to) const {
  double sum = 0;
  for (size_t t = 0; t < n_text; ++t)
    sum += std::max(0.0, 1 - cosine_of(vector(from, t), vector(to, t)));
  return sum / static_cast<double>(n_text);
}

double SublayerStates::angular_distance(size_t from, size_t to) const {
  double sum = 0;
  for (size_t t = 0; t < n_text; ++t)
    sum += std::acos(std::clamp(cosine_of(vector(from, t), vector(to, t)), -1.0, 1.0));
  return sum / static_cast<double>(n_text) / std::numbers::pi;
}

namespace {

// Packed batches through all sublayers, with what each does noted on the way.
class SublayerStatesRun {
 public:
  SublayerStatesRun(const MaskTexts& texts, Workspace& work) : texts_(texts), work_(work) {
    const Config& config = texts.model.config();
    out_ = {.n_layer = config.n_layer,
            .n_text = texts.ids.size(),
            .dim = config.d_model,
            .sublayer_influence = std::vector<double>(2 * config.n_layer),
            .block_influence = std::vector<double>(config.n_layer),
            .pooled = {}};
    out_.pooled.resize((2 * config.n_layer + 1) * out_.n_text * out_.dim);
  }

  SublayerStates run() {
    Batch batch;
    size_t first = 0, n_row = 0;
    for (size_t t = 0; t < texts_.ids.size(); ++t) {
      const std::vector<Token> scan = scan_of(texts_.ids[t]);
      FATHOM_REQUIRE(!scan.empty(), "text ", t + 1, " has no token");
      if (batch.size() > 0 && batch.n_token() + scan.size() > texts_.options.batch_tokens) {
        run_batch(batch, first);
        batch.clear();
        first = t;
      }
      batch.add(scan);
      n_row += scan.size();
    }
    if (batch.size() > 0) run_batch(batch, first);
    const auto finish = [&](double& sum) {
      sum = std::max(0.0, 1 - sum / static_cast<double>(n_row));
    };
    std::ranges::for_each(out_.sublayer_influence, finish);
    std::ranges::for_each(out_.block_influence, finish);
    for (size_t l = 0; l < out_.block_influence.size(); ++l)
      FATHOM_REQUIRE(std::isfinite(out_.block_influence[l]), "block ", l + 1,
                     " is the first whose output is not finite on these texts");
    return std::move(out_);
  }

 private:
  std::vector<Token> scan_of(const std::vector<Token>& ids) const {
    std::vector<Token> scan;
    if (texts_.options.bos) scan.push_back(*texts_.options.bos);
    if (texts_.options.scan == Scan::kReverse)
      scan.insert(scan.end(), ids.rbegin(), ids.rend());
    else
      scan.insert(scan.end(), ids.begin(), ids.end());
    return scan;
  }

  void run_batch(const Batch& batch, size_t first) {
    const Model& model = texts_.model;
    const size_t dim = out_.dim, n = batch.n_token();
    const auto x = work_.matrix(Workspace::kResidual, n, dim);
    std::vector<State> states;
    std::vector<State*> kept;
    if (model.has_initial_state()) {
      for (size_t s = 0; s < batch.size(); ++s) states.push_back(model.initial_state());
      for (State& state : states) kept.push_back(&state);
    }
    const Rows rows{batch.offsets(), kept, {}, batch.tokens()};
    model.embed(batch.tokens(), x, work_);
    pool(batch, x, first, 0);
    std::vector<float> block(n * dim), sublayer(n * dim);
    for (size_t l = 0; l < out_.n_layer; ++l) {
      std::copy_n(x.data(), n * dim, block.data());
      model.run_time_mix(l, rows, x, work_);
      pool(batch, x, first, 2 * l + 1);
      out_.sublayer_influence[2 * l] += sum_of_cosines({block.data(), n, dim}, x);
      std::copy_n(x.data(), n * dim, sublayer.data());
      model.run_channel_mix(l, rows, x, work_);
      pool(batch, x, first, 2 * l + 2);
      out_.sublayer_influence[2 * l + 1] += sum_of_cosines({sublayer.data(), n, dim}, x);
      out_.block_influence[l] += sum_of_cosines({block.data(), n, dim}, x);
    }
  }

  static double sum_of_cosines(Matrix<const float> x, Matrix<const float> y) {
    double sum = 0;
    for (size_t t = 0; t < x.rows(); ++t) sum += cosine_of(x.row(t), y.row(t));
    return sum;
  }

  void pool(const Batch& batch, Matrix<const float> x, size_t first, size_t boundary) {
    const std::vector<size_t> zero(batch.size(), 0);
    if (texts_.options.norm == Norm::kLnOut) {
      const auto y = work_.matrix(Workspace::kPooled, x.rows(), x.cols());
      texts_.model.norm_out(x, y, work_);
      x = y;
    }
    Pool pool(texts_.options.pooling, batch.size(), out_.dim);
    pool.add(texts_.model.backend(), work_.pool(), x, batch.offsets(), zero, zero, batch.tokens());
    for (size_t s = 0; s < batch.size(); ++s)
      pool.finish(s, std::span(out_.pooled)
                         .subspan((boundary * out_.n_text + first + s) * out_.dim, out_.dim));
  }

  const MaskTexts& texts_;
  Workspace& work_;
  SublayerStates out_;
};

}  // namespace

SublayerStates sublayer_states(const MaskTexts& texts, Workspace& work) {
  const EncodeOptions& o = texts.options;
  if (o.scan != Scan::kForward && o.scan != Scan::kReverse)
    throw InvalidOption("scan", "forward or reverse", std::string(name_of(o.scan)),
                        "block influence and angular distance read a text once");
  if (o.pooling == Pooling::kEos || pools_state(o.pooling))
    throw InvalidOption(
        "pooling",
        concat(names_of(kPlainPoolings, " or "), " for block influence and angular distance"),
        std::string(name_of(o.pooling)));
  FATHOM_REQUIRE(!texts.ids.empty(), "block influence and angular distance: no texts");
  return SublayerStatesRun(texts, work).run();
}

}  // namespace fathom
