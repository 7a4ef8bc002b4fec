// SPDX-License-Identifier: Apache-2.0
#include "depth/reading.h"

#include "base/invalid_option.h"
#include "base/list.h"

namespace fathom {

Pooling parse_pooling(std::string_view name) {
  for (Pooling p : kPoolings)
    if (name == name_of(p)) return p;
  throw InvalidOption("pooling", names_of(kPoolings, " or "), concat("'", name, "'"));
}

std::string_view name_of(Pooling pooling) {
  switch (pooling) {
    case Pooling::kMean:
      return "mean";
    case Pooling::kLast:
      return "last";
    case Pooling::kMax:
      return "max";
    case Pooling::kWeighted:
      return "weighted";
    case Pooling::kEos:
      return "eos";
    case Pooling::kState:
      return "state";
    case Pooling::kStateRows:
      return "state-rows";
    case Pooling::kStateCols:
      return "state-cols";
  }
  FATHOM_ASSERT(!"unknown Pooling");
}

std::string names_of(std::span<const Pooling> poolings, std::string_view last) {
  std::vector<std::string_view> names;
  for (Pooling p : poolings) names.push_back(name_of(p));
  return join(names, last);
}

bool pools_state(Pooling pooling) {
  return pooling == Pooling::kState || pooling == Pooling::kStateRows ||
         pooling == Pooling::kStateCols;
}

Norm parse_norm(std::string_view name) {
  for (Norm n : {Norm::kNone, Norm::kLnOut})
    if (name == name_of(n)) return n;
  throw InvalidOption("norm", "none or ln_out", concat("'", name, "'"));
}
std::string_view name_of(Norm norm) { return norm == Norm::kNone ? "none" : "ln_out"; }

Scan parse_scan(std::string_view name) {
  for (Scan s : {Scan::kForward, Scan::kReverse, Scan::kBoth, Scan::kEcho})
    if (name == name_of(s)) return s;
  throw InvalidOption("scan", "forward, reverse, both or echo", concat("'", name, "'"));
}
std::string_view name_of(Scan scan) {
  switch (scan) {
    case Scan::kForward:
      return "forward";
    case Scan::kReverse:
      return "reverse";
    case Scan::kBoth:
      return "both";
    case Scan::kEcho:
      return "echo";
  }
  FATHOM_ASSERT(!"unknown Scan");
}

void Reading::pool_as(const Reading& other) {
  pooling = other.pooling;
  norm = other.norm;
  bos = other.bos;
  eos = other.eos;
  scan = other.scan;
}

std::optional<uint32_t> appended_eos(const Reading& reading) {
  return reading.pooling == Pooling::kEos ? reading.eos : std::nullopt;
}

EosRule eos_rule(const Reading& reading) {
  return {.id = reading.eos, .has_bos = reading.bos.has_value()};
}

size_t scanned_tokens(size_t n, const Reading& reading) {
  const size_t once = n + (reading.bos ? 1 : 0) + (appended_eos(reading) ? 1 : 0);
  return reading.scan == Scan::kBoth || reading.scan == Scan::kEcho ? 2 * once : once;
}

std::string token_name(std::optional<uint32_t> id) { return id ? std::to_string(*id) : "none"; }

}  // namespace fathom
