// SPDX-License-Identifier: Apache-2.0
#include "cli/depth_flag.h"

#include "base/error.h"

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

}  // namespace fathom::cli
