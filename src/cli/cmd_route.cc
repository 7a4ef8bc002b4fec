// SPDX-License-Identifier: Apache-2.0
// fathom route: masks for kinds of texts and a router between them; a route: policy file.
#include <iostream>

#include "base/error.h"
#include "base/output_set.h"
#include "cli/commands.h"
#include "cli/mask_flags.h"
#include "cli/numbers.h"
#include "cli/progress.h"
#include "results/route_report.h"

namespace fathom::cli {
namespace {

struct RouteFlags {
  MaskFlags mask;
  std::string router = "centroid", post = "scale", global;
  size_t n_cluster = 8, layer = 1, bootstrap = 2000;
};

void check(const RouteFlags& flags) {
  flags.mask.check();
  if (flags.router != "centroid" && flags.router != "ridge")
    throw UsageError(concat("--router: expected centroid or ridge, got '", flags.router, "'"));
  parse_postprocess(flags.post);
  if (flags.mask.encode.scan == name_of(Scan::kBoth))
    throw UsageError("--scan both: a router reads a text once; expected another scan");
}

RouteStudyOptions options_of(const RouteFlags& flags) {
  return {.size = flags.mask.size(),
          .n_cluster = flags.n_cluster,
          .layer = flags.layer,
          .router = flags.router == "ridge" ? Router::kRidge : Router::kCentroid,
          .post = flags.post,
          .reference = flags.mask.reference,
          .n_resample = flags.bootstrap,
          .seed = flags.mask.seed,
          .command = command_line()};
}

void run(const RouteFlags& flags) {
  check(flags);
  OutputSet outputs;
  outputs.expect(flags.mask.output);
  if (!flags.global.empty()) outputs.expect(flags.global);
  const Listener listener = terminal_listener();
  OpenModel open = open_model(flags.mask.model);
  MaskCorpus corpus(open, flags.mask.encode.options(open.model.config()), flags.mask.sources(),
                    listener);
  const RouteResult result = route(corpus, options_of(flags));
  write_policy_file(outputs.open(flags.mask.output), result.file);
  if (!flags.global.empty()) write_policy_file(outputs.open(flags.global), result.global_file());
  outputs.commit();
  const Closing closing = closing_of(result, corpus, flags.mask.places());
  if (flags.mask.json) {
    OrderedJson j = to_json(result, corpus, flags.mask.output);
    j["closing"] = to_json(closing);
    std::cout << dump_json(j, 2) << '\n';
  } else {
    std::cout << to_text(result, corpus, flags.mask.output) << to_text(closing);
  }
}

}  // namespace

void add_route(CLI::App& app) {
  auto flags = std::make_shared<RouteFlags>();
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
  command->callback([flags, command] {
    flags->mask.make_own_task(*command);
    run(*flags);
  });
}

}  // namespace fathom::cli
