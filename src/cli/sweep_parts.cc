// SPDX-License-Identifier: Apache-2.0
#include "cli/sweep_parts.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/hash.h"
#include "study/estimate_json.h"

namespace fathom::cli {
namespace {

OrderedJson against_json(const std::optional<Against>& a, const Method& method) {
  if (!a) return nullptr;
  return {{"point", a->point},
          {"setting", method.points[a->point].setting},
          {"factor", json_of(a->factor)},
          {"difference", json_of(a->difference)},
          {"relative_loss", json_of(a->relative_loss)}};
}

OrderedJson point_json(const MethodPoint& from, const PointScore& p, const Task& task) {
  OrderedJson j{{"setting", from.setting},
                {"flops", p.flops},
                {"flops_share", p.share},
                {"mean_layer", p.mean_layer},
                {"score", json_of(p.score.value)},
                {"low", json_of(p.score.low)},
                {"high", json_of(p.score.high)},
                {"above_curve", json_of(p.above_curve)},
                {"shuffled_score", json_of(from.shuffled_score)},
                {"calibration_score", json_of(p.calibration_score)},
                {"calibration_flops_share", p.calibration_share},
                {"n_exit", p.n_exit}};
  for (size_t m = 0; m < p.others.size(); ++m)
    j["metrics"][std::string(name_of(task.metrics[m]))] = json_of(p.others[m]);
  return j;
}

}  // namespace

SweepParts::SweepParts(std::filesystem::path folder) : folder_(std::move(folder)), made_(folder_) {}

std::filesystem::path SweepParts::path_of(const std::string& name, const OrderedJson& key) const {
  const std::string text = dump_json(key);
  std::string file = name;
  std::ranges::replace_if(
      file, [](char c) { return c == ':' || c == '/' || c == '\0'; }, '-');
  if (file.size() > 80) file.resize(80);  // a long path of a policy file
  return folder_ / concat(file, "-", hex_of(hash_of(std::as_bytes(std::span(text)))), ".json");
}

std::optional<OrderedJson> SweepParts::find(const std::string& name, const OrderedJson& key) const {
  std::ifstream in(path_of(name, key), std::ios::binary);
  if (!in) return std::nullopt;
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  OrderedJson part;
  try {
    part = parse_ordered_json(text);
  } catch (const Error&) {
    return std::nullopt;  // damaged: made again
  }
  if (!part.is_object() || !part.contains("key") || !part.contains("result") ||
      dump_json(part["key"]) != dump_json(key))
    return std::nullopt;
  return std::move(part["result"]);
}

void SweepParts::keep(const std::string& name, const OrderedJson& key,
                      const OrderedJson& result) const {
  write_file(path_of(name, key), dump_json(OrderedJson{{"key", key}, {"result", result}}) + "\n");
}

OrderedJson to_json(const Method& method, const MethodScore& score, const Task& task) {
  OrderedJson j{{"policy", method.name},
                {"metric", std::string(name_of(task.metrics.front()))},
                {"elue", json_of(score.elue)},
                {"best_fixed_layer", score.best_layer},
                {"speed_up_full", against_json(score.speed_up_full, method)},
                {"speed_up_best_fixed", against_json(score.speed_up_best, method)},
                {"speed_up_full_on_split", against_json(score.on_split_full, method)},
                {"speed_up_best_fixed_on_split", against_json(score.on_split_best, method)},
                {"same_cost", against_json(score.same_cost, method)},
                {"points", OrderedJson::array()}};
  for (size_t i = 0; i < score.points.size(); ++i)
    j["points"].push_back(point_json(method.points[i], score.points[i], task));
  if (score.speed_up_full)
    j["exit_layers"] = method.points[score.speed_up_full->point].evaluated.layer;
  if (!method.reliability.empty()) {
    j["reliability"] = OrderedJson::array();
    for (const ReliabilityBin& bin : method.reliability)
      j["reliability"].push_back({{"layer", bin.layer},
                                  {"n", bin.n},
                                  {"confidence", bin.confidence},
                                  {"accuracy", bin.accuracy}});
  }
  j["elue_replicates"] = OrderedJson::array();
  for (double r : score.elue_replicates) j["elue_replicates"].push_back(json_of(r));
  return j;
}

OrderedJson to_json(const GuaranteeCheck& check, const GuaranteeOptions& options) {
  const auto violations = [](const Violations& v) {
    return OrderedJson{{"population", v.n_population}, {"test_half", v.n_test}};
  };
  return {{"n_example", check.n_example},     {"n_split", check.n_split},
          {"delta", options.delta},           {"epsilon", options.epsilon},
          {"allowed", check.allowed},         {"learn_then_test", violations(check.guaranteed)},
          {"naive", violations(check.naive)}, {"abstained", check.n_abstained}};
}

OrderedJson to_json(const PointTime& point) {
  const PolicyTime& time = point.time;
  return {{"n_example", time.n_example},
          {"predicted_share", point.predicted_share},
          {"packed_share", time.packed_share()},
          {"batch1_share", time.batch1_share()},
          {"packed_measured_over_predicted", time.packed_share() / point.predicted_share},
          {"batch1_measured_over_predicted", time.batch1_share() / point.predicted_share},
          {"packed_seconds", time.packed_seconds},
          {"packed_full_seconds", time.packed_full_seconds},
          {"batch1_seconds", time.batch1_seconds},
          {"batch1_full_seconds", time.batch1_full_seconds}};
}

}  // namespace fathom::cli
