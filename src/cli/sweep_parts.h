// SPDX-License-Identifier: Apache-2.0
// The results of a sweep that are there already: one JSON file for each task and policy, and one for
// its times. A file appears whole or not at all, so a sweep that was killed at any moment goes on
// behind the last of them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/output_set.h"
#include "cli/sweep_clock.h"
#include "study/sweep_check.h"
#include "study/sweep_score.h"

namespace fathom::cli {

class SweepParts {
 public:
  // Made if missing; removed again if nothing was kept in it. Throws Error.
  explicit SweepParts(std::filesystem::path folder);

  // name: "mrpc-exit:entropy"; key: all that the result depends on. A file with another key, or one
  // that is damaged, is no result.
  std::optional<OrderedJson> find(const std::string& name, const OrderedJson& key) const;
  void keep(const std::string& name, const OrderedJson& key, const OrderedJson& result) const;

 private:
  std::filesystem::path path_of(const std::string& name, const OrderedJson& key) const;

  std::filesystem::path folder_;
  MadeFolder made_;
};

// A result as it is kept: points, score, speed-ups, and what only some methods have.
OrderedJson to_json(const Method& method, const MethodScore& score, const Task& task);
OrderedJson to_json(const GuaranteeCheck& check, const GuaranteeOptions& options);
OrderedJson to_json(const PointTime& time);

}  // namespace fathom::cli
