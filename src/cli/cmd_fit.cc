// SPDX-License-Identifier: Apache-2.0
// fathom fit: heads at every layer and an early-exit policy, from one pass over the training texts.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iostream>

#include "base/error.h"
#include "base/output_set.h"
#include "cli/commands.h"
#include "cli/data_notes.h"
#include "cli/feature_bench.h"
#include "cli/fit_policy.h"
#include "cli/flags.h"
#include "cli/numbers.h"
#include "cli/progress.h"
#include "cli/sentences.h"
#include "encode/describe.h"
#include "results/fit_report.h"

namespace fathom::cli {
namespace {

struct Flags {
  FeatureFlags features;
  StaticFlags statics;
  std::string task, texts, output, heads, submit;
  std::string post = "none", measure, loss = "consistency", exits = "all";
  std::string guarantee;
  double target_speed = 0, max_loss = -1, risk_control = -1, tolerance = 0.05, alpha = 1;
  size_t calibration = 2, streak = 1, n_resample = 2000;
  uint64_t seed = 1;
};

ExitTarget parse_target(const Flags& flags) {
  using Kind = ExitTarget::Kind;
  if (flags.target_speed > 0) return {Kind::kSpeed, flags.target_speed, 0};
  if (flags.max_loss >= 0) return {Kind::kLoss, flags.max_loss, 0};
  if (flags.risk_control >= 0) return {Kind::kRiskControl, flags.risk_control, 0};
  const std::string text = flags.guarantee.empty() ? "0.05,0.05" : flags.guarantee;
  const size_t comma = text.find(',');
  ExitTarget target;
  const auto read = [](std::string_view part, double& value) {
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    return error == std::errc() && end == part.data() + part.size() && value > 0 && value < 1;
  };
  const std::string_view view = text;
  if (comma == std::string::npos || !read(view.substr(0, comma), target.value) ||
      !read(view.substr(comma + 1), target.epsilon))
    throw UsageError(
        concat("--guarantee: expected two numbers between 0 and 1, such as 0.05,0.05 "
               "(loss, chance to fail), got '",
               text, "'"));
  return target;
}

// Cached vectors lie beside what is written, unless a flag says otherwise.
std::filesystem::path features_beside(const Flags& flags) {
  const std::string& output = flags.output.empty() ? flags.heads : flags.output;
  return std::filesystem::path(output).parent_path() / "features";
}

std::vector<std::string> layer_names(size_t n_layer) {
  std::vector<std::string> names;
  for (size_t l = 0; l <= final_layer(n_layer); ++l) names.push_back(layer_name(l, n_layer));
  return names;
}

// Texts that nothing says anything about: rows for maps and post-processing, for the grid and
// learned-to-exit, and for thresholds.
FitRows part_texts(size_t n, size_t n_calibration, uint64_t seed) {
  return part_rows(std::vector<double>(n), 1, n_calibration, seed);
}

struct Data {
  const Task* task = nullptr;
  Dataset train, evaluated;
  bool has_evaluated = false;
  std::vector<std::string> lines;  // owns the texts without labels
  std::vector<std::string_view> texts, evaluated_texts;
  std::vector<std::string> notes;
  TextPlace place;  // of `texts`
};

Data load_data(const Flags& flags) {
  Data d;
  if (flags.task.empty()) {
    Sentences sentences = read_sentences(flags.texts, "", Empty::kSkip);
    d.place = places_of(flags.texts, sentences.line);
    if (const size_t n = sentences.skipped.size(); n > 0)
      d.notes.push_back(fmt::format("{} empty lines of {} were left out", n, flags.texts));
    d.lines = std::move(sentences.texts);
    d.texts.assign(d.lines.begin(), d.lines.end());
    FATHOM_REQUIRE(!d.texts.empty(), flags.texts, ": no texts");
    return d;
  }
  d.task = &find_task(flags.task);
  const std::filesystem::path root = find_data_root(flags.features.data);
  try {
    d.train = load_dataset(*d.task, Split::kTrain, root);
  } catch (const MissingData& e) {
    throw Error(concat(d.task->name, ": missing: train (", e.what(), ")"));
  }
  require_every_class(d.train);
  d.notes = notes_of(d.train);
  try {
    d.evaluated = load_dataset(*d.task, d.task->report, root);
    d.has_evaluated = true;
    for (std::string& note : notes_of(d.evaluated)) d.notes.push_back(std::move(note));
    d.evaluated_texts = texts_in_order(d.evaluated);
  } catch (const MissingData&) {
    d.notes.push_back(concat("missing: ", name_of(d.task->report)));
  }
  d.texts = texts_in_order(d.train);
  return d;
}

// What GLUE's server is asked about, before the work.
std::vector<Dataset> load_submissions(const Flags& flags, const Task& task,
                                      std::vector<std::string>& notes, OutputSet& outputs) {
  const std::filesystem::path root = find_data_root(flags.features.data);
  // The heads of MNLI answer the diagnostic set, too.
  std::vector<const Task*> answered = {&task};
  if (task.name == "mnli") answered.push_back(&find_task("ax"));
  std::vector<Dataset> rows;
  for (const Task* t : answered) {
    try {
      rows.push_back(load_unlabelled(*t, root));
      outputs.expect_in(flags.submit, {t->submission});
    } catch (const MissingData& e) {
      notes.push_back(fmt::format("missing: no submission for {} ({})", t->name, e.what()));
    }
  }
  return rows;
}

void write_submissions(const Flags& flags, std::span<const Dataset> submissions,
                       const FitReport& report, FeatureBench& bench, OutputSet& outputs) {
  if (submissions.empty()) return;
  const size_t best = best_layer(report);
  for (const Dataset& rows : submissions) {
    const Task& t = *rows.task;
    const std::vector<std::string_view> texts = texts_in_order(rows);
    const FeatureCache cache = bench.vectors(concat(t.name, "-unlabelled"), texts, places_of(rows));
    tell(notes_of(rows));
    const auto path = std::filesystem::path(flags.submit) / t.submission;
    outputs.write(path, submission_text(t, predict(t, cache, best, report.fits[best])));
    fmt::print("{}: layer {}\n", path.string(), report.layers[best]);
  }
}

OrderedJson about(const Flags& flags, const Data& data, FeatureBench& bench, const FitRows& rows) {
  OrderedJson j;
  j["command"] = command_line();
  j["fathom"] = FATHOM_VERSION;
  j["model"] = describe(bench.open().model);
  j["data"] = data.task ? std::string(data.task->name) : flags.texts;
  j["data_files"] = OrderedJson::array();
  for (const auto& file : data.train.files) j["data_files"].push_back(file.string());
  j["skipped_rows"] = data.train.left_out.total();
  j["left_out"]["train"] = left_out_json(data.train.left_out);
  if (data.has_evaluated)
    j["left_out"][std::string(name_of(data.evaluated.split))] =
        left_out_json(data.evaluated.left_out);
  j["rows"] = {{"heads", rows.heads.size()},
               {"tune", rows.tune.size()},
               {"calibration", rows.calibration.size()}};
  j["seed"] = flags.seed;
  j["post"] = flags.post;
  j["notes"] = data.notes;
  return j;
}

void check(const Flags& flags) {
  if (flags.task.empty() == flags.texts.empty())
    throw UsageError("expected either --task NAME or --texts FILE");
  if (flags.output.empty() && flags.heads.empty())
    throw UsageError("expected --output FILE (an exit policy), --heads FILE, or both");
  if (!flags.measure.empty()) {
    try {
      parse_measure(flags.measure);
    } catch (const Error& e) {
      throw UsageError(concat("--", e.what()));
    }
  }
  parse_target(flags);
  parse_loss(flags.loss, flags.task.empty() ? nullptr : &find_task(flags.task));
  parse_postprocess(flags.post);
  flags.features.check();
  if (!flags.submit.empty() && flags.task.empty())
    throw UsageError("--submit: needs a --task of GLUE");
  if (flags.task.empty() && !(flags.statics.bag.empty() && flags.statics.glove.empty()))
    throw UsageError("--bag, --glove: need a --task, whose heads they get");
}

PolicyRequest request_of(const Flags& flags) {
  return {.measure = flags.measure,
          .exits = flags.exits,
          .loss = flags.loss,
          .streak = flags.streak,
          .alpha = flags.alpha,
          .tolerance = flags.tolerance,
          .target = parse_target(flags)};
}

void write_policy(const Flags& flags, const Data& data, const FitRows& rows,
                  const FeatureCache& cache, const FeatureCache* evaluated, FitReport& report,
                  FeatureBench& bench, OutputSet& outputs) {
  PolicyInputs inputs{.task = data.task,
                      .train = {&cache, {}, cache.n_token()},
                      .evaluated = {evaluated, {}, {}},
                      .rows = rows,
                      .model = bench.open().model,
                      .encode = bench.encoder().options(),
                      .pool = bench.pool()};
  if (data.task) inputs.train.gold = golds_of(data.train);
  if (evaluated) {
    inputs.evaluated.gold = golds_of(data.evaluated);
    inputs.evaluated.n_token = evaluated->n_token();
  }
  const PolicyFile file = fit_policy(request_of(flags), inputs, report);
  write_policy_file(outputs.open(flags.output), file);
  fmt::print("{}: {}\n", flags.output, dump_json(file.fitted["calibration"]));
  if (!evaluated) return;
  const std::string split(name_of(data.task->report));
  fmt::print("{}: {}\n", split, dump_json(file.fitted[split]));
}

void fit_labelled(const Flags& flags, const Data& data, std::span<const StaticVectors> statics,
                  const FitSplit& train, const FitSplit* evaluated, const FitRows& rows,
                  FeatureBench& bench, FitReport& report) {
  const HeadOptions options{.post = parse_postprocess(flags.post), .fit = {.seed = flags.seed}};
  Progress progress("heads", report.layers.size() + statics.size());
  report.fits = fit_heads(*data.task, train, rows, evaluated, options, bench.pool(),
                          [&](size_t done) { progress.at(done); });
  for (const StaticVectors& system : statics) {
    const FeatureCache seen = bench.vectors(system, data.texts);
    std::optional<FeatureCache> judged;
    std::optional<FitSplit> split;
    if (evaluated) {
      judged.emplace(bench.vectors(system, data.evaluated_texts));
      split.emplace(FitSplit{*judged, evaluated->gold});
    }
    std::vector<LayerFit> fits = fit_heads(*data.task, {seen, train.gold}, rows,
                                           split ? &*split : nullptr, options, bench.pool());
    report.baselines.push_back(
        {system.name, std::move(fits.front()), system.about,
         system.warns ? system.name + ", knows hardly a word!" : system.name});
    progress.at(report.layers.size() + report.baselines.size());
  }
  if (evaluated)
    report.spread =
        spread_of(report, evaluated->gold, {.n_resample = flags.n_resample}, bench.pool());
  if (!statics.empty()) report.about["baselines"] = baselines_json(report);
}

void run(const Flags& flags) {
  check(flags);
  OutputSet outputs;
  for (const std::string& output : {flags.output, flags.heads})
    if (!output.empty()) outputs.expect(output);
  Data data = load_data(flags);
  tell(data.notes);
  const std::vector<StaticVectors> statics =
      open_static(flags.statics, {data.texts, data.evaluated_texts});
  for (const StaticVectors& system : statics)
    data.notes.insert(data.notes.begin(), system.notes.begin(), system.notes.end());
  std::vector<std::string> submission_notes;
  std::vector<Dataset> submissions;
  if (!flags.submit.empty())
    submissions = load_submissions(flags, *data.task, submission_notes, outputs);
  FeatureBench bench(flags.features, features_beside(flags));
  exit_layers(flags.exits, bench.n_layer());  // wrong ones are told before the work
  const std::string name = data.task ? std::string(data.task->name) : "texts";
  const FeatureCache cache = bench.vectors(data.task ? name + "-train" : name, data.texts,
                                           data.task ? places_of(data.train) : data.place);
  std::optional<FeatureCache> evaluated;
  if (data.has_evaluated)
    evaluated.emplace(bench.vectors(concat(name, "-", name_of(data.task->report)),
                                    data.evaluated_texts, places_of(data.evaluated)));

  FitReport report;
  report.task = data.task;
  report.layers = layer_names(bench.n_layer());
  const std::vector<double> gold = data.task ? golds_of(data.train) : std::vector<double>();
  const FitRows rows = data.task
                           ? part_rows(gold, data.task->n_class(), flags.calibration, flags.seed)
                           : part_texts(data.texts.size(), flags.calibration, flags.seed);
  report.about = about(flags, data, bench, rows);
  if (data.task) {
    std::optional<FitSplit> judged;
    if (evaluated) judged.emplace(FitSplit{*evaluated, golds_of(data.evaluated)});
    fit_labelled(flags, data, statics, {cache, gold}, judged ? &*judged : nullptr, rows, bench,
                 report);
  } else {
    const PostprocessOptions post = parse_postprocess(flags.post);
    report.fits.resize(report.layers.size());
    bench.pool().run(report.fits.size(), [&](size_t i) {
      report.fits[i].post = fit_layer_post(post, cache, i, rows.heads);
    });
  }
  if (data.task) {
    fmt::print("{}: heads on {} rows{}\n", data.task->title, rows.heads.size(),
               evaluated ? fmt::format(", figures on {} of {}", data.evaluated.pairs.size(),
                                       name_of(data.task->report))
                         : std::string());
    std::cout << to_text(curve_table(report), 120);
  }
  for (const std::string& note : data.notes) fmt::print("{}\n", note);
  if (!flags.output.empty())
    write_policy(flags, data, rows, cache, evaluated ? &*evaluated : nullptr, report, bench,
                 outputs);
  if (!flags.heads.empty()) {
    write_heads(outputs.open(flags.heads), report);
    fmt::print("{}\n", flags.heads);
  }
  write_submissions(flags, submissions, report, bench, outputs);
  for (const std::string& note : submission_notes) fmt::print("{}\n", note);
  outputs.commit();
}

void add_data_flags(CLI::App& command, Flags& flags) {
  std::string names;
  for (const Task& task : tasks()) names += concat(names.empty() ? "" : ", ", task.name);
  command.add_option("--task", flags.task, names);
  command.add_option("--texts", flags.texts,
                     "instead of a task: sentences without labels, one a line");
}

void add_target_flags(CLI::App& command, Flags& flags) {
  auto* speed = command
                    .add_option("--target-speed", flags.target_speed,
                                "as many times less work, 2 say, than full depth")
                    ->transform(real_number({.at_least = 1, .at_most = 1000}));
  auto* loss = command
                   .add_option("--max-loss", flags.max_loss,
                               "mean loss on calibration rows, without a guarantee")
                   ->transform(real_number({.at_least = 0, .at_most = 1}));
  auto* risk = command
                   .add_option("--risk-control", flags.risk_control,
                               "expected loss of a new example (conformal risk control)")
                   ->transform(real_number({.at_least = 0, .at_most = 1}));
  auto* guarantee = command.add_option("--guarantee", flags.guarantee,
                                       "DELTA,EPSILON: loss at most DELTA with probability "
                                       "1 - EPSILON (Learn-then-Test) [0.05,0.05]");
  speed->excludes(loss)->excludes(risk)->excludes(guarantee);
  loss->excludes(risk)->excludes(guarantee);
  risk->excludes(guarantee);
}

}  // namespace

void add_fit(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("fit", "heads at every layer and an early-exit policy for a task");
  flags->features.add_to(*command);
  add_data_flags(*command, *flags);
  flags->statics.add_to(*command);
  command->add_option("-o,--output", flags->output, "policy file for --depth exit:FILE");
  command->add_option("--heads", flags->heads,
                      "all heads, prototypes, post-processings: a safetensors file");
  command->add_option("--submit", flags->submit, "folder for GLUE's submission files");
  command
      ->add_option("--post", flags->post,
                   "post-processing: none, centre, scale, abtt[:D], whiten[:K], soft:A[:K]")
      ->capture_default_str();
  command->add_option("--measure", flags->measure,
                      "max-prob, margin, entropy, patience, pcee, f-pabee, saturation, score, "
                      "prototype, learned [entropy; saturation where there are no classes]");
  command->add_option("--streak", flags->streak, "exits in a row, for pcee, f-pabee, score")
      ->capture_default_str()
      ->transform(whole_number(1, 1000));
  command->add_option("--alpha", flags->alpha, "weight of the distances, for prototype")
      ->capture_default_str()
      ->transform(real_number({.at_least = 0}));
  command->add_option("--exits", flags->exits, "layers at which texts may stop, or all")
      ->capture_default_str();
  command->add_option("--loss", flags->loss, "consistency (with full depth) or risk")
      ->capture_default_str();
  command
      ->add_option("--tolerance", flags->tolerance,
                   "loss up to which a vector or score counts as right, for learned")
      ->capture_default_str()
      ->transform(real_number({.at_least = 0, .at_most = 1}));
  add_target_flags(*command, *flags);
  command
      ->add_option("--calibration", flags->calibration,
                   "tenths of the training rows kept for thresholds (a further one for "
                   "temperatures); 0: all rows fit heads")
      ->capture_default_str()
      ->transform(whole_number(0, 8));
  command->add_option("--seed", flags->seed, "of the cuts")
      ->capture_default_str()
      ->transform(whole_number());
  command->add_option("--bootstrap", flags->n_resample, "resamples, for the 95 % intervals")
      ->capture_default_str()
      ->transform(whole_number(1, 1000000));
  command->footer(
      "Cached vectors make a second run start where the first one stopped, whatever stopped it.\n"
      "Examples:\n"
      "  fathom fit model/ --task mrpc --data data/ -o mrpc.policy --guarantee 0.05,0.05\n"
      "  fathom fit model/ --task sst2 -o sst2.policy --measure learned --target-speed 2\n"
      "  fathom fit model/ --task cola --heads cola.safetensors --calibration 0 --submit out/\n"
      "  fathom fit model/ --task trec --heads trec.safetensors --bag bag/ --glove words.txt\n"
      "  fathom fit model/ --texts sentences.txt -o any.policy --post centre --max-loss 0.05\n"
      "  fathom embed model/ -i sentences.txt -o e.npy --depth exit:any.policy");
  command->callback([flags] { run(*flags); });
}

}  // namespace fathom::cli
