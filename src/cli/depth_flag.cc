// SPDX-License-Identifier: Apache-2.0
#include "cli/depth_flag.h"

#include <cmath>

#include "base/error.h"
#include "report/table.h"

namespace fathom::cli {

void DepthFlag::add_to(CLI::App& command) {
  command_ = &command;
  command
      .add_option("--depth", depth_,
                  "how deep each text goes: full (the --layers), fixed:L, or a policy file: "
                  "mask:FILE, exit:FILE, route:FILE (fathom policy show FILE)")
      ->capture_default_str();
}

size_t DepthFlag::n_block(const EncodeFlags& encode, const Config& config) const {
  return is_full() ? encode.n_block(config) : deepest_block(depth_, config.n_layer);
}

DepthChoice DepthFlag::open(const Model& model, EncodeOptions& options) const {
  DepthChoice choice = open_depth(depth_, model);
  if (!choice.policy) return choice;
  if (command_->count("--layers") > 0)
    throw UsageError(
        concat("--layers: --depth ", depth_, " chooses the layer itself; expected one of them"));
  options.layers.clear();
  if (!choice.file) return choice;
  const Reading& fitted = choice.file->reading;
  const auto agree = [&](const char* flag, const auto& value, const auto& wanted, auto&& name) {
    if (command_->count(flag) > 0 && value != wanted)
      throw UsageError(
          concat(flag, " ", name(value), ": --depth ", depth_, " was fitted with ", name(wanted)));
  };
  const auto name = [](auto value) { return name_of(value); };
  agree("--pool", options.pooling, fitted.pooling, name);
  agree("--norm", options.norm, fitted.norm, name);
  agree("--scan", options.scan, fitted.scan, name);
  agree("--bos", options.bos, fitted.bos, token_name);
  if (fitted.pooling == Pooling::kEos) agree("--eos", options.eos, fitted.eos, token_name);
  options.pool_as(fitted);
  return choice;
}

OrderedJson describe(const DepthChoice& choice) {
  OrderedJson j;
  j["policy"] = choice.policy ? choice.policy->name() : "full";
  if (choice.policy) j["by_pair"] = choice.policy->by_pair();
  if (choice.file) j["fitted"] = choice.file->fitted;
  return j;
}

OrderedJson summarise(std::span<const DepthTrace> trace, size_t n_layer) {
  std::vector<size_t> n_exit(n_layer + 1, 0);
  double layers = 0, halves = 0;
  for (const DepthTrace& t : trace) {
    ++n_exit.at(t.exit_layer);
    layers += t.exit_layer;
    halves += t.n_half();
  }
  const double n = static_cast<double>(std::max<size_t>(trace.size(), 1));
  OrderedJson exits = OrderedJson::object();
  for (size_t l = 0; l <= n_layer; ++l)
    if (n_exit[l] > 0) exits[std::to_string(l)] = n_exit[l];
  return {{"n_text", trace.size()},
          {"mean_exit_layer", layers / n},
          {"texts_by_exit_layer", exits},
          {"share_of_halves", halves / n / (2 * static_cast<double>(n_layer))}};
}

std::string trace_csv(std::span<const size_t> line, std::span<const DepthTrace> trace) {
  FATHOM_ASSERT(line.size() == trace.size());
  Table table({{.name = "line"},
               {.name = "exit_layer"},
               {.name = "time_mix"},
               {.name = "channel_mix"},
               {.name = "route"},
               {.name = "class"},
               {.name = "value"},
               {.name = "confidence"}});
  const auto number = [](float x) { return std::isnan(x) ? Cell(missing) : Cell(double{x}); };
  const auto index = [](int32_t i) { return i < 0 ? Cell(missing) : Cell(i); };
  for (size_t i = 0; i < trace.size(); ++i) {
    const DepthTrace& t = trace[i];
    table.add({Cell(line[i]), Cell(t.exit_layer), Cell(t.n_time_mix), Cell(t.n_channel_mix),
               index(t.route), index(t.predicted_class), number(t.predicted_value),
               number(t.confidence)});
  }
  return to_csv(table);
}

}  // namespace fathom::cli
