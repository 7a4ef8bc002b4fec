// SPDX-License-Identifier: Apache-2.0
// --depth of `fathom embed` and `fathom eval`.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>

#include "cli/flags.h"
#include "depth/policy_file.h"

namespace fathom::cli {

class DepthFlag {
 public:
  // After EncodeFlags::add_to, whose flags a policy file replaces.
  void add_to(CLI::App& command);
  bool is_full() const { return depth_ == "full"; }
  std::optional<std::filesystem::path> file() const { return depth_file(depth_); }
  // Blocks that may run: those of --layers where it is full. Throws as open() does.
  size_t n_block(const EncodeFlags& encode, const Config& config) const;

  // Changes `options` to what the policy wants: no layers; pooling, norm, BOS and scan as its file
  // was fitted. Throws UsageError for flags on the command line that say otherwise, and as
  // open_depth() does.
  DepthChoice open(const Model& model, EncodeOptions& options) const;

 private:
  std::string depth_ = "full";
  const CLI::App* command_ = nullptr;
};

}  // namespace fathom::cli
