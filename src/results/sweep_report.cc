// SPDX-License-Identifier: Apache-2.0
#include "results/sweep_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "study/policy_names.h"
#include "study/sweep_score.h"

namespace fathom::cli {
namespace {

double value_of(const OrderedJson& j) { return j.is_number() ? j.get<double>() : std::nan(""); }

Cell estimate_cell(const OrderedJson& e, int digits) {
  if (!e.is_object() || !e["value"].is_number()) return missing;
  return Cell(value_of(e["value"]), fixed(digits)).between(value_of(e["low"]), value_of(e["high"]));
}

Cell number_cell(const OrderedJson& j) { return j.is_number() ? Cell(j.get<double>()) : missing; }

Cell part_cell(const OrderedJson& against, const char* part, int digits) {
  return against.is_object() ? estimate_cell(against[part], digits) : Cell(missing);
}

Cell loss_cell(const OrderedJson& against) {
  if (!against.is_object() || !against["relative_loss"]["value"].is_number())
    return missing;  // of a quality of 0 nothing can be lost
  return Cell(100 * value_of(against["relative_loss"]["value"]), fixed(2));
}

const OrderedJson* time_of(const OrderedJson& result, size_t point) {
  if (!result.contains("times")) return nullptr;
  for (const OrderedJson& t : result["times"])
    if (t["point"] == point) return &t;
  return nullptr;
}

std::vector<std::string> policies_of(const SweepReport& report) {
  std::vector<std::string> names;
  for (const SweptTask& task : report.tasks)
    for (const OrderedJson& r : task.results)
      if (std::ranges::find(names, r["policy"].get<std::string>()) == names.end())
        names.push_back(r["policy"]);
  return names;
}

// Mean over the tasks in which the policy has it; replicates of the score make its interval.
struct Macro {
  Estimate elue;
  size_t n_task = 0, n_speed = 0;
  double log_factor = 0;  // sum over n_speed tasks
};

Macro macro_of(const SweepReport& report, const std::string& policy) {
  std::vector<double> values;
  std::vector<std::vector<double>> replicates;
  Macro macro;
  for (const SweptTask& task : report.tasks)
    for (const OrderedJson& r : task.results) {
      if (r["policy"] != policy) continue;
      values.push_back(value_of(r["elue"]["value"]));
      std::vector<double>& all = replicates.emplace_back();
      for (const OrderedJson& x : r["elue_replicates"]) all.push_back(value_of(x));
      if (!r["speed_up_full"].is_object()) continue;
      ++macro.n_speed;
      macro.log_factor += std::log(value_of(r["speed_up_full"]["factor"]["value"]));
    }
  macro.n_task = values.size();
  macro.elue = macro_score(values, replicates);
  return macro;
}

std::string exits_csv(const SweepReport& report) {
  std::string csv = "task,policy,example,exit_layer\n";
  for (const SweptTask& task : report.tasks)
    for (const OrderedJson& r : task.results) {
      if (!r.contains("exit_layers")) continue;
      size_t i = 0;
      for (const OrderedJson& layer : r["exit_layers"])
        csv += fmt::format("{},{},{},{}\n", task.name, r["policy"].get<std::string>(), i++,
                           layer.get<size_t>());
    }
  return csv;
}

// Of the exits by measure the one whose chosen point (`choice`, an Against) is best by a figure of
// calibration rows; the policy's name goes in front.
OrderedJson chosen_exit(const SweptTask& task, const char* choice, const char* figure,
                        bool largest) {
  const OrderedJson* best = nullptr;
  double best_value = 0;
  for (const OrderedJson& r : task.results) {
    if (!is_measure(r["policy"].get<std::string>()) || !r[choice].is_object()) continue;
    const double value = value_of(r["points"][r[choice]["point"].get<size_t>()][figure]);
    if (best && (largest ? value <= best_value : value >= best_value)) continue;
    best = &r;
    best_value = value;
  }
  if (!best) return nullptr;
  OrderedJson j{{"policy", (*best)["policy"]}};
  j.update((*best)[choice]);
  return j;
}

const char* verdict_of(const OrderedJson& same_cost) {
  if (!same_cost.is_object()) return "no exit is as cheap";
  const OrderedJson& difference = same_cost["difference"];
  if (value_of(difference["low"]) > 0) return "better";
  return value_of(difference["high"]) < 0 ? "worse" : "no difference shown";
}

OrderedJson answer_of(const SweptTask& task) {
  const OrderedJson& curve = *find_result(task, "fixed");
  const size_t layer = curve["best_fixed_layer"];
  OrderedJson j{{"best_fixed_layer", layer},
                {"best_fixed_score", curve["points"][layer - 1]["score"]},
                {"full_depth_score", curve["points"].back()["score"]}};
  if (const OrderedJson* embedding = find_result(task, "embedding"))
    j["embedding_score"] = (*embedding)["points"][0]["score"];
  j["same_cost"] = chosen_exit(task, "same_cost", "calibration_score", true);
  j["verdict"] = verdict_of(j["same_cost"]);
  j["speed_up_best_fixed"] =
      chosen_exit(task, "speed_up_best_fixed", "calibration_flops_share", false);
  j["speed_up_full"] = chosen_exit(task, "speed_up_full", "calibration_flops_share", false);
  return j;
}

}  // namespace

const OrderedJson* find_result(const SweptTask& task, const std::string& policy) {
  for (const OrderedJson& r : task.results)
    if (r["policy"] == policy) return &r;
  return nullptr;
}

Table answer_table(const SweepReport& report) {
  Table t({{.name = "task", .title = "Task"},
           {.name = "best_fixed", .title = "best fixed layer"},
           {.name = "policy", .title = "exit"},
           {.name = "difference", .title = "quality at its cost, minus [95 %]"},
           {.name = "verdict", .title = "verdict"},
           {.name = "cheaper", .title = "cheapest exit, 1 %"},
           {.name = "factor", .title = "times fewer FLOPs [95 %]"},
           {.name = "loss", .title = "loss %"}});
  for (const SweptTask& task : report.tasks) {
    const OrderedJson a = answer_of(task);
    const auto policy = [](const OrderedJson& j) {
      return j.is_object() ? Cell(j["policy"].get<std::string>()) : Cell(missing);
    };
    const OrderedJson &same = a["same_cost"], &cheap = a["speed_up_best_fixed"];
    t.add({task.name, Cell(a["best_fixed_layer"].get<size_t>()), policy(same),
           part_cell(same, "difference", 4), a["verdict"].get<std::string>(), policy(cheap),
           part_cell(cheap, "factor", 2), loss_cell(cheap)});
  }
  return t;
}

Table files_table(const SweptTask& task) {
  Table t({{.name = "policy", .title = "Policy file"},
           {.name = "than", .title = "beside"},
           {.name = "flops_share", .title = "FLOPs share"},
           {.name = "than_flops_share", .title = "of the other"},
           {.name = "gain", .title = "quality minus"},
           {.name = "gain_over_curve", .title = "quality over the curve, minus [95 %]"}});
  const auto replicates = [](const OrderedJson& r) {
    std::vector<double> all;
    for (const OrderedJson& x : r["elue_replicates"]) all.push_back(value_of(x));
    return all;
  };
  for (const OrderedJson& a : task.results)
    for (const OrderedJson& b : task.results) {
      if (&a == &b || !is_file(a["policy"].get<std::string>()) ||
          !is_file(b["policy"].get<std::string>()))
        continue;
      const PairedDifference d = paired_difference(replicates(a), replicates(b));
      const OrderedJson &p = a["points"][0], &q = b["points"][0];
      t.add({a["policy"].get<std::string>(), b["policy"].get<std::string>(),
             Cell(value_of(p["flops_share"]), fixed(3)), Cell(value_of(q["flops_share"]), fixed(3)),
             Cell(value_of(p["score"]) - value_of(q["score"]), fixed(4)),
             Cell(value_of(a["elue"]["value"]) - value_of(b["elue"]["value"]), fixed(4))
                 .between(d.interval.low, d.interval.high)});
    }
  return t;
}

Table routing_table(const SweepReport& report) {
  Table t({{.name = "policy", .title = "Policy"},
           {.name = "baseline", .title = "Baseline"},
           {.name = "flops_share", .title = "FLOPs left"},
           {.name = "loss", .title = "Loss"},
           {.name = "gain", .title = "Gain of routing over it"}});
  std::vector<std::string> told;  // a file is the same for every task
  for (const SweptTask& task : report.tasks)
    for (const OrderedJson& r : task.results) {
      const auto policy = r["policy"].get<std::string>();
      if (!policy.starts_with("route:") || std::ranges::count(told, policy) > 0) continue;
      const auto held_out = r["fitted"].find("held_out");
      if (held_out == r["fitted"].end()) continue;
      told.push_back(policy);
      for (const auto& [name, row] : held_out->items()) {
        // Anybody may have written the file.
        const auto number = [&row = row](const char* key) {
          const auto at = row.find(key);
          return at != row.end() && at->is_number() ? at->template get<double>() : std::nan("");
        };
        const double gain = number("gain");
        t.add({policy, name, Cell(number("flops_share"), fixed(3)),
               Cell(number("loss"), significant(3)),
               std::isnan(gain)
                   ? Cell(missing)
                   : Cell(gain, significant(3)).between(number("gain_low"), number("gain_high"))});
      }
    }
  return t;
}

Table guarantee_table(const SweepReport& report) {
  Table t({{.name = "task", .title = "Task"},
           {.name = "policy", .title = "Policy"},
           {.name = "n", .title = "Examples"},
           {.name = "population", .title = "LTT: violations"},
           {.name = "allowed", .title = "allowed"},
           {.name = "test", .title = "on the test half"},
           {.name = "abstained", .title = "full depth"},
           {.name = "naive", .title = "naive: violations"},
           {.name = "naive_test", .title = "on the test half"}});
  for (const SweptTask& task : report.tasks)
    for (const OrderedJson& r : task.results) {
      if (!r.contains("guarantee")) continue;
      const OrderedJson& g = r["guarantee"];
      const auto n = [](const OrderedJson& j) { return Cell(j.get<size_t>()); };
      t.add({task.name, r["policy"].get<std::string>(), n(g["n_example"]),
             n(g["learn_then_test"]["population"]), n(g["allowed"]),
             n(g["learn_then_test"]["test_half"]), n(g["abstained"]), n(g["naive"]["population"]),
             n(g["naive"]["test_half"])});
    }
  return t;
}

Table times_table(const SweepReport& report) {
  Table t({{.name = "task", .title = "Task"},
           {.name = "policy", .title = "Policy"},
           {.name = "setting", .title = "Setting"},
           {.name = "predicted", .title = "FLOPs share"},
           {.name = "packed", .title = "packed share"},
           {.name = "packed_ratio", .title = "over predicted"},
           {.name = "batch1", .title = "batch 1 share"},
           {.name = "batch1_ratio", .title = "over predicted"}});
  for (const SweptTask& task : report.tasks)
    for (const OrderedJson& r : task.results) {
      if (!r.contains("times")) continue;
      for (const OrderedJson& time : r["times"]) {
        const auto n = [&](const char* name) { return Cell(value_of(time[name]), fixed(3)); };
        t.add({task.name, r["policy"].get<std::string>(),
               r["points"][time["point"].get<size_t>()]["setting"].get<std::string>(),
               n("predicted_share"), n("packed_share"), n("packed_measured_over_predicted"),
               n("batch1_share"), n("batch1_measured_over_predicted")});
      }
    }
  return t;
}

Table score_table(const SweptTask& task) {
  Table t({{.name = "policy", .title = "Policy"},
           {.name = "points", .title = "Points"},
           {.name = "elue", .title = "Over fixed curve [95 %]"},
           {.name = "speed_up_full", .title = "x full, 1 %"},
           {.name = "loss_full", .title = "loss %"},
           {.name = "speed_up_best_fixed", .title = "x best fixed, 1 %"},
           {.name = "loss_best_fixed", .title = "loss %"}});
  for (const OrderedJson& r : task.results)
    t.add({r["policy"].get<std::string>(), Cell(r["points"].size()), estimate_cell(r["elue"], 4),
           part_cell(r["speed_up_full"], "factor", 2), loss_cell(r["speed_up_full"]),
           part_cell(r["speed_up_best_fixed"], "factor", 2), loss_cell(r["speed_up_best_fixed"])});
  return t;
}

Table macro_table(const SweepReport& report) {
  Table t({{.name = "policy", .title = "Policy"},
           {.name = "tasks", .title = "Tasks"},
           {.name = "elue", .title = "Over fixed curve [95 %]"},
           {.name = "speed_up_full", .title = "x full, 1 %, geometric mean"},
           {.name = "speed_up_tasks", .title = "of tasks"}});
  for (const std::string& policy : policies_of(report)) {
    const Macro m = macro_of(report, policy);
    t.add({policy, Cell(m.n_task), Cell(m.elue.value, fixed(4)).between(m.elue.low, m.elue.high),
           m.n_speed ? Cell(std::exp(m.log_factor / static_cast<double>(m.n_speed)), fixed(2))
                     : Cell(missing),
           Cell(m.n_speed)});
  }
  return t;
}

OrderedJson to_json(const SweepReport& report) {
  OrderedJson j{{"command", report.command},
                {"fathom", FATHOM_VERSION},
                {"model", report.model},
                {"settings", report.settings},
                {"missing", report.missing},
                {"tasks", OrderedJson::array()},
                {"mean_over_tasks", to_json(macro_table(report))}};
  for (const SweptTask& task : report.tasks) {
    OrderedJson t{
        {"task", task.name},         {"title", task.title},       {"metric", task.metric},
        {"split", task.split},       {"n", task.n_evaluated},     {"notes", task.notes},
        {"left_out", task.left_out}, {"answer", answer_of(task)}, {"policies", task.results}};
    for (OrderedJson& r : t["policies"]) {
      r.erase("elue_replicates");
      r.erase("exit_layers");  // exits.csv
    }
    j["tasks"].push_back(std::move(t));
  }
  return j;
}

Table points_table(const SweepReport& report) {
  static constexpr const char* kPoint[] = {"flops",
                                           "flops_share",
                                           "mean_layer",
                                           "score",
                                           "low",
                                           "high",
                                           "above_curve",
                                           "shuffled_score",
                                           "calibration_score",
                                           "calibration_flops_share"};
  static constexpr const char* kTime[] = {"predicted_share",
                                          "packed_share",
                                          "batch1_share",
                                          "packed_measured_over_predicted",
                                          "batch1_measured_over_predicted",
                                          "packed_seconds",
                                          "batch1_seconds"};
  std::vector<Column> columns = {
      {.name = "task"}, {.name = "policy"}, {.name = "setting"}, {.name = "metric"}};
  for (const char* name : kPoint) columns.push_back({.name = name});
  for (const char* name : kTime) columns.push_back({.name = name});
  Table t(std::move(columns));
  for (const SweptTask& task : report.tasks)
    for (const OrderedJson& r : task.results)
      for (size_t i = 0; i < r["points"].size(); ++i) {
        const OrderedJson& p = r["points"][i];
        std::vector<Cell> row = {task.name, r["policy"].get<std::string>(),
                                 p["setting"].get<std::string>(), task.metric};
        for (const char* name : kPoint) row.push_back(number_cell(p[name]));
        const OrderedJson* time = time_of(r, i);
        for (const char* name : kTime) row.push_back(time ? number_cell((*time)[name]) : missing);
        t.add(std::move(row));
      }
  return t;
}

void expect_sweep(OutputSet& outputs, const std::filesystem::path& folder) {
  outputs.expect_in(folder, {"results.json", "results.csv", "exits.csv", "report.html"});
}

void write_sweep(const SweepReport& report, const std::filesystem::path& folder,
                 OutputSet& outputs) {
  outputs.write(folder / "results.json", dump_json(to_json(report), 1) + "\n");
  outputs.write(folder / "results.csv", to_csv(points_table(report)));
  outputs.write(folder / "exits.csv", exits_csv(report));
  outputs.write(folder / "report.html", to_html(report));
  outputs.commit();
}

}  // namespace fathom::cli
