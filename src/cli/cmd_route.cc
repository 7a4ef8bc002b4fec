// SPDX-License-Identifier: Apache-2.0
// fathom route: masks for kinds of texts and a router between them; a route: policy file.
#include <fmt/format.h>

#include <iostream>

#include "base/error.h"
#include "base/output_set.h"
#include "cli/commands.h"
#include "cli/mask_flags.h"
#include "cli/numbers.h"
#include "cli/progress.h"
#include "encode/describe.h"
#include "report/table.h"
#include "study/fit_route.h"

namespace fathom::cli {
namespace {

struct Flags {
  MaskFlags mask;
  std::string router = "centroid", post = "scale", global;
  size_t n_cluster = 8, layer = 1, bootstrap = 2000;
};

constexpr size_t kRandomMasks = 20;

void check(const Flags& flags) {
  flags.mask.check();
  if (flags.router != "centroid" && flags.router != "ridge")
    throw UsageError(concat("--router: expected centroid or ridge, got '", flags.router, "'"));
  parse_postprocess(flags.post);
  if (flags.mask.encode.scan == name_of(Scan::kBoth))
    throw UsageError("--scan both: a router reads a text once; expected another scan");
}

RouteFit fit(const Flags& flags, const PruneProblem& problem, size_t reference, MaskBench& bench) {
  Progress progress("masks", flags.n_cluster + 1);
  const RouteOptions options{.n_cluster = flags.n_cluster,
                             .layer = flags.layer,
                             .router = flags.router == "ridge" ? Router::kRidge : Router::kCentroid,
                             .post = parse_postprocess(flags.post),
                             .seed = flags.mask.seed};
  return fit_route(bench.texts(bench.fitted), reference, problem, options, bench.open.work,
                   [&](size_t done) { progress.at(done); });
}

// A baseline, and what routing gains over it.
struct Row {
  const char* name;  // for programs
  const char* title;
  const RouteLosses::Choice& choice;
  RouteGain gain = {};
};

std::vector<Row> compare(const Flags& flags, const RouteLosses& losses, ThreadPool& pool) {
  std::vector<Row> rows = {{"routed", "routed", losses.routed},
                           {"global", "one mask for all", losses.global},
                           {"random", "random masks, mean", losses.random},
                           {"shuffled", "the masks dealt by chance", losses.shuffled},
                           {"oracle", "the best mask of every text", losses.oracle},
                           {"truncated", "last units removed", losses.truncated}};
  const BootstrapOptions options{.n_resample = flags.bootstrap, .seed = flags.mask.seed};
  for (size_t i = 1; i < rows.size(); ++i)
    rows[i].gain = gain_over(rows[i].choice, losses, options, pool);
  return rows;
}

double mean_loss(const RouteLosses::Choice& choice) {
  double sum = 0;
  for (double loss : choice.loss) sum += loss;
  return sum / static_cast<double>(choice.loss.size());
}

Table comparison_table(std::span<const Row> rows) {
  Table table({{.name = "mask", .title = "Held-out texts"},
               {.name = "flops_share", .title = "FLOPs left"},
               {.name = "loss", .title = "Loss"},
               {.name = "gain", .title = "Gain of routing over it"}});
  for (const Row& row : rows) {
    const bool routed = &row == rows.data();
    table.add({row.title, Cell(row.choice.flops_share, fixed(4)),
               Cell(mean_loss(row.choice), significant(4)),
               routed ? Cell(missing)
                      : Cell(row.gain.gain, significant(4))
                            .between(row.gain.interval.low, row.gain.interval.high)});
  }
  return table;
}

Table mask_table(const RouteFit& fit, const RouteLosses& losses) {
  Table table({{.name = "mask", .title = "Mask"},
               {.name = "n_text", .title = "Texts"},
               {.name = "loss_global", .title = "Loss, one mask"},
               {.name = "loss", .title = "Loss, own mask"},
               {.name = "n_routed", .title = "Held-out texts"},
               {.name = "blocks", .title = "Blocks"}});
  for (size_t m = 0; m < fit.rule.n_mask(); ++m)
    table.add({Cell(m), Cell(fit.clusters[m].n_text),
               Cell(fit.clusters[m].loss_global, significant(4)),
               Cell(fit.clusters[m].loss, significant(4)), Cell(losses.n_routed[m]),
               pattern_of(fit.rule.masks[m])});
  return table;
}

OrderedJson describe(const Flags& flags, const RouteFit& fit, const RouteLosses& losses,
                     std::span<const Row> rows, size_t reference) {
  OrderedJson j;
  j["method"] = "k-means; greedy mask, refined by swaps in every cluster";
  j["objective"] = "cosine";
  j["reference_layer"] = reference;
  j["clusters"] = flags.n_cluster;
  j["post"] = flags.post;
  if (fit.rule.router == Router::kRidge) j["kappa"] = fit.kappa;
  j["global_mask"] = pattern_of(fit.global.mask);
  j["n_random"] = kRandomMasks;
  for (const Row& row : rows) {
    OrderedJson& one = j["held_out"][row.name];
    one = {{"flops_share", row.choice.flops_share}, {"loss", mean_loss(row.choice)}};
    if (&row == rows.data()) continue;
    one["gain"] = row.gain.gain;
    one["gain_low"] = row.gain.interval.low;
    one["gain_high"] = row.gain.interval.high;
  }
  j["masks"] = to_json(mask_table(fit, losses));
  return j;
}

void print(const Flags& flags, const MaskBench& bench, const RouteFit& fit,
           const RouteLosses& losses, std::span<const Row> rows, const OrderedJson& summary) {
  if (flags.mask.json) {
    OrderedJson j = bench.provenance;
    j["router"] = flags.router;
    j["layer"] = flags.layer;
    for (const auto& [key, value] : summary.items()) j[key] = value;
    j["output"] = flags.mask.output;
    std::cout << dump_json(j, 2) << '\n';
    return;
  }
  std::cout << to_text(mask_table(fit, losses), 100 + 3 * fit.global.mask.n_layer())
            << to_text(comparison_table(rows));
  fmt::print(
      "fitted on {} texts, figures on {} others, with 95 % bootstrap intervals; {} random "
      "masks\n{}\n",
      bench.fitted.texts.size(), bench.held_out.texts.size(), kRandomMasks, flags.mask.output);
}

void run(const Flags& flags) {
  check(flags);
  OutputSet outputs;
  outputs.expect(flags.mask.output);
  if (!flags.global.empty()) outputs.expect(flags.global);
  MaskBench bench(flags.mask);
  const size_t n_layer = bench.cost().n_layer;
  if (flags.layer >= n_layer)
    throw UsageError(concat("--layer: expected 0 to ", n_layer - 1, ", got ", flags.layer));
  const PruneProblem problem = flags.mask.problem(bench.cost(), flags.layer);
  const size_t reference = reference_layer(flags.mask, bench);
  const RouteFit found = fit(flags, problem, reference, bench);
  const RouteLosses losses = judge_route(found, bench.texts(bench.held_out), reference, problem,
                                         kRandomMasks, flags.mask.seed, bench.open.work);
  const std::vector<Row> rows = compare(flags, losses, bench.open.work.pool());
  PolicyFile file = policy_for(flags.mask, bench);
  const OrderedJson summary = describe(flags, found, losses, rows, reference);
  for (const auto& [key, value] : summary.items()) file.fitted[key] = value;
  file.rule = found.rule;
  write_policy_file(outputs.open(flags.mask.output), file);
  if (!flags.global.empty()) {
    file.rule = found.global.mask;
    write_policy_file(outputs.open(flags.global), file);
  }
  outputs.commit();
  print(flags, bench, found, losses, rows, summary);
}

}  // namespace

void add_route(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "route", "masks of blocks for kinds of texts, and a router that chooses one");
  flags->mask.add_to(*command);
  command->add_option("--clusters", flags->n_cluster, "kinds of texts, each with its mask")
      ->capture_default_str()
      ->transform(whole_number(1, 256));
  command
      ->add_option("--router", flags->router,
                   "centroid (the nearest cluster), or ridge (the least loss predicted)")
      ->capture_default_str();
  command
      ->add_option("--layer", flags->layer,
                   "where the router reads; blocks in front of it always run")
      ->capture_default_str()
      ->transform(whole_number());
  command
      ->add_option("--post", flags->post,
                   "of what it reads: none, centre, scale, abtt[:D], whiten[:K], soft:A[:K]")
      ->capture_default_str();
  command->add_option("--global", flags->global,
                      "also write the one mask for all texts: a policy file for mask:FILE");
  command->add_option("--bootstrap", flags->bootstrap, "resamples for intervals")
      ->capture_default_str()
      ->transform(whole_number(1, 1'000'000));
  command->footer(
      "Fits on some texts and tells for others what routing gains over one mask for all, over\n"
      "random masks, and what the best mask of every text would still gain.\n"
      "Examples:\n"
      "  fathom route model/ --texts sentences.txt --clusters 8 --keep 0.75 -o route.policy\n"
      "  fathom route model/ --tasks mrpc,stsb,sst2 --keep 0.75 --router ridge -o route.policy\n"
      "  fathom embed model/ -i sentences.txt -o e.npy --depth route:route.policy");
  command->callback([flags] { run(*flags); });
}

}  // namespace fathom::cli
