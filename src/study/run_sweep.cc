// SPDX-License-Identifier: Apache-2.0
#include "study/run_sweep.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <type_traits>

#include "base/error.h"
#include "base/hash.h"
#include "base/list.h"
#include "encode/describe.h"
#include "eval/task_list.h"
#include "study/file_policy.h"
#include "study/policy_names.h"
#include "study/result_store.h"
#include "study/seed_figures.h"
#include "study/shift.h"
#include "study/sweep_clock.h"

namespace fathom {
namespace {

constexpr size_t kFewPoints = 8;

std::string names_of(std::span<const HeadInput> inputs) {
  std::vector<std::string_view> names;
  for (HeadInput input : inputs) names.push_back(name_of(input));
  return join(names);
}

// Gold values as a key holds them.
std::string gold_hash(const TaskData& data) {
  std::string gold;
  for (const Dataset* d : {&data.train, &data.evaluated})
    for (double g : golds_of(*d)) {
      char digits[32];
      gold.append(digits, std::to_chars(digits, digits + sizeof digits, g).ptr) += ' ';
    }
  return hash_text(gold);
}

// One task: results that are kept are read, the others worked out. Vectors and heads are made when
// the first of them is missing.
class TaskSweep {
 public:
  TaskSweep(const RunSweepOptions& options, const TaskData& data, FeatureSource& source,
            const ResultStore* store)
      : options_(options), data_(data), source_(source), store_(store) {
    method_options_.n_point = options.n_point;
    method_options_.streak = options.streak;
    method_options_.seed = options.task.seed;
    key_ = {{"format", 2},
            {"fathom", FATHOM_VERSION},
            {"train", source.key(data.train_texts)},
            {"evaluated", source.key(data.evaluated_texts)},
            {"gold", gold_hash(data)},
            {"task", std::string(data.task.name)},
            {"feature_dtype", source.dtype() == StoredType::kBF16 ? "bf16" : "f32"},
            {"post", options.task.post},
            {"calibration", options.task.calibration},
            {"calibrate_on", options.task.calibrate_on},
            {"seed", options.task.seed},
            {"points", options.n_point},
            {"streak", options.streak},
            {"bootstrap", options.n_resample}};
  }

  // "" where calibration rows and reported ones are alike.
  std::string shift_warning() {
    return kept_or(concat(data_.task.name, "-shift"), key_, shift_warning_from_json,
                   [&] { return ShiftWarning{warning_of(shift_of(prepared().task), data_.task)}; })
        .text;
  }

  // Seed by seed, each kept by itself.
  std::vector<SeedFigures> seeds() {
    Stage stage(source_.listener(), concat(data_.task.name, " seeds"),
                options_.n_seed * options_.head_inputs.size());
    size_t done = 0;
    std::vector<SeedFigures> all;
    for (size_t i = 0; i < options_.n_seed; ++i) {
      const uint64_t seed = options_.task.seed + i;
      OrderedJson key = key_;
      key["seed_of_cut"] = seed;
      key["head_inputs"] = names_of(options_.head_inputs);
      for (Measure m : measures()) key["measures"].push_back(std::string(name_of(m)));
      all.push_back(kept_or(concat(data_.task.name, "-seed-", seed), key, seed_figures_from_json,
                            [&] { return compute(seed, [&] { stage.at(++done); }); }));
      stage.at(done = (i + 1) * options_.head_inputs.size());
    }
    return all;
  }

  PolicyResult result(const std::string& policy) {
    OrderedJson key = key_;
    key["policy"] = policy;
    if (is_file(policy)) key["policy_file"] = policy_hash(policy);
    const std::string name = concat(data_.task.name, "-", policy);
    PolicyResult result =
        kept_or(name, key, policy_result_from_json, [&] { return compute(policy); });
    if (!options_.timing) return result;
    key["time_points"] = options_.time_points;
    key["pass_seconds"] = options_.pass_seconds;
    key["threads"] = source_.pool().size();
    result.times = kept_or(
        name + "-times", key,
        [&](const OrderedJson& json, std::string_view where) {
          return times_from_json(json, result.score.points.size(), where);
        },
        [&] { return measure(policy); });
    return result;
  }

 private:
  template <class Read, class Make>
  std::invoke_result_t<const Make&> kept_or(const std::string& name, const OrderedJson& key,
                                            const Read& read, const Make& make) {
    if (!store_) return make();
    if (const std::optional<OrderedJson> found = store_->find(name, key)) {
      try {
        return read(*found, store_->path_of(name, key).string());
      } catch (const Error&) {  // damaged: made again
      }
    }
    auto made = make();
    store_->keep(name, key, to_json(made));
    return made;
  }

  const PreparedTask& prepared() {
    if (!prepared_) prepared_.emplace(data_, options_.task, source_);
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
    if (policy == "random") last_ = random_method(task, layers(), method_options_);
    if (policy == "oracle") last_ = oracle_method(task, layers(), method_options_);
    if (const auto measure = measure_of(policy))
      last_ = exit_method(task, *measure, method_options_);
    FATHOM_ASSERT(last_ && last_->name == policy);
    return *last_;
  }
  const FilePolicy& file(const std::string& policy) {
    if (!file_ || file_->method().name != policy) file_.emplace(policy, prepared(), source_);
    return *file_;
  }

  PolicyResult compute(const std::string& policy) {
    const SweepTask& task = prepared().task;
    if (!scorer_)
      scorer_.emplace(
          task, layers(),
          BootstrapOptions{.n_resample = options_.n_resample, .seed = options_.task.seed},
          options_.n_point);
    const Method& m = method(policy);
    PolicyResult result = policy_result(m, scorer_->score(m), data_.task);
    result.rows = {task.rows.heads.size(), task.rows.tune.size(), task.rows.calibration.size()};
    if (is_file(policy)) result.fitted = file(policy).fitted();
    if (m.n_grid > 0)
      result.guarantee = check_guarantee({m.losses.data(), m.losses.size() / m.n_grid, m.n_grid},
                                         {.seed = options_.task.seed});
    return result;
  }

  std::vector<Measure> measures() const {
    std::vector<Measure> all;
    for (const std::string& policy : options_.policies)
      if (const std::optional<Measure> m = measure_of(policy)) all.push_back(*m);
    return all;
  }

  SeedFigures compute(uint64_t seed, const std::function<void()>& step) {
    SeedOptions how{
        .measures = measures(),
        .inputs = options_.head_inputs,
        .fitting = {.post = parse_postprocess(options_.task.post), .fit = {.seed = seed}},
        .sweep = method_options_,
        .bootstrap = {.n_resample = options_.n_resample, .seed = options_.task.seed},
        .seed = seed};
    how.sweep.seed = seed;
    if (seed == options_.task.seed) return seed_figures(prepared().task, layers(), how, step);
    TaskOptions cut = options_.task;
    cut.seed = seed;
    const PreparedTask other(data_, cut, source_);
    return seed_figures(other.task, layer_points(other.task), how, step);
  }

  // Some of the operating points, really run, the first and the last among them.
  std::vector<SweptTime> measure(const std::string& policy) {
    if (!clock_)
      clock_.emplace(prepared(), source_, layers().back(), options_.pass_seconds,
                     std::vector<size_t>{1, 8, 32});
    const Method& m = method(policy);
    constexpr size_t kCurve = 12;  // of fixed depth, the reference
    const size_t last = m.points.size() - 1,
                 n = std::min(last + 1, policy == "fixed" ? std::max(options_.time_points, kCurve)
                                                          : options_.time_points);
    std::vector<SweptTime> times;
    for (size_t k = 0; k < n; ++k) {
      const size_t i = n == 1 ? last : k * last / (n - 1);
      const MethodPoint& point = m.points[i];
      const PointTime time = is_file(policy)       ? clock_->file(file(policy))
                             : is_baseline(policy) ? clock_->baseline(point)
                                                   : clock_->exit(m.rule, point);
      times.push_back({i, time, clock_->latencies()});
    }
    return times;
  }

  const RunSweepOptions& options_;
  const TaskData& data_;
  FeatureSource& source_;
  const ResultStore* store_;  // nullptr: nothing is kept
  SweepOptions method_options_;
  OrderedJson key_;
  std::optional<PreparedTask> prepared_;
  std::vector<MethodPoint> layers_;  // (n_layer + 1)
  std::optional<Method> last_;
  std::optional<FilePolicy> file_;
  std::optional<SweepScorer> scorer_;
  std::optional<SweepClock> clock_;
};

// The result of a policy that was swept and leaves as this measure does; nullptr without one.
PolicyResult* like(std::vector<PolicyResult>& results, Measure measure, const Task& task) {
  for (PolicyResult& r : results)
    if (const std::optional<Measure> m = measure_of(r.policy);
        m && coincide(*m, measure, task.n_class()))
      return &r;
  return nullptr;
}

SweptTask sweep_task(TaskSweep& sweep, const TaskData& data, FeatureSource& source,
                     std::span<const std::string> policies) {
  const Task& task = data.task;
  SweptTask swept{.name = std::string(task.name),
                  .title = std::string(task.title),
                  .metric = std::string(name_of(task.metrics.front())),
                  .split = std::string(name_of(task.report)),
                  .n_evaluated = data.evaluated.pairs.size(),
                  .notes = data.notes,
                  .left_out = data.left_out};
  if (std::string warning = sweep.shift_warning(); !warning.empty())
    swept.notes.insert(swept.notes.begin(), std::move(warning));
  Stage stage(source.listener(), concat(task.name, " policies"), policies.size());
  for (size_t i = 0; i < policies.size(); ++i) {
    const std::string& policy = policies[i];
    const std::optional<Measure> measure = measure_of(policy);
    if (measure && !fits_task(*measure, task)) continue;
    if (PolicyResult* twin = measure ? like(swept.policies, *measure, task) : nullptr) {
      twin->also.push_back(policy);
      continue;
    }
    swept.policies.push_back(sweep.result(policy));
    const size_t n_point = swept.policies.back().score.points.size();
    if (measure && n_point < kFewPoints)
      swept.notes.push_back(concat(task.name, ": ", policy, " has ", n_point,
                                   " operating points; with ", source.n_layer(),
                                   " layers there are no more, between them it is interpolated"));
    stage.at(i + 1);
  }
  for (const PolicyResult& r : swept.policies)
    if (!r.also.empty())
      swept.notes.push_back(
          concat(task.name, ": ", join(r.also), " leave", r.also.size() == 1 ? "s" : "", " as ",
                 r.policy, " does and count", r.also.size() == 1 ? "s" : "", " once with it"));
  swept.answer = answer_of(swept.policies);
  return swept;
}

SweepSettings settings_of(const RunSweepOptions& options, FeatureSource& source) {
  const EncodeOptions how = source.options();
  return {.pooling = std::string(name_of(how.pooling)),
          .norm = std::string(name_of(how.norm)),
          .scan = std::string(name_of(how.scan)),
          .bos = how.bos ? std::to_string(*how.bos) : "none",
          .post = options.task.post,
          .max_train = options.task.max_train,
          .calibration_tenths = options.task.calibration,
          .seed = options.task.seed,
          .n_point = options.n_point,
          .streak = options.streak,
          .n_resample = options.n_resample,
          .n_seed = options.n_seed,
          .head_inputs = names_of(options.head_inputs),
          .timing = options.timing,
          .n_thread = source.pool().size()};
}

std::vector<std::string> with_fixed(std::vector<std::string> policies) {
  if (std::ranges::find(policies, "fixed") == policies.end())
    policies.insert(policies.begin(), "fixed");
  return policies;
}

}  // namespace

SweepResult run_sweep(const RunSweepOptions& options, FeatureSource& source,
                      const SweepEvents& events) {
  const std::vector<std::string> policies = with_fixed(options.policies);
  const std::filesystem::path root = find_data_root(options.tasks, options.task.data);
  const std::vector<const Task*> readable = tasks_in(options.tasks, root);
  for (const std::string& policy : policies)
    if (is_file(policy)) open_depth(policy, source.model());
  std::optional<ResultStore> store;
  if (!options.parts.empty()) store.emplace(options.parts);
  SweepResult result{.command = options.command,
                     .version = FATHOM_VERSION,
                     .model = describe(source.model()),
                     .settings = settings_of(options, source)};
  std::vector<TaskThresholds> thresholds;
  for (const Task* task : options.tasks) {
    try {
      if (std::ranges::find(readable, task) == readable.end())
        throw MissingData(concat(root.string(), " is the folder of another task"));
      const TaskData data(*task, options.task, source.listener());
      TaskSweep sweep(options, data, source, store ? &*store : nullptr);
      SweptTask swept = sweep_task(sweep, data, source, policies);
      const std::vector<SeedFigures> seeds = sweep.seeds();
      swept.over_seeds = over_seeds(seeds, options.task.seed);
      thresholds.push_back({swept.name, {}});
      for (const SeedFigures& s : seeds) thresholds.back().seeds.push_back(s.thresholds);
      result.tasks.push_back(std::move(swept));
      if (events.swept) events.swept(result.tasks.back());
    } catch (const MissingData& e) {
      result.missing.push_back(concat(task->name, ": missing: ", e.what()));
      if (events.missing) events.missing(result.missing.back());
    }
  }
  FATHOM_REQUIRE(!result.tasks.empty(), "none of the tasks has its data");
  result.means = means_over(result.tasks);
  result.moved = moved_thresholds(thresholds);
  return result;
}

}  // namespace fathom
