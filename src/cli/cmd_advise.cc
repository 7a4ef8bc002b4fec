// SPDX-License-Identifier: Apache-2.0
// fathom advise: the cheapest depth policy that keeps a task's quality.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/output_set.h"
#include "cli/commands.h"
#include "cli/numbers.h"
#include "cli/sweep_clock.h"
#include "depth/mask.h"
#include "encode/describe.h"
#include "results/estimate_json.h"
#include "study/advise.h"
#include "study/policy_names.h"

namespace fathom::cli {
namespace {

struct Flags {
  TaskFlags task;
  std::string name, policies = "fixed,exit", max_loss = "1%", output;
  double guarantee = 0;
  size_t bootstrap = 2000;
};

// "1%" or "0.01".
double parse_share(const std::string& text) {
  std::string_view digits = text;
  const bool percent = digits.ends_with('%');
  if (percent) digits.remove_suffix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (percent) value /= 100;
  if (error != std::errc() || end != digits.data() + digits.size() || !(value >= 0 && value < 1))
    throw UsageError(
        concat("--max-loss: expected a share such as 1% or 0.01, below 1, got '", text, "'"));
  return value;
}

std::vector<std::string> parse_candidates(const std::string& text) {
  std::vector<std::string> policies = parse_policies(text);
  for (const std::string& policy : policies)
    if (is_baseline(policy) && policy != "fixed")
      throw UsageError(concat("--policies: ", policy, " is a baseline that no file can hold"));
  return policies;
}

AdviceTarget target_of(const Flags& flags) {
  const AdviceTarget target{parse_share(flags.max_loss), flags.guarantee};
  if (target.epsilon > 0 && target.max_loss == 0)
    throw UsageError("--guarantee: needs a --max-loss above 0");
  return target;
}

// What may be chosen, points from the safest on.
struct Candidates {
  std::vector<Method> methods;
  std::vector<std::unique_ptr<FilePolicy>> files;  // of methods from files, else nullptr
};

Candidates candidates_of(std::span<const std::string> policies, const PreparedTask& prepared,
                         std::span<const MethodPoint> layers, FeatureBench& bench, uint64_t seed) {
  Candidates all;
  for (const std::string& policy : policies) {
    std::unique_ptr<FilePolicy> file;
    Method method;
    if (is_file(policy)) {
      file = std::make_unique<FilePolicy>(policy, prepared, bench);
      method = file->method();
    } else if (policy == "fixed") {
      method = fixed_method(layers);
      std::ranges::reverse(method.points);
    } else {
      const Measure measure = parse_measure(policy.substr(5));
      if (!fits_task(measure, prepared.data.task)) continue;
      const SweepOptions options{.n_point = 60, .seed = seed, .n_shuffle = 0};
      method = exit_method(prepared.task, measure, options);
    }
    all.methods.push_back(std::move(method));
    all.files.push_back(std::move(file));
  }
  FATHOM_REQUIRE(!all.methods.empty(), "--policies: none of them fits ", prepared.data.task.name);
  return all;
}

BlockMask first_blocks(size_t depth, size_t n_layer) {
  BlockMask mask = BlockMask::all(n_layer);
  for (size_t l = depth; l < n_layer; ++l) mask.time_mix[l] = mask.channel_mix[l] = false;
  return mask;
}

OrderedJson figures_json(const AdviceFigures& f) {
  return {{"n", f.n},
          {"saving", json_of(f.saving)},
          {"relative_loss", json_of(f.loss)},
          {"differs_from_full_depth", json_of(f.differs)}};
}

void print(std::string_view name, const AdviceFigures& f) {
  const auto percent = [](const Estimate& e, int digits) {
    return fmt::format("{:.{}f} % [{:.{}f}, {:.{}f}]", 100 * e.value, digits, 100 * e.low, digits,
                       100 * e.high, digits);
  };
  fmt::print(
      "{:<22} {:>5} rows: saves {} of the FLOPs, loses {} of the quality, answers differ by {}\n",
      name, f.n, percent(f.saving, 1), percent(f.loss, 2), percent(f.differs, 2));
}

OrderedJson about(const Flags& flags, const TaskData& data, const AdviceTarget& target,
                  const Advice& advice, FeatureBench& bench) {
  OrderedJson fitted{{"command", command_line()},
                     {"fathom", FATHOM_VERSION},
                     {"model", describe(bench.model())},
                     {"data", std::string(data.task.name)},
                     {"metric", std::string(name_of(data.task.metrics.front()))},
                     {"max_loss", target.max_loss},
                     {"post", flags.task.post},
                     {"seed", flags.task.seed},
                     {"notes", data.notes},
                     {"left_out", data.left_out}};
  if (target.epsilon > 0) fitted["epsilon"] = target.epsilon;
  fitted["chosen_on"] = figures_json(advice.chosen_on);
  fitted["held_out"] = figures_json(advice.held_out);
  fitted[std::string(name_of(data.task.report))] = figures_json(advice.evaluated);
  return fitted;
}

// What was chosen, and how to write and time it.
struct Chosen {
  std::string name, setting;
  PolicyFile file;
  PointTime time;
};

Chosen chosen_of(const Advice& advice, const Candidates& all, std::span<const MethodPoint> layers,
                 SweepClock& clock, FeatureBench& bench, OrderedJson fitted) {
  const size_t n_layer = bench.n_layer();
  Chosen chosen{"full depth", layers.back().setting, bench.policy_file(std::move(fitted)), {}};
  if (!advice.choice) {
    chosen.file.rule = BlockMask::all(n_layer);
    chosen.time = clock.baseline(layers.back());
    return chosen;
  }
  const auto [m, j] = *advice.choice;
  const Method& method = all.methods[m];
  const MethodPoint& point = method.points[j];
  chosen.name = method.name;
  chosen.setting = point.setting;
  if (all.files[m]) {
    OrderedJson made = std::move(chosen.file.fitted);
    chosen.file = read_policy_file(method.name.substr(method.name.find(':') + 1));
    made["from"] = {{"file", method.name}, {"fitted", chosen.file.fitted}};
    chosen.file.fitted = std::move(made);
    chosen.time = clock.file(*all.files[m]);
  } else if (method.name == "fixed") {
    chosen.file.rule = first_blocks(point.evaluated.layer.front(), n_layer);
    chosen.time = clock.baseline(point);
  } else {
    ExitRule rule = method.rule;
    set_point(rule, point.exit);
    chosen.file.rule = std::move(rule);
    chosen.time = clock.exit(method.rule, point);
  }
  return chosen;
}

void run(const Flags& flags) {
  const AdviceTarget target = target_of(flags);
  const std::vector<std::string> policies = parse_candidates(flags.policies);
  const Task& task = find_task(flags.name);
  flags.task.check();
  const std::filesystem::path output = flags.output;
  OutputSet outputs;
  outputs.expect(output);
  const TaskData data(task, flags.task);
  FeatureBench bench(flags.task.features, output.parent_path() / "features");
  for (const std::string& policy : policies)
    if (is_file(policy)) open_depth(policy, bench.model());  // a wrong one is told before the work
  const PreparedTask prepared(data, flags.task, bench);
  const std::vector<MethodPoint> layers = layer_points(prepared.task);
  const Candidates all = candidates_of(policies, prepared, layers, bench, flags.task.seed);
  const Advice advice = fathom::advise(prepared.task, layers.back(), all.methods, target,
                                       {.n_resample = flags.bootstrap, .seed = flags.task.seed});
  SweepClock clock(prepared, bench, layers.back());
  Chosen chosen =
      chosen_of(advice, all, layers, clock, bench, about(flags, data, target, advice, bench));
  chosen.file.fitted["method"] = chosen.name;
  chosen.file.fitted["setting"] = chosen.setting;
  write_policy_file(outputs.open(output), chosen.file);
  outputs.commit();
  fmt::print("{}: {}, {}\n", task.title, chosen.name, chosen.setting);
  if (target.epsilon > 0)
    fmt::print(
        "Learn-then-Test over {} policies: answers differ from full depth by at most {} with "
        "probability {}\n",
        all.methods.size(), target.max_loss, 1 - target.epsilon);
  print("chosen on calibration", advice.chosen_on);
  print("held-out calibration", advice.held_out);
  print(name_of(task.report), advice.evaluated);
  const PolicyTime& time = chosen.time.time;
  fmt::print(
      "time, of full depth's: {:.2f} packed, {:.2f} at batch 1; FLOPs of the same {} rows "
      "{:.2f}\n",
      time.packed_share(), time.batch1_share(), time.n_example, chosen.time.predicted_share);
  for (const std::string& note : data.notes) fmt::print("{}\n", note);
  fmt::print("{}\n", flags.output);
}

}  // namespace

void add_advise(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("advise", "the cheapest depth policy that keeps a task's quality");
  flags->task.add_to(*command);
  command->add_option("--task", flags->name, "as in fathom eval")->required();
  command
      ->add_option("--max-loss", flags->max_loss,
                   "share of the quality of full depth that may be lost on calibration rows")
      ->capture_default_str();
  command
      ->add_option(
          "--guarantee", flags->guarantee,
          "EPSILON: instead, answers differ from those of full depth by at most --max-loss "
          "(mean over examples) with probability 1 - EPSILON (Learn-then-Test)")
      ->transform(real_number({.at_least = 1e-9, .at_most = 0.5}));
  command
      ->add_option("--policies", flags->policies,
                   "what to choose from, with commas between: fixed, exit (every measure), "
                   "exit:MEASURE, mask:FILE, route:FILE, exit:FILE")
      ->capture_default_str();
  command->add_option("-o,--output", flags->output, "policy file for --depth")->required();
  command->add_option("--bootstrap", flags->bootstrap, "resamples for intervals")
      ->capture_default_str()
      ->transform(whole_number(1, 100000));
  command->footer(
      "The choice is made on one half of the calibration rows; savings and losses are told of the\n"
      "other half and of the split that is reported, with 95 % intervals. A fixed depth is "
      "written\n"
      "as a mask that keeps the first blocks; fathom policy show says which kind was chosen.\n"
      "Examples:\n"
      "  fathom advise model/ --task mrpc --max-loss 1% -o mrpc.policy\n"
      "  fathom advise model/ --task sst2 --max-loss 5% --guarantee 0.05 -o sst2.policy\n"
      "  fathom advise model/ --task stsb --policies fixed,mask:pruned.policy -o stsb.policy\n"
      "  fathom embed model/ -i sentences.txt -o e.npy --depth exit:mrpc.policy");
  command->callback([flags] { run(*flags); });
}

}  // namespace fathom::cli
