// SPDX-License-Identifier: Apache-2.0
#include "study/policy_names.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "base/invalid_option.h"
#include "base/list.h"
#include "depth/policy_file.h"

namespace fathom {
namespace {

constexpr std::string_view kBaselines[] = {"embedding", "fixed", "best-fixed", "random", "oracle"};

// "exit:FILE" for a policy file that is named without its kind.
std::optional<std::string> with_kind(std::string_view name) {
  std::error_code ignored;
  const std::filesystem::path path(name);
  if (!std::filesystem::is_regular_file(path, ignored)) return std::nullopt;
  std::string policy = concat(read_policy_file(path).kind(), ":", name);
  // A file may have the name of a measure.
  if (is_measure(policy)) policy.insert(policy.find(':') + 1, "./");
  return policy;
}

}  // namespace

std::optional<Measure> measure_of(std::string_view policy) {
  for (Measure m : kMeasures)
    if (policy == concat("exit:", name_of(m))) return m;
  return std::nullopt;
}

bool is_file(std::string_view policy) {
  return policy.starts_with("mask:") || policy.starts_with("route:") ||
         (policy.starts_with("exit:") && !is_measure(policy));
}

std::string file_of(std::string_view policy) {
  return std::string(policy.substr(policy.find(':') + 1));
}

bool is_baseline(std::string_view policy) {
  return std::ranges::find(kBaselines, policy) != std::end(kBaselines);
}

std::vector<std::string> parse_policies(std::string_view text) {
  std::vector<std::string> all;
  const auto add = [&](std::string_view policy) {
    if (std::ranges::find(all, policy) == all.end()) all.emplace_back(policy);
  };
  for (std::string_view policy : split_list(text)) {
    const bool everything = policy == "all";
    if (everything) std::ranges::for_each(kBaselines, add);
    if (everything || policy == "exit") {
      for (Measure m : kMeasures) add(concat("exit:", name_of(m)));
      continue;
    }
    if (is_baseline(policy) || is_measure(policy) || is_file(policy)) {
      add(policy);
    } else if (const std::optional<std::string> file = with_kind(policy)) {
      add(*file);
    } else {
      throw InvalidOption("policies",
                          concat("all, exit, exit:MEASURE, ", join(kBaselines),
                                 " or a policy file: FILE, or mask:FILE, route:FILE, exit:FILE"),
                          concat("'", policy, "'"));
    }
  }
  if (all.empty()) throw InvalidOption("policies", "at least one");
  return all;
}

}  // namespace fathom
