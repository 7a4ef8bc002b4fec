// SPDX-License-Identifier: Apache-2.0
#include "pages.h"

#include "report/html.h"
#include "results/advise_report.h"
#include "results/fit_report.h"
#include "results/prune_report.h"

namespace fathom::python {
namespace {

XyChart curve(const FitResult& result) {
  XyChart chart;
  chart.title = std::string(name_of(result.task->metrics.front())) + " by depth";
  chart.x.title = "Layer (0 = after ln0, final = ln_out of the last block)";
  chart.y.title = std::string(name_of(result.task->metrics.front()));
  chart.categories = result.layers;
  Series series{"heads of the layers", {}, Mark::kLine, false};
  const std::vector<FitLine> lines = lines_of(result);
  for (size_t i = 0; i < lines.size(); ++i) {
    const FitLine& line = lines[i];
    const double low = line.spread ? line.spread->score.low : kMissing;
    const double high = line.spread ? line.spread->score.high : kMissing;
    const double value = line.fit.scores.empty() ? kMissing : line.fit.scores.front();
    if (i < result.layers.size())
      series.points.push_back({kMissing, value, low, high, {}});
    else
      chart.references.push_back({line.name, value, low, high});
  }
  chart.series.push_back(std::move(series));
  return chart;
}

XyChart trade_off(const AdvisedPolicy& advised) {
  XyChart chart;
  chart.title = "Work left by what could be chosen";
  chart.x.title = "Share of full depth's FLOPs";
  chart.y.title = "Mean layer at which examples leave";
  double full = 0;
  const auto mean = [](const auto& values) {
    double sum = 0;
    for (const auto v : values) sum += static_cast<double>(v);
    return values.empty() ? kMissing : sum / static_cast<double>(values.size());
  };
  full = mean(advised.layers.back().evaluated.flops);
  for (const Method& method : advised.methods) {
    Series series{method.name, {}, Mark::kPoints, false};
    for (const MethodPoint& point : method.points)
      series.points.push_back({mean(point.evaluated.flops) / full, mean(point.evaluated.layer),
                               kMissing, kMissing, point.setting});
    chart.series.push_back(std::move(series));
  }
  return chart;
}

XyChart search(const PruneResult& result) {
  XyChart chart;
  chart.title = "Loss by what is left";
  chart.x.title = "Share of the blocks' FLOPs";
  chart.y.title = "Loss on the fitted texts";
  Series steps{"search", {}, Mark::kPoints, false};
  for (const SearchStep& s : result.search.steps)
    steps.points.push_back({s.share, s.loss, kMissing, kMissing, {}});
  Series others{"held-out texts", {}, Mark::kPoints, false};
  const auto add = [&](const char* name, const MaskLosses& l) {
    others.points.push_back({l.share, l.held_out, kMissing, kMissing, name});
  };
  add("found", result.found);
  add("last units removed", result.truncated);
  add("random, mean", result.random);
  chart.series = {std::move(steps), std::move(others)};
  return chart;
}

}  // namespace

std::string fit_page(const FitResult& result) {
  if (!result.task) {
    HtmlPage page("Post-processing without labels");
    page.settings({{"fitted", dump_json(result.about)}});
    return page.str();
  }
  HtmlPage page(std::string(result.task->title) + ": heads at every depth");
  page.figure(curve(result), "On the evaluated split; the band is the 95 % bootstrap interval.");
  page.table(curve_table(result), "Heads of every layer");
  return page.str();
}

std::string advise_page(const AdvisedPolicy& advised, const Task& task,
                        const AdviceTarget& target) {
  HtmlPage page(std::string(task.title) + ": " + advised.name + ", " + advised.setting);
  page.figure(trade_off(advised), "On the evaluated split.");
  page.paragraph(to_text(advised, task, target));
  return page.str();
}

std::string prune_page(const PruneResult& result) {
  HtmlPage page("What the model can do without");
  page.figure(search(result), "Steps of the search, and masks on texts that it has not seen.");
  page.table(comparison_table(result), "The mask beside others of its size");
  if (!result.search.steps.empty()) page.table(steps_table(result), "Steps of the search");
  return page.str();
}

}  // namespace fathom::python
