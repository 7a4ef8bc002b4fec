// SPDX-License-Identifier: Apache-2.0
// Tables of what several seeds of a sweep found together (study/over_seeds.h).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/list.h"
#include "results/sweep_report.h"

namespace fathom {
namespace {

Cell mean_cell(const SeedMean& m, int digits, double factor = 1) {
  if (!std::isfinite(m.mean.value)) return missing;
  return Cell(factor * m.mean.value, fixed(digits))
      .between(factor * m.mean.low, factor * m.mean.high);
}

// "2.5 12.0 2.3": what every seed has.
std::string by_seed(const SeedMean& m, int digits, double factor = 1) {
  std::vector<std::string> all;
  for (double x : m.by_seed) all.push_back(fmt::format("{:.{}f}", factor * x, digits));
  std::string text;
  for (const std::string& x : all) text += concat(text.empty() ? "" : " ", x);
  return text;
}

std::string signed_text(const Estimate& e) {
  return fmt::format("{:+.4f} [{:+.4f}, {:+.4f}]", e.value, e.low, e.high);
}

Cell gain_cell(const OverSeeds& o, std::string_view exits, std::string_view baseline) {
  const Gain* gain = o.gain(exits, baseline);
  return gain ? mean_cell(gain->gain, 4) : Cell(missing);
}

}  // namespace

std::string headline_of(const SweptTask& task) {
  if (!task.over_seeds || task.over_seeds->exits.empty()) return {};
  const OverSeeds& o = *task.over_seeds;
  const Gain *strongest = o.gain(kBestExits, o.strongest),
             *plain = o.gain(o.exits.front().name, o.fixed.front().name);
  if (!strongest || !plain) return {};
  const Estimate& e = strongest->gain.mean;
  const char* verdict = e.low > 0    ? "exits lie above"
                        : e.high < 0 ? "exits lie below"
                                     : "exits show no difference from";
  return fmt::format(
      "{}: {} the strongest fixed depth (heads: {}) by mean {}: {}; plain exits over the plain "
      "fixed curve {}; {} seed{}.",
      task.title, verdict, o.strongest, task.metric, signed_text(e), signed_text(plain->gain.mean),
      o.seeds.size(), o.seeds.size() == 1 ? "" : "s");
}

Table strongest_table(const SweepResult& result) {
  Table t({{.name = "task", .title = "Task"},
           {.name = "strongest", .title = "strongest fixed depth"},
           {.name = "over_strongest", .title = "exits less it [95 %]"},
           {.name = "plain_over_strongest", .title = "plain exits less it"},
           {.name = "plain_over_plain", .title = "less plain fixed"}});
  for (const SweptTask& task : result.tasks) {
    if (!task.over_seeds || task.over_seeds->exits.empty()) continue;
    const OverSeeds& o = *task.over_seeds;
    const std::string& plain = o.exits.front().name;
    t.add({task.name, o.strongest, gain_cell(o, kBestExits, o.strongest),
           gain_cell(o, plain, o.strongest), gain_cell(o, plain, o.fixed.front().name)});
  }
  return t;
}

Table baseline_table(const SweptTask& task, bool brief) {
  std::vector<Column> columns = {{.name = "heads", .title = "Fixed depth, heads"},
                                 {.name = "quality", .title = brief ? "quality" : "quality [95 %]"},
                                 {.name = "plain", .title = "plain exits less it"}};
  if (!brief) columns.push_back({.name = "alike", .title = "exits with such heads less it"});
  columns.push_back(
      {.name = "best",
       .title = brief ? "best exits less it" : "exits best on calibration rows less it"});
  Table t(std::move(columns));
  if (!task.over_seeds) return t;
  const OverSeeds& o = *task.over_seeds;
  const std::string plain = o.exits.empty() ? "" : o.exits.front().name;
  for (const FixedMean& f : o.fixed) {
    std::vector<Cell> row = {Cell(f.name).emphasised(f.name == o.strongest),
                             brief ? Cell(f.quality.mean.value, fixed(4)) : mean_cell(f.quality, 4),
                             gain_cell(o, plain, f.name)};
    if (!brief) row.push_back(gain_cell(o, f.system, f.name));
    row.push_back(gain_cell(o, kBestExits, f.name));
    t.add(std::move(row));
  }
  return t;
}

Table kept_table(const SweptTask& task, bool brief) {
  std::vector<Column> columns = {{.name = "kept", .title = "Keeps"},
                                 {.name = "by", .title = "by"},
                                 {.name = "factor", .title = "x fewer FLOPs"},
                                 {.name = "factors", .title = "by seed"},
                                 {.name = "loss", .title = "loss % [95 %]"}};
  if (!brief) columns.push_back({.name = "losses", .title = "by seed"});
  columns.push_back({.name = "loss_all_rows",
                     .title = brief ? "of all rows, %" : "of full depth on all rows, %"});
  Table t(std::move(columns));
  if (!task.over_seeds) return t;
  for (const KeptMean& k : task.over_seeds->kept) {
    std::vector<Cell> row = {fmt::format("{:.0f} %", 100 * k.share), k.by, mean_cell(k.factor, 2),
                             by_seed(k.factor, 1), mean_cell(k.loss, 1, 100)};
    if (!brief) row.push_back(by_seed(k.loss, 1, 100));
    row.push_back(mean_cell(k.loss_all_rows, 1, 100));
    t.add(std::move(row));
  }
  return t;
}

Table measure_table(const SweptTask& task) {
  Table t({{.name = "measure", .title = "Plain exits by"},
           {.name = "gain", .title = "over the plain fixed curve [95 %]"},
           {.name = "by_seed", .title = "by seed"}});
  if (!task.over_seeds) return t;
  for (const MeasureGain& m : task.over_seeds->measures)
    t.add({m.measure, mean_cell(m.gain, 4), by_seed(m.gain, 3)});
  return t;
}

Table calibration_table(const SweptTask& task) {
  Table t({{.name = "layer", .title = "Layer"},
           {.name = "error", .title = "calibration error"},
           {.name = "smallest", .title = "smallest of the seeds"},
           {.name = "largest", .title = "largest"}});
  if (!task.over_seeds) return t;
  for (const LayerError& e : task.over_seeds->calibration_error)
    t.add({Cell(e.layer), Cell(e.mean, fixed(4)), Cell(e.smallest, fixed(4)),
           Cell(e.largest, fixed(4))});
  return t;
}

Table depth_table(const SweptTask& task) {
  Table t({{.name = "by", .title = "By"},
           {.name = "group", .title = "examples"},
           {.name = "n", .title = "how many"},
           {.name = "depth", .title = "exits' mean layer"},
           {.name = "oracle_depth", .title = "oracle's"},
           {.name = "right", .title = "exits right"}});
  if (!task.over_seeds) return t;
  for (const DepthGroup& g : task.over_seeds->depth)
    t.add({g.by, g.group, Cell(g.n, fixed(1)), Cell(g.depth, fixed(2)),
           Cell(g.oracle_depth, fixed(2)),
           std::isfinite(g.right) ? Cell(g.right, fixed(3)) : Cell(missing)});
  return t;
}

Table moved_table(const SweepResult& result) {
  Table t({{.name = "measure", .title = "Measure"},
           {.name = "from", .title = "threshold of"},
           {.name = "to", .title = "used on"},
           {.name = "flops_share", .title = "FLOPs share"},
           {.name = "loss", .title = "loss % [all seeds]"}});
  for (const MovedThreshold& m : result.moved)
    t.add({m.measure, m.from, m.to, Cell(m.share, fixed(3)),
           Cell(100 * m.loss, fixed(1)).between(100 * m.loss_smallest, 100 * m.loss_largest)});
  return t;
}

Table latency_table(const SweepResult& result) {
  Table t({{.name = "task", .title = "Task"},
           {.name = "policy", .title = "Policy"},
           {.name = "setting", .title = "Setting"},
           {.name = "batch", .title = "batch"},
           {.name = "calls", .title = "calls"},
           {.name = "p50", .title = "p50", .unit = "s"},
           {.name = "p99", .title = "p99", .unit = "s"},
           {.name = "full_p50", .title = "full p50", .unit = "s"},
           {.name = "full_p99", .title = "full p99", .unit = "s"},
           {.name = "joules", .title = "energy", .unit = "J"},
           {.name = "full_joules", .title = "full energy", .unit = "J"}});
  const auto seconds = [](double x) { return Cell(x, si(3)); };
  const auto energy = [](const std::optional<double>& x) {
    return x ? Cell(*x, si(3)) : Cell(missing);
  };
  for (const SweptTask& task : result.tasks)
    for (const PolicyResult& r : task.policies)
      for (const SweptTime& time : r.times)
        for (const BatchLatency& b : time.batches)
          t.add({task.name, r.policy, r.score.points[time.point].setting, Cell(b.batch),
                 Cell(b.n_call), seconds(b.policy.p50), seconds(b.policy.p99), seconds(b.full.p50),
                 seconds(b.full.p99), energy(b.policy.joules), energy(b.full.joules)});
  return t;
}

Table gains_table(const SweepResult& result) {
  Table t({{.name = "task"},
           {.name = "exits"},
           {.name = "over"},
           {.name = "strongest"},
           {.name = "gain"},
           {.name = "by_seed"}});
  for (const SweptTask& task : result.tasks)
    if (task.over_seeds)
      for (const Gain& g : task.over_seeds->gains)
        t.add({task.name, g.exits, g.baseline,
               g.baseline == task.over_seeds->strongest ? "yes" : "no",
               Cell(g.gain.mean.value).between(g.gain.mean.low, g.gain.mean.high),
               by_seed(g.gain, 6)});
  return t;
}

}  // namespace fathom
