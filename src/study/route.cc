// SPDX-License-Identifier: Apache-2.0
#include "study/route.h"

#include <utility>

#include "base/error.h"
#include "base/invalid_option.h"
#include "study/rounding.h"

namespace fathom {
namespace {

RouteFit fit(const RouteStudyOptions& how, const PruneProblem& problem, size_t reference,
             MaskCorpus& corpus) {
  Stage stage(corpus.listener, "masks", how.n_cluster + 1);
  const RouteOptions options{.n_cluster = how.n_cluster,
                             .layer = how.layer,
                             .router = how.router,
                             .post = parse_postprocess(how.post),
                             .seed = how.seed};
  return fit_route(corpus.texts(corpus.fitted), reference, problem, options, corpus.open.work,
                   [&](size_t done) { stage.at(done); });
}

double mean_loss(const RouteLosses::Choice& choice) {
  double sum = 0;
  for (double loss : choice.loss) sum += loss;
  return without_rounding(sum / static_cast<double>(choice.loss.size()));
}

std::vector<RouteLine> compare(const RouteStudyOptions& how, const RouteLosses& losses,
                               ThreadPool& pool) {
  const BootstrapOptions options{.n_resample = how.n_resample, .seed = how.seed};
  std::vector<RouteLine> lines;
  const auto add = [&](const char* name, const char* title, const RouteLosses::Choice& choice) {
    RouteLine line{name, title, choice.flops_share, mean_loss(choice), {}};
    if (!lines.empty()) line.gain = gain_over(choice, losses, options, pool);
    lines.push_back(std::move(line));
  };
  add("routed", "routed", losses.routed);
  add("global", "one mask for all", losses.global);
  add("random", "random masks, mean", losses.random);
  add("shuffled", "the masks shuffled at random", losses.shuffled);
  add("oracle", "the best mask of every text", losses.oracle);
  add("truncated", "last units removed", losses.truncated);
  return lines;
}

OrderedJson masks_json(const RouteResult& r) {
  OrderedJson masks = OrderedJson::array();
  for (size_t m = 0; m < r.fit.rule.n_mask(); ++m)
    masks.push_back({{"mask", m},
                     {"n_text", r.fit.clusters[m].n_text},
                     {"loss_global", r.fit.clusters[m].loss_global},
                     {"loss", r.fit.clusters[m].loss},
                     {"n_routed", r.losses.n_routed[m]},
                     {"blocks", pattern_of(r.fit.rule.masks[m])}});
  return masks;
}

}  // namespace

PolicyFile RouteResult::global_file() const {
  PolicyFile global = file;
  global.rule = fit.global.mask;
  return global;
}

RouteResult route(MaskCorpus& corpus, const RouteStudyOptions& options) {
  const size_t n_layer = corpus.cost().n_layer;
  if (options.layer >= n_layer)
    throw InvalidOption("layer", concat("0 to ", n_layer - 1), std::to_string(options.layer));
  const PruneProblem problem = problem_of(options.size, corpus.cost(), options.layer);
  RouteResult r;
  r.options = options;
  r.reference = reference_layer(options.reference, corpus);
  r.fit = fit(options, problem, r.reference, corpus);
  r.losses = judge_route(r.fit, corpus.texts(corpus.held_out), r.reference, problem,
                         RouteResult::kRandomMasks, options.seed, corpus.open.work);
  r.lines = compare(options, r.losses, corpus.open.work.pool());
  r.file = policy_for(corpus, options.size, options.command);
  r.file.fitted.update(summary_json(r));
  r.file.rule = r.fit.rule;
  return r;
}

OrderedJson summary_json(const RouteResult& r) {
  OrderedJson j;
  j["method"] = "k-means; greedy mask, refined by swaps in every cluster";
  j["objective"] = "cosine";
  j["reference_layer"] = r.reference;
  j["clusters"] = r.options.n_cluster;
  j["post"] = r.options.post;
  if (r.fit.rule.router == Router::kRidge) j["kappa"] = r.fit.kappa;
  j["global_mask"] = pattern_of(r.fit.global.mask);
  j["n_random"] = RouteResult::kRandomMasks;
  for (const RouteLine& line : r.lines) {
    OrderedJson& one = j["held_out"][line.name];
    one = {{"flops_share", line.flops_share}, {"loss", line.loss}};
    if (&line == r.lines.data()) continue;
    one["gain"] = line.gain.gain;
    one["gain_low"] = line.gain.interval.low;
    one["gain_high"] = line.gain.interval.high;
  }
  j["masks"] = masks_json(r);
  return j;
}

}  // namespace fathom
