// SPDX-License-Identifier: Apache-2.0
// fathom classify: texts to the classes that an exit policy was fitted on.
#include <iostream>

#include "base/output_set.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/progress.h"
#include "results/classified_file.h"

namespace fathom::cli {
namespace {

struct ClassifyFlags {
  ModelFlags model;
  std::string policy, input = "-", output;
  ClassifyColumns columns;
  size_t batch_tokens = 1024;
};

void run(const ClassifyFlags& flags) {
  OutputSet outputs;
  if (!flags.output.empty()) {
    check_table_ending(flags.output);
    outputs.expect(flags.output);
  }
  OpenModel open = open_model(flags.model);
  const DepthChoice choice = open_depth(flags.policy, open.model);
  require_heads(choice);
  EncodeOptions options;
  options.layers.clear();
  options.batch_tokens = flags.batch_tokens;
  if (choice.file) options.pool_as(choice.file->reading);
  const Encoder encoder(open.model, options, choice.policy.get());
  const ClassifyInput rows =
      read_classify_input(flags.input, flags.columns, encoder.by_pair(), tell_user);
  const std::vector<std::string_view> texts(rows.texts.begin(), rows.texts.end());
  std::vector<Classified> found;
  {
    Progress progress("classifying", texts.size());
    found = classify(encoder, choice, open, texts, rows.place, [&](size_t n) { progress.at(n); });
  }
  const Table table = classified_table(rows.rows, found);
  if (flags.output.empty()) {
    std::cout << to_text(table);
  } else {
    outputs.write(flags.output, write_table(table, flags.output));
    outputs.commit();
  }
  std::cerr << summary_of(rows.rows, found, open.model.config().n_layer) << '\n';
}

}  // namespace

void add_classify(CLI::App& app) {
  auto flags = std::make_shared<ClassifyFlags>();
  CLI::App* command = app.add_subcommand(
      "classify", "texts to classes by a policy of fathom fit, each as deep as it needs");
  flags->model.add_to(*command);
  command->add_option("--policy", flags->policy, "an exit policy that was fitted on a task")
      ->required();
  command
      ->add_option("-i,--input", flags->input,
                   "texts, one a line, or JSON lines, .csv, .tsv with a header; .xz, .gz, .zst too")
      ->capture_default_str();
  command->add_option("-o,--output", flags->output, ".csv or .jsonl [a table on the terminal]");
  command->add_option("--field,--text", flags->columns.text, "the texts' column or field");
  command->add_option("--text1", flags->columns.text1, "of pairs: the first text's, and");
  command->add_option("--text2", flags->columns.text2, "the second's");
  command->add_option("--id-field", flags->columns.id, "write this column, too, as id");
  command->add_option("--label-field", flags->columns.label,
                      "column of the right classes: written as truth, and counted");
  command->add_option("--batch-tokens", flags->batch_tokens, "tokens in one packed batch")
      ->capture_default_str();
  command->footer(
      "Confidence is that of the policy's measure, larger is surer; flops_share is of a run "
      "through\n"
      "all blocks, with pooling and heads.\n"
      "Examples:\n"
      "  fathom classify model/ --policy reviews.policy -i new.csv --text text -o out.csv\n"
      "  fathom classify model/ --policy sst2.policy -i lines.txt\n"
      "  fathom classify model/ --policy mrpc.policy -i pairs.tsv --text1 a --text2 b -o "
      "out.jsonl");
  command->callback([flags] { run(*flags); });
}

}  // namespace fathom::cli
