// SPDX-License-Identifier: Apache-2.0
// The result of a sweep, from the figures of one policy on one task to the means over tasks, and
// its JSON: results.json, and the parts from which a killed sweep resumes (study/run_sweep.h).
//
// An undefined figure is NaN, null in JSON. Shares are relative to fixed depth at layer L with its
// head. FLOPs are means of an example. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/json_fields.h"
#include "study/latency.h"
#include "study/over_seeds.h"
#include "study/sweep_check.h"
#include "study/sweep_score.h"

namespace fathom {

// Training rows by what they are for.
struct RowCounts {
  size_t heads = 0, tune = 0, calibration = 0;
};

struct SweptTime {
  size_t point = 0;  // of PolicyResult::score.points
  PointTime measured;
  std::vector<BatchLatency> batches = {};
};

// One policy on one task.
struct PolicyResult {
  std::string policy;                  // "fixed", "exit:entropy", "mask:FILE": study/policy_names.h
  std::vector<std::string> also = {};  // policies that leave alike on this task, and count once
  std::string metric;                  // the leading one
  MethodScore score;
  // (n_evaluated) where every example leaves at the point score.speed_up_full; none without that.
  std::vector<uint32_t> exit_layers = {};
  std::vector<ReliabilityBin> reliability = {};  // of exit:max-prob
  RowCounts rows = {};
  std::optional<OrderedJson> fitted = {};  // of a file: what it says of its making, maybe null
  std::optional<GuaranteeCheck> guarantee = {};  // of exits by measure, with rows enough
  std::vector<SweptTime> times = {};             // none: the clock was left out
};

// Of a method that was scored; also, rows, fitted, guarantee and times are the caller's to add.
PolicyResult policy_result(const Method& method, MethodScore score, const Task& task);

// A part with everything, for the store of parts. The other way throws Error that names the field:
// missing, of the wrong type, or a point or layer that is not there. `where` begins the message.
OrderedJson to_json(const PolicyResult& result);
OrderedJson to_json(std::span<const SweptTime> times);
PolicyResult policy_result_from_json(const OrderedJson& json, std::string_view where);
std::vector<SweptTime> times_from_json(const OrderedJson& json, size_t n_point,
                                       std::string_view where);

// Does leaving early where the model is sure beat the best fixed layer of a task?
enum class Verdict { kBetter, kWorse, kNoDifference, kNoneAsCheap };
std::string_view name_of(Verdict verdict);  // "better", "no exit is as cheap", ...

struct ChosenExit {
  std::string policy;
  Against against;
};

struct SweepAnswer {
  size_t best_fixed_layer = 0;  // on calibration rows
  double best_fixed_score = 0, full_depth_score = 0;
  std::optional<double> embedding_score = {};
  // Of the exits by measure the one that calibration rows choose: the best that costs no more than
  // the best fixed layer, and the cheapest that keep 99 % of its quality or of full depth's.
  std::optional<ChosenExit> same_cost = {};
  Verdict verdict = Verdict::kNoneAsCheap;  // of same_cost, on the evaluated split
  std::optional<ChosenExit> speed_up_best_fixed = {}, speed_up_full = {};
};

// Needs "fixed" among the results of a task; throws Error without it.
SweepAnswer answer_of(std::span<const PolicyResult> results);
// nullptr if the results hold it not.
const PolicyResult* find_result(std::span<const PolicyResult> results, std::string_view policy);

// Two policy files beside each other, resampled together.
struct FileComparison {
  const PolicyResult *file, *than;
  double gain = 0;           // quality of file minus that of the other
  Estimate gain_over_curve;  // the same of their scores over the fixed curve
};
// Every file beside every other. Throws Error: their replicates are not as many.
std::vector<FileComparison> compare_files(std::span<const PolicyResult> results);

struct SweptTask {
  std::string name, title, metric, split;
  size_t n_evaluated = 0;
  std::vector<std::string> notes = {};  // what a reader must know
  OrderedJson left_out = {};            // rows of each split, in numbers
  SweepAnswer answer = {};
  std::vector<PolicyResult> policies = {};  // "fixed" is one of them; of the first seed
  std::optional<OverSeeds> over_seeds = {};

  const RowCounts& rows() const { return policies.back().rows; }
  size_t n_layer() const { return find_result(policies, "fixed")->score.points.size(); }
};

// Of one policy over the tasks that have it, by itself or as one of `also`. Replicates of the
// scores make the interval. Means compare where `tasks` are the same.
struct PolicyMean {
  std::string policy;
  std::vector<std::string> tasks = {};
  size_t n_task() const { return tasks.size(); }
  Estimate elue = {};
  std::optional<double> speed_up_full = {};  // geometric mean, where every task has one
};
// A row a policy, in the order in which the tasks name them. The replicates of a policy are as many
// on every task; throws Error otherwise.
std::vector<PolicyMean> means_over(std::span<const SweptTask> tasks);

// What the figures depend on, beside model and data.
struct SweepSettings {
  std::string pooling = {}, norm = {}, scan = {}, bos = {}, post = {};
  size_t max_train = 0, calibration_tenths = 0;
  uint64_t seed = 0;
  size_t n_point = 0, streak = 0, n_resample = 0, n_seed = 1;
  std::string head_inputs = {};
  bool timing = false;
  size_t n_thread = 0;
  std::string curve =
      "layers 1 to L joined by straight lines, no envelope, constant beyond the ends; scores are "
      "means at costs even from layer 1 to L";
};

struct SweepResult {
  std::string command = {};  // as the caller names it; "" for none
  std::string version = {};  // of Fathom
  OrderedJson model = {};    // as the caller describes it
  SweepSettings settings = {};
  std::vector<std::string> missing = {};  // "wnli: missing: train (...)"
  std::vector<SweptTask> tasks = {};
  std::vector<PolicyMean> means = {};
  std::vector<MovedThreshold> moved = {};
};

// results.json: replicates and exit layers are left out.
OrderedJson to_json(const SweepResult& result);
OrderedJson to_json(const SweepSettings& settings);
// Throws Error as policy_result_from_json() does. What to_json() left out is empty.
SweepResult sweep_result_from_json(const OrderedJson& json, std::string_view where);

}  // namespace fathom
