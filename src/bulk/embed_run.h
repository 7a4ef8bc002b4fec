// SPDX-License-Identifier: Apache-2.0
// EmbedRun: one run of an EmbedJob, from the rows to the files. Private to it.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bulk/embed_job.h"
#include "bulk/journal.h"
#include "bulk/row_texts.h"
#include "encode/embed_texts.h"
#include "encode/nonfinite_texts.h"
#include "results/embedding_file.h"

namespace fathom {

class EmbedRun {
 public:
  // What the job has; all must outlive the run.
  struct Job {
    const EmbedJobOptions& options;
    std::span<const BulkInput> inputs;
    const RowOptions& rows;
    std::span<const InputSummary> summaries;
    OutputSet& outputs;
    const EmbedJob::Note& note;
    const std::function<void(const EmbedProgress&)>& progress;
  };
  EmbedRun(const Job& job, OpenModel& open, const EncodeOptions& reading, const DepthChoice& depth);
  EmbedRun(const EmbedRun&) = delete;
  EmbedRun& operator=(const EmbedRun&) = delete;
  ~EmbedRun();

  EmbedJobResult run();

  // "e.npy.journal", beside "e.npy", where links are followed.
  static std::filesystem::path journal_of(const std::filesystem::path& output);

 private:
  using Clock = std::chrono::steady_clock;

  OrderedJson made_by() const;
  OrderedJson input_json() const;
  NumberRanges calibrate();
  std::vector<std::filesystem::path> grown_files() const;  // vectors, then what the policy did

  // Where there is a journal: what of it holds.
  void go_on();
  bool is_finished(const std::string& job) const;
  void take_back_names();
  size_t n_good_block() const;
  OrderedJson state() const;
  void restore(const OrderedJson& state);
  void save();

  void open_files(const OrderedJson& made_by, WrittenSoFar vectors, uint64_t log_end);
  void embed();
  void take(const EmbeddedBlock& block);
  void tell(size_t n_done_now);

  Job job_;
  OpenModel& open_;
  const DepthChoice& depth_;
  Encoder encoder_;
  OutputNumbers numbers_;
  RowStream rows_;
  RowTexts texts_;
  NonFiniteTexts nonfinite_;
  std::optional<Journal> journal_;
  std::unique_ptr<EmbeddingFile> file_;
  AtomicFile* log_ = nullptr;  // what the policy did
  uint64_t log_saved_ = 0;     // bytes of it that are in the journal
  EmbedJobResult result_;
  size_t n_done_ = 0, n_saved_ = 0;  // texts in the files; in the journal
  Clock::time_point start_, saved_;
};

}  // namespace fathom
