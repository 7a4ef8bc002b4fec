// SPDX-License-Identifier: Apache-2.0
// A progress bar on stderr, drawn only if that is a terminal; and who listens to long work.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "bulk/embed_job.h"
#include "study/listener.h"

namespace fathom::cli {

class Progress {
 public:
  Progress(std::string label, size_t total);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();  // wipes the line

  // rate: in the place of the time that is left.
  void at(size_t done, const std::string& rate = {});

 private:
  std::string label_;
  size_t total_;
  bool terminal_;
  std::chrono::steady_clock::time_point start_, drawn_;
};

// --progress of long jobs.
class JobProgress {
 public:
  explicit JobProgress(const std::string& kind);  // "bar", "json", "none"; throws UsageError
  // What a job of n texts calls; a bar is wiped when the last copy of it goes.
  std::function<void(const EmbedProgress&)> start(size_t n_text) const;

 private:
  std::string kind_;
};

// A bar for every stage; notes as lines on standard error.
Listener terminal_listener();

}  // namespace fathom::cli
