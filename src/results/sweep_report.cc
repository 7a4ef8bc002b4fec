// SPDX-License-Identifier: Apache-2.0
#include "results/sweep_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/list.h"
#include "study/policy_names.h"

namespace fathom {
namespace {

Cell number_cell(double x) { return std::isfinite(x) ? Cell(x) : Cell(missing); }

Cell estimate_cell(const Estimate& e, int digits) {
  if (!std::isfinite(e.value)) return missing;
  return Cell(e.value, fixed(digits)).between(e.low, e.high);
}

template <class Chosen>  // a pointer or std::optional
Cell factor_cell(const Chosen& against) {
  return against ? estimate_cell(against->factor, 2) : Cell(missing);
}

template <class Chosen>
Cell loss_cell(const Chosen& against) {
  if (!against || !std::isfinite(against->relative_loss.value))
    return missing;  // of a quality of 0 nothing can be lost
  return Cell(100 * against->relative_loss.value, fixed(2));
}

const PointTime* time_of(const PolicyResult& result, size_t point) {
  const auto found = std::ranges::find(result.times, point, &SweptTime::point);
  return found == result.times.end() ? nullptr : &found->measured;
}

std::string exits_csv(const SweepResult& result) {
  std::string csv = "task,policy,example,exit_layer\n";
  for (const SweptTask& task : result.tasks)
    for (const PolicyResult& r : task.policies)
      for (size_t i = 0; i < r.exit_layers.size(); ++i)
        csv += fmt::format("{},{},{},{}\n", task.name, r.policy, i, r.exit_layers[i]);
  return csv;
}

}  // namespace

Table answer_table(const SweepResult& result) {
  Table t({{.name = "task", .title = "Task"},
           {.name = "best_fixed", .title = "best fixed layer"},
           {.name = "policy", .title = "exit"},
           {.name = "difference", .title = "quality at its cost, minus [95 %]"},
           {.name = "verdict", .title = "verdict"}});
  for (const SweptTask& task : result.tasks) {
    const SweepAnswer& a = task.answer;
    t.add({task.name, Cell(a.best_fixed_layer),
           a.same_cost ? Cell(a.same_cost->policy) : Cell(missing),
           a.same_cost ? estimate_cell(a.same_cost->against.difference, 4) : Cell(missing),
           name_of(a.verdict)});
  }
  return t;
}

Table cheaper_table(const SweepResult& result) {
  Table t({{.name = "task", .title = "Task"},
           {.name = "exit", .title = "cheapest exit"},
           {.name = "exit_factor", .title = "times fewer FLOPs"},
           {.name = "exit_loss", .title = "loss %"},
           {.name = "layer", .title = "cheapest layer"},
           {.name = "layer_factor", .title = "times fewer"},
           {.name = "layer_loss", .title = "loss %"}});
  for (const SweptTask& task : result.tasks) {
    const Against* exit = task.answer.speed_up_full ? &task.answer.speed_up_full->against : nullptr;
    const std::optional<Against>& layer = find_result(task.policies, "fixed")->score.speed_up_full;
    t.add({task.name, exit ? Cell(task.answer.speed_up_full->policy) : Cell(missing),
           factor_cell(exit), loss_cell(exit), layer ? Cell(layer->setting) : Cell(missing),
           factor_cell(layer), loss_cell(layer)});
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
  for (const FileComparison& c : compare_files(task.policies)) {
    const auto share = [](const PolicyResult& r) {
      return Cell(r.score.points.front().share, fixed(3));
    };
    const Estimate& over = c.gain_over_curve;
    t.add({c.file->policy, c.than->policy, share(*c.file), share(*c.than), Cell(c.gain, fixed(4)),
           Cell(over.value, fixed(4)).between(over.low, over.high)});
  }
  return t;
}

Table routing_table(const SweepResult& result) {
  Table t({{.name = "policy", .title = "Policy"},
           {.name = "baseline", .title = "Baseline"},
           {.name = "flops_share", .title = "FLOPs left"},
           {.name = "loss", .title = "Loss"},
           {.name = "gain", .title = "Gain of routing over it"}});
  std::vector<std::string> told;  // a file is the same for every task
  for (const SweptTask& task : result.tasks)
    for (const PolicyResult& r : task.policies) {
      if (!r.policy.starts_with("route:") || std::ranges::count(told, r.policy) > 0) continue;
      if (!r.fitted || !r.fitted->contains("held_out")) continue;
      told.push_back(r.policy);
      for (const auto& [name, row] : (*r.fitted)["held_out"].items()) {
        // Anybody may have written the file.
        const auto number = [&row = row](const char* key) {
          const auto at = row.find(key);
          return at != row.end() && at->is_number() ? at->template get<double>() : std::nan("");
        };
        const double gain = number("gain");
        t.add({r.policy, name, Cell(number("flops_share"), fixed(3)),
               Cell(number("loss"), significant(3)),
               std::isnan(gain)
                   ? Cell(missing)
                   : Cell(gain, significant(3)).between(number("gain_low"), number("gain_high"))});
      }
    }
  return t;
}

Table guarantee_table(const SweepResult& result) {
  Table t({{.name = "task", .title = "Task"},
           {.name = "policy", .title = "Policy"},
           {.name = "n", .title = "Examples"},
           {.name = "population", .title = "LTT: violations"},
           {.name = "allowed", .title = "allowed"},
           {.name = "test", .title = "on the test half"},
           {.name = "abstained", .title = "full depth"},
           {.name = "naive", .title = "naive: violations"},
           {.name = "naive_test", .title = "on the test half"},
           {.name = "boundary", .title = "LTT at the boundary"},
           {.name = "boundary_allowed", .title = "allowed"},
           {.name = "boundary_naive", .title = "naive at the boundary"}});
  for (const SweptTask& task : result.tasks)
    for (const PolicyResult& r : task.policies)
      if (const std::optional<GuaranteeCheck>& g = r.guarantee)
        t.add({task.name, r.policy, Cell(g->n_example), Cell(g->guaranteed.n_population),
               Cell(g->allowed), Cell(g->guaranteed.n_test), Cell(g->n_abstained),
               Cell(g->naive.n_population), Cell(g->naive.n_test), Cell(g->boundary.guaranteed),
               Cell(g->boundary.allowed), Cell(g->boundary.naive)});
  return t;
}

Table times_table(const SweepResult& result) {
  Table t({{.name = "task", .title = "Task"},
           {.name = "policy", .title = "Policy"},
           {.name = "setting", .title = "Setting"},
           {.name = "predicted", .title = "FLOPs share"},
           {.name = "packed", .title = "packed share"},
           {.name = "packed_ratio", .title = "over predicted"},
           {.name = "batch1", .title = "batch 1 share"},
           {.name = "batch1_ratio", .title = "over predicted"}});
  const auto n = [](double x) { return Cell(x, fixed(3)); };
  for (const SweptTask& task : result.tasks)
    for (const PolicyResult& r : task.policies)
      for (const auto& [point, time, batches] : r.times)
        t.add({task.name, r.policy, r.score.points[point].setting, n(time.predicted_share),
               n(time.time.packed_share()), n(time.packed_over_predicted()),
               n(time.time.batch1_share()), n(time.batch1_over_predicted())});
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
  for (const PolicyResult& r : task.policies) {
    const MethodScore& s = r.score;
    t.add({r.policy, Cell(s.points.size()), estimate_cell(s.elue, 4), factor_cell(s.speed_up_full),
           loss_cell(s.speed_up_full), factor_cell(s.speed_up_best), loss_cell(s.speed_up_best)});
  }
  return t;
}

Table mean_table(const SweepResult& result) {
  Table t({{.name = "policy", .title = "Policy"},
           {.name = "tasks", .title = "Tasks"},
           {.name = "elue", .title = "Over fixed curve [95 %]"},
           {.name = "speed_up_full", .title = "x full, 1 %, geometric mean"}});
  // Means over the same tasks stand together, a line between them and those over others.
  std::vector<const PolicyMean*> left;
  for (const PolicyMean& m : result.means) left.push_back(&m);
  while (!left.empty()) {
    if (!t.rows().empty()) t.add_rule();
    const std::vector<std::string> tasks = left.front()->tasks;
    for (const PolicyMean* m : left)
      if (m->tasks == tasks)
        t.add({m->policy, join(m->tasks),
               Cell(m->elue.value, fixed(4)).between(m->elue.low, m->elue.high),
               m->speed_up_full ? Cell(*m->speed_up_full, fixed(2)) : Cell(missing)});
    std::erase_if(left, [&](const PolicyMean* m) { return m->tasks == tasks; });
  }
  return t;
}

Table points_table(const SweepResult& result) {
  using P = PointScore;
  using T = PointTime;
  static constexpr std::pair<const char*, double (*)(const P&)> kPoint[] = {
      {"flops", [](const P& p) { return p.flops; }},
      {"flops_share", [](const P& p) { return p.share; }},
      {"mean_layer", [](const P& p) { return p.mean_layer; }},
      {"score", [](const P& p) { return p.score.value; }},
      {"low", [](const P& p) { return p.score.low; }},
      {"high", [](const P& p) { return p.score.high; }},
      {"above_curve", [](const P& p) { return p.above_curve; }},
      {"shuffled_score", [](const P& p) { return p.shuffled_score; }},
      {"calibration_score", [](const P& p) { return p.calibration_score; }},
      {"calibration_flops_share", [](const P& p) { return p.calibration_share; }}};
  static constexpr std::pair<const char*, double (*)(const T&)> kTime[] = {
      {"predicted_share", [](const T& t) { return t.predicted_share; }},
      {"packed_share", [](const T& t) { return t.time.packed_share(); }},
      {"batch1_share", [](const T& t) { return t.time.batch1_share(); }},
      {"packed_measured_over_predicted", [](const T& t) { return t.packed_over_predicted(); }},
      {"batch1_measured_over_predicted", [](const T& t) { return t.batch1_over_predicted(); }},
      {"packed_seconds", [](const T& t) { return t.time.packed_seconds; }},
      {"batch1_seconds", [](const T& t) { return t.time.batch1_seconds; }}};
  std::vector<Column> columns = {
      {.name = "task"}, {.name = "policy"}, {.name = "setting"}, {.name = "metric"}};
  for (const auto& [name, figure] : kPoint) columns.push_back({.name = name});
  for (const auto& [name, figure] : kTime) columns.push_back({.name = name});
  Table t(std::move(columns));
  for (const SweptTask& task : result.tasks)
    for (const PolicyResult& r : task.policies)
      for (size_t i = 0; i < r.score.points.size(); ++i) {
        const PointScore& p = r.score.points[i];
        std::vector<Cell> row = {task.name, r.policy, p.setting, task.metric};
        for (const auto& [name, figure] : kPoint) row.push_back(number_cell(figure(p)));
        const PointTime* time = time_of(r, i);
        for (const auto& [name, figure] : kTime)
          row.push_back(time ? number_cell(figure(*time)) : Cell(missing));
        t.add(std::move(row));
      }
  return t;
}

void expect_sweep(OutputSet& outputs, const std::filesystem::path& folder) {
  outputs.expect_in(folder,
                    {"results.json", "results.csv", "gains.csv", "exits.csv", "report.html"});
}

void write_sweep(const SweepResult& result, const std::filesystem::path& folder,
                 OutputSet& outputs) {
  outputs.write(folder / "results.json", dump_json(to_json(result), 1) + "\n");
  outputs.write(folder / "results.csv", to_csv(points_table(result)));
  outputs.write(folder / "gains.csv", to_csv(gains_table(result)));
  outputs.write(folder / "exits.csv", exits_csv(result));
  outputs.write(folder / "report.html", to_html(result));
  outputs.commit();
}

}  // namespace fathom
