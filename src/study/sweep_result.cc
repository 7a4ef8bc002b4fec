// SPDX-License-Identifier: Apache-2.0
// The JSON of a sweep's results: every field stands in one list, for both ways.
#include "study/sweep_result.h"

#include <algorithm>

#include "base/error.h"
#include "study/over_seeds_json.h"

namespace fathom {
namespace {

// Told of every example or resample: in the parts, but not in results.json.
constexpr const char* kExitLayers = "exit_layers";
constexpr const char* kReplicates = "elue_replicates";
constexpr Verdict kVerdicts[] = {Verdict::kBetter, Verdict::kWorse, Verdict::kNoDifference,
                                 Verdict::kNoneAsCheap};

}  // namespace

// list_fields() is looked for in the namespace of its structs, so these are not in an unnamed one.

template <class Io>
void list_fields(Io& io, Of<Io, Against>& x) {
  io("point", x.point);
  io("setting", x.setting);
  io("factor", x.factor);
  io("difference", x.difference);
  io("relative_loss", x.relative_loss);
}

template <class Io>
void list_fields(Io& io, Of<Io, PointScore>& x) {
  io("setting", x.setting);
  io("flops", x.flops);
  io("flops_share", x.share);
  io("mean_layer", x.mean_layer);
  io("score", x.score.value);
  io("low", x.score.low);
  io("high", x.score.high);
  io("above_curve", x.above_curve);
  io("shuffled_score", x.shuffled_score);
  io("calibration_score", x.calibration_score);
  io("calibration_flops_share", x.calibration_share);
  io("n_exit", x.n_exit);
  io("metrics", x.metrics);
}

template <class Io>
void list_fields(Io& io, Of<Io, ReliabilityBin>& x) {
  io("layer", x.layer);
  io("n", x.n);
  io("confidence", x.confidence);
  io("accuracy", x.accuracy);
}

template <class Io>
void list_fields(Io& io, Of<Io, RowCounts>& x) {
  io("heads", x.heads);
  io("tune", x.tune);
  io("calibration", x.calibration);
}

template <class Io>
void list_fields(Io& io, Of<Io, Violations>& x) {
  io("population", x.n_population);
  io("test_half", x.n_test);
}

template <class Io>
void list_fields(Io& io, Of<Io, BoundaryCheck>& x) {
  io("n_draw", x.n_draw);
  io("n_calibration", x.n_calibration);
  io("chance", x.chance);
  io("allowed", x.allowed);
  io("learn_then_test", x.guaranteed);
  io("naive", x.naive);
}

template <class Io>
void list_fields(Io& io, Of<Io, GuaranteeCheck>& x) {
  io("n_example", x.n_example);
  io("n_split", x.n_split);
  io("delta", x.delta);
  io("epsilon", x.epsilon);
  io("chance", x.chance);
  io("allowed", x.allowed);
  io("learn_then_test", x.guaranteed);
  io("naive", x.naive);
  io("abstained", x.n_abstained);
  io("boundary", x.boundary);
}

template <class Io>
void list_fields(Io& io, Of<Io, Latency>& x) {
  io("p50_seconds", x.p50);
  io("p99_seconds", x.p99);
  io.nullable("joules_of_example", x.joules);
}

template <class Io>
void list_fields(Io& io, Of<Io, BatchLatency>& x) {
  io("batch", x.batch);
  io("calls", x.n_call);
  io("policy", x.policy);
  io("full_depth", x.full);
}

template <class Io>
void list_fields(Io& io, Of<Io, SweptTime>& x) {
  auto& time = x.measured.time;
  io("point", x.point);
  io("n_example", time.n_example);
  io("predicted_share", x.measured.predicted_share);
  io.derived("packed_share", time.packed_share());
  io.derived("batch1_share", time.batch1_share());
  io.derived("packed_measured_over_predicted", x.measured.packed_over_predicted());
  io.derived("batch1_measured_over_predicted", x.measured.batch1_over_predicted());
  io("packed_seconds", time.packed_seconds);
  io("packed_full_seconds", time.packed_full_seconds);
  io("batch1_seconds", time.batch1_seconds);
  io("batch1_full_seconds", time.batch1_full_seconds);
  io.optional("batches", x.batches);
}

template <class Io>
void list_fields(Io& io, Of<Io, PolicyResult>& x) {
  io("policy", x.policy);
  io.optional("also", x.also);
  io("metric", x.metric);
  io("elue", x.score.elue);
  io("best_fixed_layer", x.score.best_layer);
  io.nullable("speed_up_full", x.score.speed_up_full);
  io.nullable("speed_up_best_fixed", x.score.speed_up_best);
  io.nullable("speed_up_full_on_split", x.score.on_split_full);
  io.nullable("speed_up_best_fixed_on_split", x.score.on_split_best);
  io.nullable("same_cost", x.score.same_cost);
  io("points", x.score.points);
  io.optional(kExitLayers, x.exit_layers);
  io.optional("reliability", x.reliability);
  io.optional(kReplicates, x.score.elue_replicates);
  io("rows", x.rows);
  io.optional("fitted", x.fitted);
  io.optional("guarantee", x.guarantee);
  io.optional("times", x.times);
}

template <class Io>
void list_fields(Io& io, Of<Io, ChosenExit>& x) {
  io("policy", x.policy);
  list_fields(io, x.against);
}

template <class Io>
void list_fields(Io& io, Of<Io, SweepAnswer>& x) {
  io("best_fixed_layer", x.best_fixed_layer);
  io("best_fixed_score", x.best_fixed_score);
  io("full_depth_score", x.full_depth_score);
  io.optional("embedding_score", x.embedding_score);
  io.nullable("same_cost", x.same_cost);
  io.one_of("verdict", x.verdict, kVerdicts);
  io.nullable("speed_up_best_fixed", x.speed_up_best_fixed);
  io.nullable("speed_up_full", x.speed_up_full);
}

template <class Io>
void list_fields(Io& io, Of<Io, SweptTask>& x) {
  io("task", x.name);
  io("title", x.title);
  io("metric", x.metric);
  io("split", x.split);
  io("n", x.n_evaluated);
  io("notes", x.notes);
  io("left_out", x.left_out);
  io("answer", x.answer);
  io("policies", x.policies);
  io.optional("over_seeds", x.over_seeds);
}

template <class Io>
void list_fields(Io& io, Of<Io, PolicyMean>& x) {
  io("policy", x.policy);
  io("tasks", x.tasks);
  io("elue", x.elue.value);
  io("elue_low", x.elue.low);
  io("elue_high", x.elue.high);
  io.nullable("speed_up_full", x.speed_up_full);
}

template <class Io>
void list_fields(Io& io, Of<Io, SweepSettings>& x) {
  io("pooling", x.pooling);
  io("norm", x.norm);
  io("scan", x.scan);
  io("bos", x.bos);
  io("post", x.post);
  io("max_train", x.max_train);
  io("calibration_tenths", x.calibration_tenths);
  io("seed", x.seed);
  io("points", x.n_point);
  io("streak", x.streak);
  io("bootstrap", x.n_resample);
  io("seeds", x.n_seed);
  io("head_inputs", x.head_inputs);
  io("timing", x.timing);
  io("threads", x.n_thread);
  io("curve", x.curve);
}

template <class Io>
void list_fields(Io& io, Of<Io, SweepResult>& x) {
  io("command", x.command);
  io("fathom", x.version);
  io("model", x.model);
  io("settings", x.settings);
  io("missing", x.missing);
  io("tasks", x.tasks);
  io("mean_over_tasks", x.means);
  io.optional("moved_thresholds", x.moved);
}

namespace {

void require_point(size_t point, size_t n_point, std::string_view field, std::string_view where) {
  FATHOM_REQUIRE(point < n_point, where, ": ", field, ".point: expected below ", n_point, ", got ",
                 point);
}

// What every reader of a result takes for granted.
void check(const PolicyResult& result, std::string_view where) {
  const std::vector<PointScore>& points = result.score.points;
  FATHOM_REQUIRE(!points.empty(), where, ": points: expected at least one, got none");
  for (const PointScore& p : points)
    FATHOM_REQUIRE(p.n_exit.size() == points.front().n_exit.size(), where, ": points: ", p.setting,
                   ": n_exit: expected ", points.front().n_exit.size(), " layers, got ",
                   p.n_exit.size());
  const auto choice = [&](std::string_view field, const std::optional<Against>& against) {
    if (against) require_point(against->point, points.size(), field, where);
  };
  choice("speed_up_full", result.score.speed_up_full);
  choice("speed_up_best_fixed", result.score.speed_up_best);
  choice("speed_up_full_on_split", result.score.on_split_full);
  choice("speed_up_best_fixed_on_split", result.score.on_split_best);
  choice("same_cost", result.score.same_cost);
  for (const SweptTime& time : result.times)
    require_point(time.point, points.size(), "times", where);
}

}  // namespace

OrderedJson to_json(const PolicyResult& result) { return json_of(result); }

PolicyResult policy_result_from_json(const OrderedJson& json, std::string_view where) {
  auto result = value_of_json<PolicyResult>(json, where);
  check(result, where);
  return result;
}

OrderedJson to_json(std::span<const SweptTime> times) {
  return json_of(std::vector<SweptTime>(times.begin(), times.end()));
}

std::vector<SweptTime> times_from_json(const OrderedJson& json, size_t n_point,
                                       std::string_view where) {
  auto times = value_of_json<std::vector<SweptTime>>(json, where);
  for (const SweptTime& time : times) require_point(time.point, n_point, "times", where);
  return times;
}

OrderedJson to_json(const SweepSettings& settings) { return json_of(settings); }

OrderedJson to_json(const SweepResult& result) {
  OrderedJson json = json_of(result);
  for (OrderedJson& task : json["tasks"])
    for (OrderedJson& policy : task["policies"]) {
      policy.erase(kReplicates);
      policy.erase(kExitLayers);
    }
  return json;
}

SweepResult sweep_result_from_json(const OrderedJson& json, std::string_view where) {
  auto result = value_of_json<SweepResult>(json, where);
  for (const SweptTask& task : result.tasks) {
    const std::string place = concat(where, ": ", task.name);
    for (const PolicyResult& policy : task.policies)
      check(policy, concat(place, ": ", policy.policy));
    FATHOM_REQUIRE(find_result(task.policies, "fixed"), place,
                   ": policies: expected fixed among them");
  }
  return result;
}

std::string_view name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kBetter:
      return "better";
    case Verdict::kWorse:
      return "worse";
    case Verdict::kNoDifference:
      return "no difference shown";
    case Verdict::kNoneAsCheap:
      break;
  }
  return "no exit is as cheap";
}

}  // namespace fathom
