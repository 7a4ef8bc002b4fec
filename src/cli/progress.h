// SPDX-License-Identifier: Apache-2.0
// A progress bar on stderr, drawn only if that is a terminal; and who listens to long work.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "study/listener.h"

namespace fathom::cli {

class Progress {
 public:
  Progress(std::string label, size_t total);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();  // wipes the line

  void at(size_t done);

 private:
  std::string label_;
  size_t total_;
  bool terminal_;
  std::chrono::steady_clock::time_point start_, drawn_;
};

// A bar for every stage; notes as lines on standard error.
Listener terminal_listener();

}  // namespace fathom::cli
