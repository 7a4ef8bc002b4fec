// SPDX-License-Identifier: Apache-2.0
// Reading: how a text becomes vectors. Encoders use it, policies are fitted to it, and reports
// describe it.
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
// The poolings of rows, and those of them that need no end-of-text token.
inline constexpr std::span<const Pooling> kRowPoolings(kPoolings, 5), kPlainPoolings(kPoolings, 4);

// "mean", "last", "max", "weighted", "eos", "state", "state-rows", "state-cols"; InvalidOption.
Pooling parse_pooling(std::string_view name);
std::string_view name_of(Pooling pooling);
// "mean, last, max" or, with " or " before the last one, "mean, last or max".
std::string names_of(std::span<const Pooling> poolings, std::string_view last = ", ");
// Whether a pooling reads the state of a block instead of rows.
bool pools_state(Pooling pooling);

Norm parse_norm(std::string_view name);  // "none", "ln_out"; InvalidOption
std::string_view name_of(Norm norm);

Scan parse_scan(std::string_view name);  // "forward", "reverse", "both", "echo"; InvalidOption
std::string_view name_of(Scan scan);

// Which tokens Pooling::kEos pools as the end of a text.
struct EosRule {
  std::optional<uint32_t> id = kEosToken;  // nullopt: the last token, of any id
  bool has_bos = false;  // the first token is a BOS, which is never an end, whatever its id
};

struct Reading {
  std::vector<size_t> layers = {};  // as layers.h numbers them; none under a depth policy
  Pooling pooling = Pooling::kMean;
  Norm norm = Norm::kNone;
  std::optional<uint32_t> bos = {};  // put in front of every scan, and pooled like any token
  // For kEos: appended to every scan that does not end in it, and pooled wherever it occurs.
  // nullopt: nothing is appended, and the last token is pooled.
  std::optional<uint32_t> eos = kEosToken;
  Scan scan = Scan::kForward;
  bool normalize = false;                 // L2; a zero vector stays zero
  std::optional<size_t> dimensions = {};  // keep the first numbers of a vector; nullopt: all

  // Copies what a depth policy is fitted to: pooling, norm, bos, eos and scan. Layers, normalize
  // and dimensions stay.
  void pool_as(const Reading& other);

  bool operator==(const Reading&) const = default;
};

// Visits the fields that a fitted policy fixes, those of pool_as(); eos only if the pooling uses
// it: visit(name, member of Reading, function from its value to text).
template <class Visit>
void for_each_fitted_field(const Reading& fitted, Visit&& visit);

// Number of tokens read for a text of n tokens, including BOS, EOS (which Pooling::kEos appends to
// every scan that has none at its end) and second scans.
size_t scanned_tokens(size_t n, const Reading& reading);
// The token that the pooling appends to a scan: reading.eos with kEos, else none.
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
