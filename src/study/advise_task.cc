// SPDX-License-Identifier: Apache-2.0
#include "study/advise_task.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/invalid_option.h"
#include "depth/mask.h"
#include "encode/describe.h"
#include "study/calibrate_on.h"
#include "study/density_ratio.h"
#include "study/estimate_json.h"
#include "study/policy_names.h"

namespace fathom {
namespace {

// Points from the safest on.
void add_candidates(const PreparedTask& prepared, const AdviseOptions& options,
                    FeatureSource& source, AdvisedPolicy& advised) {
  for (const std::string& policy : candidates_for(options.policies, prepared.data.task)) {
    std::unique_ptr<FilePolicy> file;
    Method method;
    if (is_file(policy)) {
      file = std::make_unique<FilePolicy>(policy, prepared, source);
      method = file->method();
    } else if (policy == "fixed") {
      method = fixed_method(advised.layers);
      std::ranges::reverse(method.points);
    } else {
      const std::optional<Measure> measure = measure_of(policy);
      const SweepOptions how{.n_point = 60, .seed = options.task.seed, .n_shuffle = 0};
      method = exit_method(prepared.task, *measure, how);
    }
    advised.methods.push_back(std::move(method));
    advised.files.push_back(std::move(file));
  }
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

std::string_view promise_name(AdvicePromise promise) {
  switch (promise) {
    case AdvicePromise::kQuality:
      return "quality";
    case AdvicePromise::kAnswers:
      return "answers";
    case AdvicePromise::kOptimistic:
      return "none";
  }
  FATHOM_ASSERT(!"unknown promise");
}

// What was promised, and what rows it rests on.
void add_promise(const AdviseOptions& options, const AdvisedPolicy& advised, OrderedJson& fitted) {
  const AdviceTarget& target = options.target;
  const AdviceResolution& r = advised.advice.resolution;
  fitted["promise"] = std::string(promise_name(target.promise));
  if (target.promise != AdvicePromise::kOptimistic) {
    fitted["epsilon"] = target.epsilon;
    fitted["methods"] = r.n_test;
    fitted["rows_that_count"] = r.n_available;
    if (r.is_exact) fitted["rows_needed"] = r.n_needed;
    if (r.is_exact) fitted["smallest_loss"] = r.smallest;
    fitted["certified"] = advised.advice.choice.has_value();
    if (advised.advice.choice) fitted["loss_at_most"] = json_of(advised.advice.bound);
  }
  const ShiftTest& s = advised.shift;
  fitted["shift"] = {{"warns", s.warns()},
                     {"length_distance", s.length.distance},
                     {"length_p", s.length.p},
                     {"confidence_distance", s.confidence.distance},
                     {"confidence_p", s.confidence.p},
                     {"calibration_tokens", s.calibration_length},
                     {"evaluated_tokens", s.evaluated_length}};
  if (options.match_lengths)
    fitted["matched_lengths"] = {{"rows", advised.matched->rows.size()},
                                 {"largest_ratio", advised.matched->largest}};
  if (options.match_shift)
    fitted["matched_shift"] = {
        {"rows", advised.matched->rows.size()},         {"largest_ratio", advised.matched->largest},
        {"effective_rows", advised.matched->effective}, {"beyond", advised.matched->beyond},
        {"added_to_the_bound", advised.uncovered},      {"length_p", advised.after->length.p},
        {"confidence_p", advised.after->confidence.p}};
  fitted["warnings"] = advised.warnings;
}

OrderedJson about(const TaskData& data, const AdviseOptions& options, const AdvisedPolicy& advised,
                  const Model& model) {
  const Advice& advice = advised.advice;
  OrderedJson fitted{{"command", options.command},
                     {"fathom", FATHOM_VERSION},
                     {"model", describe(model)},
                     {"data", std::string(data.task.name)},
                     {"metric", std::string(name_of(data.task.metrics.front()))},
                     {"max_loss", options.target.max_loss},
                     {"post", options.task.post},
                     {"seed", options.task.seed},
                     {"notes", data.notes},
                     {"left_out", data.left_out}};
  add_promise(options, advised, fitted);
  fitted["chosen_on"] = figures_json(advice.chosen_on);
  if (advice.held_out) fitted["held_out"] = figures_json(*advice.held_out);
  fitted[std::string(name_of(data.task.report))] = figures_json(advice.evaluated);
  return fitted;
}

void choose(AdvisedPolicy& advised, size_t n_layer) {
  advised.name = "full depth";
  advised.setting = advised.point().setting;
  const Method* method = advised.method();
  if (!method) {
    advised.file.rule = BlockMask::all(n_layer);
    return;
  }
  advised.name = method->name;
  if (advised.file_policy()) {
    OrderedJson made = std::move(advised.file.fitted);
    advised.file = read_policy_file(file_of(method->name));
    made["from"] = {{"file", method->name}, {"fitted", advised.file.fitted}};
    advised.file.fitted = std::move(made);
  } else if (method->name == "fixed") {
    advised.file.rule = first_blocks(advised.point().evaluated.layer.front(), n_layer);
  } else {
    ExitRule rule = method->rule;
    set_point(rule, advised.point().exit);
    advised.file.rule = std::move(rule);
  }
}

// What of the loss rows may bring that the clipped weights do not reach. quality: the loss is a share
// of the rows that full depth has right, so it counts for as much more.
double uncovered_loss(const SweepTask& task, const MethodPoint& full, const MatchedRows& matched,
                      AdvicePromise promise) {
  if (promise == AdvicePromise::kOptimistic || matched.beyond == 0) return 0;
  if (promise == AdvicePromise::kAnswers || task.task.metrics.front() != TaskMetric::kAccuracy)
    return matched.beyond;
  const std::vector<double> gold = calibration_gold(task);
  size_t n_right = 0;
  for (size_t row : matched.rows) n_right += full.calibration.answer[row] == gold[row];
  const double right = static_cast<double>(n_right) / static_cast<double>(matched.rows.size());
  return matched.beyond / ((1 - matched.beyond) * right);  // no row right: infinite, refused
}

// Draws the calibration rows again as the options say.
void match(const PreparedTask& prepared, const AdviseOptions& options, AdvisedPolicy& advised) {
  const SweepTask& task = prepared.task;
  const double max_loss = options.target.max_loss;
  if (options.match_lengths)
    advised.matched =
        match_lengths(calibration_lengths(task), evaluated_lengths(task), options.task.seed);
  else
    advised.matched = match_shift(task, options.task.seed);
  const std::vector<size_t>& rows = advised.matched->rows;
  FATHOM_REQUIRE(rows.size() >= 4, prepared.data.task.name, ": ", rows.size(),
                 " calibration rows are left after they were matched",
                 options.match_lengths ? " by length" : "", "; expected at least 4");
  if (options.match_lengths) return;
  advised.after = shift_of(task, rows);
  advised.uncovered =
      uncovered_loss(task, advised.layers.back(), *advised.matched, options.target.promise);
  FATHOM_REQUIRE(advised.uncovered <= max_loss / 2, "density ratio: it has no bound: rows to come ",
                 "that the calibration rows hardly have may lose ", 100 * advised.uncovered,
                 " %; expected at most half of `max_loss`, ", 100 * max_loss,
                 " %. Calibrate on rows like those to come");
}

}  // namespace

std::vector<std::string> parse_candidates(const std::string& text) {
  std::vector<std::string> policies = parse_policies(text);
  for (const std::string& policy : policies)
    if (is_baseline(policy) && policy != "fixed")
      throw InvalidOption("policies", "other methods", {},
                          concat(policy, " is a baseline that no file can hold"));
  return policies;
}

std::vector<std::string> candidates_for(const std::vector<std::string>& policies, const Task& task,
                                        std::vector<std::string>* left_out) {
  std::vector<std::string> chosen;
  std::vector<std::pair<Measure, std::string>> measures;  // of those that are chosen
  for (const std::string& policy : policies) {
    if (is_file(policy) || policy == "fixed") {
      chosen.push_back(policy);
      continue;
    }
    const std::optional<Measure> measure = measure_of(policy);
    if (!measure)
      throw InvalidOption("policies", "fixed, exit:MEASURE or policy files",
                          concat("'", policy, "'"));
    if (!fits_task(*measure, task)) continue;
    const auto twin = std::ranges::find_if(measures, [&](const auto& other) {
      return coincide(other.first, *measure, task.n_class());
    });
    if (twin != measures.end()) {
      if (left_out)
        left_out->push_back(concat(policy, " is ", twin->second,
                                   task.n_class() == 2 ? " on two classes" : "",
                                   " and counts once"));
      continue;
    }
    measures.emplace_back(*measure, policy);
    chosen.push_back(policy);
  }
  FATHOM_REQUIRE(!chosen.empty(), "`policies`: none of them fits ", task.name);
  return chosen;
}

AdviceResolution resolution_before(const TaskData& data, const AdviseOptions& options) {
  const std::vector<double> gold = golds_of(data.train);
  const FitRows rows = part_rows_with(gold, data.n_own, data.task.n_class(),
                                      options.task.calibration, options.task.seed);
  return resolution_of(options.target, rows.calibration.size(),
                       candidates_for(options.policies, data.task).size(),
                       data.task.metrics.front() == TaskMetric::kAccuracy);
}

const Method* AdvisedPolicy::method() const {
  return advice.choice ? &methods[advice.choice->first] : nullptr;
}

const FilePolicy* AdvisedPolicy::file_policy() const {
  return advice.choice ? files[advice.choice->first].get() : nullptr;
}

const MethodPoint& AdvisedPolicy::point() const {
  return advice.choice ? method()->points[advice.choice->second] : layers.back();
}

AdvisedPolicy advise_task(const PreparedTask& prepared, const AdviseOptions& options,
                          FeatureSource& source) {
  AdvisedPolicy advised;
  advised.layers = layer_points(prepared.task);
  AdviceTarget target = options.target;
  if (options.match_lengths || options.match_shift) match(prepared, options, advised);
  target.max_loss -= advised.uncovered;
  const std::vector<size_t> rows =  // none: all
      advised.matched ? advised.matched->rows : std::vector<size_t>();
  add_candidates(prepared, options, source, advised);
  advised.advice = advise(prepared.task, advised.layers.back(), advised.methods, target,
                          {.n_resample = options.n_resample, .seed = options.task.seed}, rows);
  advised.advice.bound += advised.uncovered;
  advised.shift = shift_of(prepared.task);
  advised.warnings = warnings_of(advised.advice, options.target, prepared.data.task);
  const ShiftTest& left = advised.after ? *advised.after : advised.shift;
  if (const std::string text = warning_of(left, prepared.data.task);
      !text.empty() && !options.match_lengths)
    advised.warnings.push_back((advised.after ? "drawn again, " : "") + text);
  advised.file = source.policy_file(about(prepared.data, options, advised, source.model()));
  choose(advised, source.n_layer());
  advised.file.fitted["method"] = advised.name;
  advised.file.fitted["setting"] = advised.setting;
  return advised;
}

}  // namespace fathom
