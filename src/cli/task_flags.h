// SPDX-License-Identifier: Apache-2.0
// Flags of commands that work on a task: its data, where its vectors are kept, baselines, cuts.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>

#include "baseline/baseline.h"
#include "cli/flags.h"
#include "eval/own_task.h"
#include "study/prepared_task.h"

namespace fathom::cli {

struct BaselineFlags {
  std::vector<std::string> compare_to;
  std::string glove, bag;
  bool keep_case = false, split_punctuation = false;

  void add_to(CLI::App& command);
  bool any() const { return !glove.empty() || !bag.empty() || !compare_to.empty(); }
  std::vector<BaselineSpec> specs() const;
};

// A user's own task: --task-file with the columns that matter.
struct OwnTaskFlags {
  OwnTaskSpec spec;
  std::string save;

  void add_to(CLI::App& command);
  bool is_given() const { return !spec.file.empty(); }
  // Makes the task; its name, or nullopt without --task-file. Throws UsageError, Error.
  std::optional<std::string> make(const CLI::App& command) const;
  // The same, and puts its name in place of `tasks`, or behind it where that was given on the
  // command line (by `flag`).
  void apply_to(const CLI::App& command, const std::string& flag, std::string& tasks) const;

 private:
  void save_task() const;
};

struct FeatureFlags {
  ModelFlags model;
  EncodeFlags encode;
  std::string data, folder, dtype = "f32";

  void add_to(CLI::App& command);
  void check() const;  // what needs no model; throws UsageError
  // beside: the folder of cached vectors where none is named. Throws UsageError.
  FeatureOptions options(const Config& config, const std::filesystem::path& beside) const;
};

struct TaskFlags {
  FeatureFlags features;
  std::string post = "none", calibrate_on;
  size_t max_train = 0, calibration = 2;
  uint64_t seed = 1;

  void add_to(CLI::App& command);
  void check() const;  // what needs no model; throws UsageError
  TaskOptions options() const;
};

}  // namespace fathom::cli
