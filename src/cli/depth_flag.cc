// SPDX-License-Identifier: Apache-2.0
#include "cli/depth_flag.h"

#include "base/error.h"

namespace fathom::cli {
namespace {

std::string id_name(std::optional<Token> id) { return id ? std::to_string(*id) : "none"; }

}  // namespace

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
  const PolicyFile& file = *choice.file;
  const auto replace = [&](const char* flag, auto& value, const auto& fitted, auto&& name) {
    if (command_->count(flag) > 0 && value != fitted)
      throw UsageError(
          concat(flag, " ", name(value), ": --depth ", depth_, " was fitted with ", name(fitted)));
    value = fitted;
  };
  const auto name = [](auto value) { return name_of(value); };
  replace("--pool", options.pooling, file.pooling, name);
  replace("--norm", options.norm, file.norm, name);
  replace("--scan", options.scan, file.scan, name);
  replace("--bos", options.bos, file.bos, id_name);
  if (file.pooling == Pooling::kEos) replace("--eos", options.eos, file.eos, id_name);
  return choice;
}

}  // namespace fathom::cli
