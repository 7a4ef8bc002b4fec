// SPDX-License-Identifier: Apache-2.0
// fathom metrics: metrics of given predictions.
#include <iostream>

#include "base/error.h"
#include "base/output_set.h"
#include "cli/commands.h"
#include "eval/stats_cases.h"
#include "text/text_file.h"

namespace fathom::cli {
namespace {

struct MetricsFlags {
  std::string input, output = "-";
};

void run(const MetricsFlags& flags) {
  OutputSet outputs;
  if (flags.output != "-") outputs.expect(flags.output);
  const TextFile file(flags.input);
  const Json cases = parse_json(file.text(), file.name());
  std::string out;
  try {
    out = dump_json(run_stats_cases(cases), 1) + "\n";
  } catch (const Error& e) {
    throw Error(concat(file.name(), ": ", e.what()));
  }
  if (flags.output == "-") {
    std::cout << out;
  } else {
    outputs.write(flags.output, out);
    outputs.commit();
  }
}

}  // namespace

void add_metrics(CLI::App& app) {
  auto flags = std::make_shared<MetricsFlags>();
  CLI::App* command = app.add_subcommand("metrics", "metrics of given predictions");
  command
      ->add_option(
          "cases", flags->input,
          "JSON list of cases: {name, kind} and the fields of the kind; - is standard input")
      ->required();
  command->add_option("-o,--output", flags->output, "JSON; - is standard output")
      ->capture_default_str();
  command->footer(
      "Kinds: correlation (x, y), binary and multiclass (truth, pred), average_precision (truth,\n"
      "score), counts (tp, tn, fp, fn).\n"
      "Example:\n"
      "  fathom metrics cases.json -o out.json");
  command->callback([flags] { run(*flags); });
}

}  // namespace fathom::cli
