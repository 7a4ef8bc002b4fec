// SPDX-License-Identifier: Apache-2.0
// fathom sweep: every depth policy at many operating points on many tasks, against fixed depth.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/numbers.h"
#include "cli/progress.h"
#include "cli/sweep_clock.h"
#include "cli/sweep_parts.h"
#include "cli/task_flags.h"
#include "encode/describe.h"
#include "eval/task_list.h"
#include "results/sweep_report.h"
#include "study/policy_names.h"

namespace fathom::cli {
namespace {

constexpr size_t kFewPoints = 8;

struct Flags {
  TaskFlags task;
  std::string tasks = "mrpc,stsb,sst2,cola,rte,sickr,sicke", policies = "all", output;
  size_t n_point = 12, time_points = 3, bootstrap = 2000, streak = 2;
  double pass_seconds = 0.05;
  bool no_timing = false;
};

// One task: results that are kept are read, the others computed. Vectors and heads are made when
// the first of them is missing.
class TaskSweep {
 public:
  TaskSweep(const Flags& flags, const TaskData& data, FeatureSource& bench, const SweepParts& parts)
      : flags_(flags), data_(data), bench_(bench), parts_(parts) {
    options_.n_point = flags.n_point;
    options_.streak = flags.streak;
    options_.seed = flags.task.seed;
    std::string gold;
    for (const Dataset* d : {&data.train, &data.evaluated})
      for (double g : golds_of(*d)) gold += fmt::format("{} ", g);
    key_ = {{"format", 1},
            {"fathom", FATHOM_VERSION},
            {"train", bench.key(data.train_texts)},
            {"evaluated", bench.key(data.evaluated_texts)},
            {"gold", hash_text(gold)},
            {"task", std::string(data.task.name)},
            {"feature_dtype", flags.task.features.dtype},
            {"post", flags.task.post},
            {"calibration", flags.task.calibration},
            {"seed", flags.task.seed},
            {"points", flags.n_point},
            {"streak", flags.streak},
            {"bootstrap", flags.bootstrap}};
  }

  OrderedJson result(const std::string& policy) {
    OrderedJson key = key_;
    key["policy"] = policy;
    if (is_file(policy)) key["policy_file"] = policy_hash(policy);
    const std::string name = concat(data_.task.name, "-", policy);
    OrderedJson result = kept_or(name, key, [&] { return compute(policy); });
    if (flags_.no_timing) return result;
    key["time_points"] = flags_.time_points;
    key["pass_seconds"] = flags_.pass_seconds;
    key["threads"] = bench_.pool().size();
    result["times"] = kept_or(name + "-times", key, [&] { return measure(policy); });
    return result;
  }

 private:
  template <class Make>
  OrderedJson kept_or(const std::string& name, const OrderedJson& key, const Make& make) {
    if (std::optional<OrderedJson> found = parts_.find(name, key)) return std::move(*found);
    OrderedJson made = make();
    parts_.keep(name, key, made);
    return made;
  }

  const PreparedTask& prepared() {
    if (!prepared_) prepared_.emplace(data_, flags_.task.options(), bench_);
    return *prepared_;
  }
  std::span<const MethodPoint> layers() {
    if (layers_.empty()) layers_ = layer_points(prepared().task);
    return layers_;
  }

  const Method& method(const std::string& policy) {
    if (is_file(policy)) return file(policy).method();
    if (last_ && last_->name == policy) return *last_;
    const SweepTask& task = prepared().task;
    if (policy == "embedding") last_ = embedding_method(layers());
    if (policy == "fixed") last_ = fixed_method(layers());
    if (policy == "best-fixed") last_ = best_fixed_method(task, layers());
    if (policy == "random") last_ = random_method(task, layers(), options_);
    if (policy == "oracle") last_ = oracle_method(task, layers(), options_);
    if (is_measure(policy)) last_ = exit_method(task, parse_measure(policy.substr(5)), options_);
    FATHOM_ASSERT(last_ && last_->name == policy);
    return *last_;
  }
  const FilePolicy& file(const std::string& policy) {
    if (!file_ || file_->method().name != policy) file_.emplace(policy, prepared(), bench_);
    return *file_;
  }

  OrderedJson compute(const std::string& policy) {
    const SweepTask& task = prepared().task;
    if (!scorer_)
      scorer_.emplace(task, layers(),
                      BootstrapOptions{.n_resample = flags_.bootstrap, .seed = flags_.task.seed});
    const Method& m = method(policy);
    OrderedJson j = to_json(m, scorer_->score(m), data_.task);
    j["rows"] = {{"heads", task.rows.heads.size()},
                 {"tune", task.rows.tune.size()},
                 {"calibration", task.rows.calibration.size()}};
    if (is_file(policy)) j["fitted"] = file(policy).fitted();
    if (m.n_grid == 0) return j;
    const GuaranteeOptions options{.seed = flags_.task.seed};
    const auto check =
        check_guarantee({m.losses.data(), m.losses.size() / m.n_grid, m.n_grid}, options);
    if (check) j["guarantee"] = to_json(*check, options);
    return j;
  }

  // Some of the operating points, really run, the first and the last among them.
  OrderedJson measure(const std::string& policy) {
    if (!clock_) clock_.emplace(prepared(), bench_, layers().back(), flags_.pass_seconds);
    const Method& m = method(policy);
    constexpr size_t kCurve = 12;  // of fixed depth, the reference
    const size_t last = m.points.size() - 1,
                 n = std::min(last + 1, policy == "fixed" ? std::max(flags_.time_points, kCurve)
                                                          : flags_.time_points);
    OrderedJson times = OrderedJson::array();
    for (size_t k = 0; k < n; ++k) {
      const size_t i = n == 1 ? last : k * last / (n - 1);
      const MethodPoint& point = m.points[i];
      times.push_back({{"point", i}});
      times.back().update(to_json(is_file(policy)       ? clock_->file(file(policy))
                                  : is_baseline(policy) ? clock_->baseline(point)
                                                        : clock_->exit(m.rule, point)));
    }
    return times;
  }

  const Flags& flags_;
  const TaskData& data_;
  FeatureSource& bench_;
  const SweepParts& parts_;
  SweepOptions options_;
  OrderedJson key_;
  std::optional<PreparedTask> prepared_;
  std::vector<MethodPoint> layers_;  // (n_layer + 1)
  std::optional<Method> last_;
  std::optional<FilePolicy> file_;
  std::optional<SweepScorer> scorer_;
  std::optional<SweepClock> clock_;
};

SweptTask sweep_task(const Flags& flags, const TaskData& data, FeatureSource& bench,
                     const SweepParts& parts, std::span<const std::string> policies) {
  const Task& task = data.task;
  TaskSweep sweep(flags, data, bench, parts);
  SweptTask swept{.name = std::string(task.name),
                  .title = std::string(task.title),
                  .metric = std::string(name_of(task.metrics.front())),
                  .split = std::string(name_of(task.report)),
                  .n_evaluated = data.evaluated.pairs.size(),
                  .n_heads = 0,
                  .n_calibration = 0,
                  .results = {},
                  .notes = data.notes,
                  .left_out = data.left_out};
  Progress progress(concat(task.name, " policies"), policies.size());
  for (size_t i = 0; i < policies.size(); ++i) {
    const std::string& policy = policies[i];
    if (is_measure(policy) && !fits_task(parse_measure(policy.substr(5)), task)) continue;
    swept.results.push_back(sweep.result(policy));
    const OrderedJson& result = swept.results.back();
    swept.n_heads = result["rows"]["heads"];
    swept.n_calibration = result["rows"]["calibration"];
    if (is_measure(policy) && result["points"].size() < kFewPoints)
      swept.notes.push_back(
          fmt::format("{}: {} has {} operating points; with {} layers there are no more", task.name,
                      policy, result["points"].size(), bench.n_layer()));
    progress.at(i + 1);
  }
  return swept;
}

OrderedJson settings_of(const Flags& flags, FeatureSource& bench) {
  const EncodeFlags& encode = flags.task.features.encode;
  return {
      {"pooling", encode.pool},
      {"norm", encode.norm},
      {"scan", encode.scan},
      {"bos", encode.bos},
      {"post", flags.task.post},
      {"max_train", flags.task.max_train},
      {"calibration_tenths", flags.task.calibration},
      {"seed", flags.task.seed},
      {"points", flags.n_point},
      {"streak", flags.streak},
      {"bootstrap", flags.bootstrap},
      {"timing", !flags.no_timing},
      {"threads", bench.pool().size()},
      {"curve", "layers 1 to L joined by straight lines, no envelope, constant beyond the ends"}};
}

void print(const SweptTask& t) {
  fmt::print("{}: {} of {} rows of {}, heads on {}, thresholds on {}\n", t.title, t.metric,
             t.n_evaluated, t.split, t.n_heads, t.n_calibration);
  std::cout << to_text(score_table(t), 120) << '\n' << std::flush;
}

void run(const Flags& flags) {
  const std::vector<const Task*> chosen = parse_tasks("--tasks", flags.tasks);
  std::vector<std::string> policies = parse_policies(flags.policies);
  if (std::ranges::find(policies, "fixed") == policies.end())
    policies.insert(policies.begin(), "fixed");  // what all others are compared with
  flags.task.check();
  const std::vector<const Task*> readable =
      tasks_in(chosen, find_data_root(flags.task.features.data));
  const std::filesystem::path folder = flags.output;
  OutputSet outputs;
  expect_sweep(outputs, folder);
  const Listener listener = terminal_listener();
  OpenModel open = open_model(flags.task.features.model);
  FeatureSource bench(open, flags.task.features.options(open.model.config(), folder / "features"),
                      listener);
  for (const std::string& policy : policies)
    if (is_file(policy)) open_depth(policy, bench.model());  // a wrong one is told before the work
  const SweepParts parts(folder / "parts");
  SweepReport report{.command = command_line(),
                     .model = describe(bench.model()),
                     .settings = settings_of(flags, bench),
                     .n_layer = bench.n_layer(),
                     .tasks = {},
                     .missing = {}};
  for (const Task* task : chosen) {
    try {
      if (std::ranges::find(readable, task) == readable.end())
        throw MissingData(concat(find_data_root(flags.task.features.data).string(),
                                 " is the folder of another task"));
      const TaskData data(*task, flags.task.options(), listener);
      report.tasks.push_back(sweep_task(flags, data, bench, parts, policies));
      print(report.tasks.back());
    } catch (const MissingData& e) {
      report.missing.push_back(concat(task->name, ": missing: ", e.what()));
      std::cerr << report.missing.back() << '\n';
    }
  }
  FATHOM_REQUIRE(!report.tasks.empty(), "none of the tasks has its data");
  if (report.tasks.size() > 1)
    std::cout << "Mean over tasks\n" << to_text(macro_table(report), 120);
  std::cout << "Exits chosen on calibration rows against the best fixed layer\n"
            << to_text(answer_table(report), 120);
  for (const SweptTask& task : report.tasks)
    for (const std::string& note : task.notes) fmt::print("{}\n", note);
  write_sweep(report, folder, outputs);
  fmt::print("{}\n", (folder / "report.html").string());
}

}  // namespace

void add_sweep(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "sweep", "depth policies at many operating points against fixed depth, task by task");
  flags->task.add_to(*command);
  command->add_option("--tasks", flags->tasks, "as in fathom eval, with commas between, or all")
      ->capture_default_str();
  command
      ->add_option(
          "--policies", flags->policies,
          "with commas between: all, exit (every measure), exit:MEASURE, embedding, fixed, "
          "best-fixed, random, oracle, and files: mask:FILE, route:FILE, exit:FILE")
      ->capture_default_str();
  command->add_option("-o,--output", flags->output, "folder for results and reports")->required();
  command->add_option("--points", flags->n_point, "operating points of a policy")
      ->capture_default_str()
      ->transform(whole_number(8, 60));
  command->add_option("--streak", flags->streak, "exits in a row, for pcee and f-pabee")
      ->capture_default_str()
      ->transform(whole_number(1, 1000));
  command->add_option("--bootstrap", flags->bootstrap, "resamples for intervals")
      ->capture_default_str()
      ->transform(whole_number(1, 100000));
  command
      ->add_option("--time-points", flags->time_points,
                   "points of a policy that are timed; of fixed depth at least 12")
      ->capture_default_str()
      ->transform(whole_number(1, 60));
  command
      ->add_option("--pass-seconds", flags->pass_seconds,
                   "examples are timed that take full depth about so long")
      ->capture_default_str()
      ->transform(real_number({.at_least = 1e-4, .at_most = 60}));
  command->add_flag("--no-timing", flags->no_timing, "leave the clock out");
  command->footer(
      "A sweep that was stopped goes on where it was: give the same command again.\n"
      "Examples:\n"
      "  fathom sweep model/ --tasks mrpc,cola --data data/ -o sweep/\n"
      "  fathom sweep model/ --tasks all --policies fixed,exit:entropy,oracle -o sweep/\n"
      "  fathom sweep model/ --tasks stsb --policies all,mask:pruned.policy -o sweep/ --no-timing");
  command->callback([flags] { run(*flags); });
}

}  // namespace fathom::cli
