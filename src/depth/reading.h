// SPDX-License-Identifier: Apache-2.0
// Reading: how a text becomes vectors. One struct for whoever encodes texts, stores what was fitted
// to their vectors or describes how they were made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fathom {

// How the rows of a sequence at one layer, or its state there, become one vector.
enum class Pooling : uint8_t {
  kMean,      // average over the tokens
  kLast,      // the last token
  kMax,       // largest value per channel
  kWeighted,  // average with weights 1, 2, 3, ... by position (SGPT, arXiv 2202.08904)
  kEos,       // average over the tokens that end a text: see EosRule
  kState,     // the WKV state after the last token: see encode/state_pooling.h for all three
  kStateRows,
  kStateCols,
};
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

// What is pooled: the residual stream as it is, or ln_out applied to each of its rows.
enum class Norm : uint8_t { kNone, kLnOut };
Norm parse_norm(std::string_view name);  // "none", "ln_out"; InvalidOption
std::string_view name_of(Norm norm);

// How the unchanged model reads a sequence (docs/methods.md, "Sentence vectors").
enum class Scan : uint8_t {
  kForward,
  kReverse,  // the tokens in reverse order
  kBoth,     // the average of the pooled vectors of forward and reverse; twice the cost
  kEcho,     // the sequence twice on one carried state; only the second reading is pooled
};
Scan parse_scan(std::string_view name);  // "forward", "reverse", "both", "echo"; InvalidOption
std::string_view name_of(Scan scan);

// The end of a text for EmbeddingRWKV. World vocabularies have no text for it.
inline constexpr uint32_t kEosToken = 65535;

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

// Tokens that a text of n tokens becomes: BOS, EOS (Pooling::kEos puts one at the end of every scan
// that has none there) and second scans included.
size_t scanned_tokens(size_t n, const Reading& reading);
// The token that the pooling puts at the end of a scan: reading.eos with kEos, else none.
std::optional<uint32_t> appended_eos(const Reading& reading);
// What kEos pools.
EosRule eos_rule(const Reading& reading);
// "0", or "none".
std::string token_name(std::optional<uint32_t> id);

}  // namespace fathom
