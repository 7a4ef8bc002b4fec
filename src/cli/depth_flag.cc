// SPDX-License-Identifier: Apache-2.0
#include "cli/depth_flag.h"

#include "base/error.h"
#include "report/option_names.h"

namespace fathom::cli {

void DepthFlag::add_to(CLI::App& command) {
  command_ = &command;
  command
      .add_option("--depth", depth_,
                  "how deep each text goes: full (the --layers), fixed:L, or a policy FILE "
                  "(fathom policy show FILE); mask:FILE, exit:FILE, route:FILE insist on a kind")
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
  for_each_fitted_field(fitted, [&](std::string_view field, auto member, const auto& name) {
    const std::string flag = flag_of(field);
    if (command_->count(flag) > 0 && options.*member != fitted.*member)
      throw UsageError(concat(flag, " ", name(options.*member), ": --depth ", depth_,
                              " was fitted with ", name(fitted.*member)));
  });
  options.pool_as(fitted);
  return choice;
}

}  // namespace fathom::cli
