// SPDX-License-Identifier: Apache-2.0
// Measures the peak memory of one system in a separate process. The program is started with a
// hidden command, reads the work from standard input, does it and answers with its peak. So no
// system's figure includes memory of another.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "baseline/baseline.h"
#include "encode/encoder.h"
#include "encode/open_model.h"

namespace fathom {

// The hidden command that runs a job: `fathom measure-memory < job`.
inline constexpr const char* kMemoryCommand = "measure-memory";

// What is done in such a process, as JSON: a model opened as far as one layer (or under a policy,
// by its name) that embeds these texts; a baseline that embeds them. together: 2 for the texts of
// pairs.
OrderedJson model_job(const OpenOptions& open, const Encoder& encoder, size_t layer,
                      std::span<const std::string_view> texts, size_t together);
OrderedJson baseline_job(const BaselineSpec& spec, std::span<const std::string_view> texts);
// Does it. {"peak_rss_bytes": n}, of this process. Throws Error.
OrderedJson run_memory_job(const OrderedJson& job);

struct PeakMemory {
  std::optional<uint64_t> bytes;
  std::string why;  // there are none: what the process said; "" if there are some
};

// Starts processes and remembers what they said, so that a model is measured once for all tasks.
// One thread at a time.
class MemoryMeter {
 public:
  // program: Fathom's own; open: how the model is opened.
  MemoryMeter(std::string program, OpenOptions open)
      : program_(std::move(program)), open_(std::move(open)) {}

  // Of the first texts alone, enough to fill packed batches.
  PeakMemory model(const Encoder& encoder, size_t layer, std::span<const std::string_view> texts,
                   size_t together);
  PeakMemory baseline(const BaselineSpec& spec, std::span<const std::string_view> texts);

 private:
  std::string program_;
  OpenOptions open_;
  std::map<size_t, PeakMemory> layers_;
};

}  // namespace fathom
