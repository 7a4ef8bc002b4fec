// SPDX-License-Identifier: Apache-2.0
// Reading: how a text becomes vectors. One struct for whoever encodes texts, stores what was fitted
// to their vectors or describes how they were made.
#pragma once

#include <fathom/options.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fathom {

inline constexpr Pooling kPoolings[] = {Pooling::kMean,      Pooling::kLast,     Pooling::kMax,
                                        Pooling::kWeighted,  Pooling::kEos,      Pooling::kState,
                                        Pooling::kStateRows, Pooling::kStateCols};
// Those that pool rows, and of them those that look for no token.
inline constexpr std::span<const Pooling> kRowPoolings(kPoolings, 5), kPlainPoolings(kPoolings, 4);

// "mean", "last", "max", "weighted", "eos", "state", "state-rows", "state-cols"; InvalidOption.
Pooling parse_pooling(std::string_view name);
std::string_view name_of(Pooling pooling);
// "mean, last, max" or, with " or " before the last one, "mean, last or max".
std::string names_of(std::span<const Pooling> poolings, std::string_view last = ", ");
// Whether it pools the state of a block instead of rows.
bool pools_state(Pooling pooling);

Norm parse_norm(std::string_view name);  // "none", "ln_out"; InvalidOption
std::string_view name_of(Norm norm);

Scan parse_scan(std::string_view name);  // "forward", "reverse", "both", "echo"; InvalidOption
std::string_view name_of(Scan scan);

// Which tokens Pooling::kEos takes for the end of a text.
struct EosRule {
  std::optional<uint32_t> id = kEosToken;  // nullopt: the last token, whatever it is
  bool has_bos = false;  // the first token that counts was put in front: no end, whatever its id
};

struct Reading {
  std::vector<size_t> layers = {};  // as layers.h numbers them; none under a depth policy
  Pooling pooling = Pooling::kMean;
  Norm norm = Norm::kNone;
  std::optional<uint32_t> bos = {};  // put in front of every scan; it is pooled like any token
  // For kEos: put behind every scan that does not end in it, and pooled where it stands. nullopt:
  // nothing is put there, and the last token is pooled.
  std::optional<uint32_t> eos = kEosToken;
  Scan scan = Scan::kForward;
  bool normalize = false;                 // L2; a zero vector stays zero
  std::optional<size_t> dimensions = {};  // the first so many numbers of a vector; nullopt: all

  // Takes what a depth policy is fitted to: pooling, norm, bos, eos and scan. Layers, and what
  // becomes of a vector once it is there, stay.
  void pool_as(const Reading& other);

  bool operator==(const Reading&) const = default;
};

// The fields that a policy fitted to such a reading lets nobody change, which is what pool_as() takes;
// eos only where it is looked at: visit(name, member of Reading, function from its value to text).
template <class Visit>
void for_each_fitted_field(const Reading& fitted, Visit&& visit);

// Tokens that a text of n tokens becomes: BOS, EOS (Pooling::kEos puts one at the end of every scan
// that has none there) and second scans included.
size_t scanned_tokens(size_t n, const Reading& reading);
// The token that the pooling puts at the end of a scan: reading.eos with kEos, else none.
std::optional<uint32_t> appended_eos(const Reading& reading);
// What kEos pools.
EosRule eos_rule(const Reading& reading);
// "0", or "none".
std::string token_name(std::optional<uint32_t> id);

template <class Visit>
void for_each_fitted_field(const Reading& fitted, Visit&& visit) {
  const auto name = [](auto value) { return std::string(name_of(value)); };
  visit("pooling", &Reading::pooling, name);
  visit("norm", &Reading::norm, name);
  visit("scan", &Reading::scan, name);
  visit("bos", &Reading::bos, token_name);
  if (fitted.pooling == Pooling::kEos) visit("eos", &Reading::eos, token_name);
}

}  // namespace fathom
