// SPDX-License-Identifier: Apache-2.0
// fathom policy: what a policy file does, in words.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "base/error.h"
#include "cli/commands.h"
#include "depth/policy_file.h"
#include "report/table.h"

namespace fathom::cli {
namespace {

struct PolicyFlags {
  std::string file;
  bool json = false;
};

void line(std::string_view label, const std::string& value) {
  fmt::print("{:<10} {}\n", label, value);
}

std::string kept(const BlockMask& mask) {
  return fmt::format("{} of {} half-blocks", mask.n_kept(), 2 * mask.n_layer());
}

std::string meaning_of(const ExitRule& r) {
  const MeasureTraits& m = traits_of(r.measure);
  std::string text(r.n_class == 1 && !m.meaning_of_values.empty() ? m.meaning_of_values
                                                                  : m.meaning);
  if (r.pair) text += m.meaning_of_pairs;
  if (m.needs_prototypes) text += fmt::format(" (alpha {})", r.alpha);
  return text;
}

std::string stop_rule(const ExitRule& r) {
  const MeasureTraits& m = traits_of(r.measure);
  if (!r.has_threshold())
    return fmt::format("at the first exit that agrees with the one before, {} times in a row",
                       r.streak);
  return fmt::format(
      "at the first exit where it is {} the threshold{}",
      m.compare == Compare::kAtLeast ? "at least" : "below",
      m.in_a_row && r.streak > 1 ? fmt::format(", {} exits in a row", r.streak) : "");
}

void show(const BlockMask& mask, const ModelFingerprint&) {
  line("does", "runs " + kept(mask) + ", the same for every text");
  line("stops", fmt::format("after layer {}", mask.depth()));
  Table table({{.name = "block"}, {.name = "time mix"}, {.name = "channel mix"}});
  for (size_t l = 0; l < mask.n_layer(); ++l)
    table.add({Cell(l + 1), mask.time_mix[l] ? "runs" : "-", mask.channel_mix[l] ? "runs" : "-"});
  std::cout << to_text(table);
}

void show(const ExitRule& r, const ModelFingerprint& model) {
  line("decides", r.pair ? "for every pair of texts; both stop together" : "for every text");
  line("measure", concat(name_of(r.measure), ": ", meaning_of(r)));
  line("stops", concat(stop_rule(r), ", else after layer ", model.n_layer));
  if (r.n_class > 0)
    line("heads", r.n_class == 1
                      ? concat("regression on ", name_of(r.features))
                      : concat(r.n_class, " classes on ", name_of(r.features), " vectors"));
  const bool maps = std::ranges::any_of(r.maps, [](const auto& m) { return !m.empty(); });
  const bool post =
      std::ranges::any_of(r.post, [](const Postprocess& p) { return !p.is_identity(); });
  line("returns", concat(post ? "the post-processed vector" : "the pooled vector",
                         maps ? concat(", mapped to the space of layer ", model.n_layer)
                              : std::string(" of the layer where it stopped"),
                         ": ", r.post.back().out_dim(model.d_model), " numbers"));
  Table table({{.name = "exit", .title = "layer"},
               {.name = "threshold"},
               {.name = "head"},
               {.name = "post-processing"},
               {.name = "map"}});
  const auto yes = [](bool is) { return is ? "yes" : "-"; };
  for (const ExitPoint& e : r.exits)
    table.add({Cell(e.layer), e.layer == model.n_layer ? Cell("always") : Cell(e.threshold),
               yes(r.n_class > 0), yes(!r.post[e.layer].is_identity()),
               yes(!r.maps[e.layer].empty())});
  std::cout << to_text(table);
}

void show(const RouteRule& r, const ModelFingerprint&) {
  line("decides", fmt::format("for every text, at layer {}", r.layer));
  line("router", r.router == Router::kCentroid
                     ? "the mask of the nearest centroid"
                     : "the mask with the smallest loss predicted by ridge regression");
  line("reads", concat("the pooled vector", r.post.is_identity() ? "" : ", post-processed",
                       r.normalize ? ", scaled to length 1" : ""));
  Table table({{.name = "mask"},
               {.name = "kept", .title = "halves kept"},
               {.name = "blocks", .title = "blocks (T time mix, C channel mix)"}});
  for (size_t m = 0; m < r.n_mask(); ++m)
    table.add({Cell(m), kept(r.masks[m]), pattern_of(r.masks[m])});
  std::cout << to_text(table, 100 + 3 * r.masks[0].n_layer());
}

void run(const PolicyFlags& flags) {
  const PolicyFile file = read_policy_file(flags.file);
  if (flags.json) {
    std::cout << dump_json(to_json(file), 2) << '\n';
    return;
  }
  line("policy", concat(file.kind(), ", for RWKV-", file.model.version, " of ", file.model.n_layer,
                        " layers of ", file.model.d_model, " (weights ", file.model.weights, ")"));
  const Reading& reading = file.reading;
  line(
      "vectors",
      concat(name_of(reading.pooling), " pooling",
             reading.pooling == Pooling::kEos ? concat(" (eos ", token_name(reading.eos), ")") : "",
             ", norm ", name_of(reading.norm), ", bos ", token_name(reading.bos), ", scan ",
             name_of(reading.scan)));
  std::visit([&](const auto& rule) { show(rule, file.model); }, file.rule);
  for (const auto& [key, value] : file.fitted.items())
    line("fitted",
         concat(key, ": ", value.is_string() ? value.get<std::string>() : dump_json(value)));
}

}  // namespace

void add_policy(CLI::App& app) {
  auto flags = std::make_shared<PolicyFlags>();
  CLI::App* command = app.add_subcommand("policy", "what a policy file of --depth does");
  command->require_subcommand(1);
  CLI::App* show = command->add_subcommand("show", "explain a file in words and a table");
  show->add_option("file", flags->file, "a policy file")->required()->type_name("FILE");
  show->add_flag("--json", flags->json, "machine-readable");
  show->footer(
      "Examples:\n"
      "  fathom policy show mrpc-exit.safetensors\n"
      "  fathom policy show pruned.json --json");
  show->callback([flags] { run(*flags); });
  command->footer("Example:\n  fathom policy show mrpc-exit.safetensors");
}

}  // namespace fathom::cli
