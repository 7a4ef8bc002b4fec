// SPDX-License-Identifier: Apache-2.0
// EmbedJob: any number of texts to files of vectors, in bounded memory. It implements `fathom
// embed`.
//
// The inputs are read twice. The first pass finds damaged lines before the work begins and reserves
// room for the vectors. The second pass embeds. With `resume` the output grows in PATH.part beside
// a journal, PATH.journal, and the same job continues after its last complete block. The finished
// files have the same bytes as those of an uninterrupted job.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/output_set.h"
#include "bulk/row_stream.h"
#include "depth/policy_file.h"
#include "encode/describe.h"
#include "encode/encoder.h"
#include "encode/open_model.h"
#include "eval/policy_flops.h"
#include "results/output_numbers.h"

namespace fathom {

struct EmbedJobOptions {
  std::vector<std::string> inputs = {"-"};  // as expand_inputs() takes them
  std::string output, depth_log;            // depth_log: "", or a file for what the policy did
  SentenceFields fields = {};
  Empty empty = Empty::kError;
  Shard shard = {};
  bool allow_nonfinite = false, with_text = false;
  OutputDtype dtype = OutputDtype::kF32;
  std::string calibration = {};  // of int8: texts whose vectors give the ranges; "": the first ones
  bool resume = false;
  double save_seconds = 1;  // between two blocks of the journal
  // Other files that the vectors depend on, a depth policy's or of post-processing: by their
  // content.
  std::vector<std::filesystem::path> option_files = {};
  std::string command = {};  // that is written down as what made the vectors

  // Texts whose vectors give the ranges of int8 where no file is named.
  static constexpr size_t kCalibrationTexts = 1024;
};

struct EmbedProgress {
  size_t n_done = 0, n_text = 0;  // texts, those of before included; of the job
  size_t n_before = 0;            // that were there when this process began
  size_t n_token = 0;             // of this process
  double seconds = 0;             // of this process

  double texts_per_second() const;
  double tokens_per_second() const;
  double seconds_left() const;
};
// On one line: {"done":..., "total":..., "resumed":..., "tokens":..., "seconds":...,
// "texts_per_second":..., "tokens_per_second":..., "seconds_left":...}.
std::string to_json_line(const EmbedProgress& progress);
// "120 texts/s, 2400 tokens/s, 60 s left"
std::string rate_text(const EmbedProgress& progress);

struct EmbedJobResult {
  size_t n_text = 0, n_before = 0;
  bool was_finished = false;  // all was there before, nothing was done
  size_t n_token = 0;
  double seconds = 0;
  std::string nonfinite;            // a note about vectors that are not finite; "": there are none
  std::optional<ExitCounts> exits;  // under a depth policy, of all texts
  PolicyFlops flops;
};

class EmbedJob {
 public:
  using Note = std::function<void(const std::string&)>;

  // Claims the outputs, tries their places and reads the inputs once. Throws UsageError,
  // InvalidOption and Error as OutputSet, expand_inputs() and RowStream do.
  EmbedJob(EmbedJobOptions options, Note note);
  EmbedJob(const EmbedJob&) = delete;
  EmbedJob& operator=(const EmbedJob&) = delete;
  ~EmbedJob();

  size_t n_text() const { return n_text_of(summaries_); }

  // Once. progress: called between packed batches. Throws Error as embed_stream(); a journal of
  // another job. What is done by then is kept with `resume`, else nothing.
  EmbedJobResult run(OpenModel& open, const EncodeOptions& reading, const DepthChoice& depth,
                     const std::function<void(const EmbedProgress&)>& progress = {});

 private:
  EmbedJobOptions options_;
  Note note_;
  OutputSet outputs_;
  std::vector<BulkInput> inputs_;
  RowOptions rows_;
  std::vector<InputSummary> summaries_;
};

}  // namespace fathom
