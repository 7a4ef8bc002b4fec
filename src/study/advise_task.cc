// SPDX-License-Identifier: Apache-2.0
#include "study/advise_task.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/invalid_option.h"
#include "depth/mask.h"
#include "encode/describe.h"
#include "study/estimate_json.h"
#include "study/policy_names.h"

namespace fathom {
namespace {

// Points from the safest on.
void add_candidates(const PreparedTask& prepared, const AdviseOptions& options,
                    FeatureSource& source, AdvisedPolicy& advised) {
  for (const std::string& policy : options.policies) {
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
      if (!measure)
        throw InvalidOption("policies", "fixed, exit:MEASURE or policy files",
                            concat("'", policy, "'"));
      if (!fits_task(*measure, prepared.data.task)) continue;
      const SweepOptions how{.n_point = 60, .seed = options.task.seed, .n_shuffle = 0};
      method = exit_method(prepared.task, *measure, how);
    }
    advised.methods.push_back(std::move(method));
    advised.files.push_back(std::move(file));
  }
  FATHOM_REQUIRE(!advised.methods.empty(), "`policies`: none of them fits ",
                 prepared.data.task.name);
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

OrderedJson about(const TaskData& data, const AdviseOptions& options, const Advice& advice,
                  const Model& model) {
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
  if (options.target.epsilon > 0) fitted["epsilon"] = options.target.epsilon;
  fitted["chosen_on"] = figures_json(advice.chosen_on);
  fitted["held_out"] = figures_json(advice.held_out);
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

}  // namespace

std::vector<std::string> parse_candidates(const std::string& text) {
  std::vector<std::string> policies = parse_policies(text);
  for (const std::string& policy : policies)
    if (is_baseline(policy) && policy != "fixed")
      throw InvalidOption("policies", "other methods", {},
                          concat(policy, " is a baseline that no file can hold"));
  return policies;
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
  add_candidates(prepared, options, source, advised);
  advised.advice = advise(prepared.task, advised.layers.back(), advised.methods, options.target,
                          {.n_resample = options.n_resample, .seed = options.task.seed});
  advised.file = source.policy_file(about(prepared.data, options, advised.advice, source.model()));
  choose(advised, source.n_layer());
  advised.file.fitted["method"] = advised.name;
  advised.file.fitted["setting"] = advised.setting;
  return advised;
}

}  // namespace fathom
