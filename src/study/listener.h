// SPDX-License-Identifier: Apache-2.0
// Progress and notes of long work. The study itself prints nothing; the caller draws a bar, writes
// a log, or ignores them.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fathom {

// A stage, such as "trec heads", begins with done == 0 and is over once, however it ends.
struct StageState {
  std::string_view name;
  size_t done = 0, total = 0;  // total may be an estimate: done may end below or above it
  bool over = false;
};

// Both may be empty. Calls come from any thread, one at a time. What `progress` throws ends the
// work and reaches its caller, but for a call with `over`.
struct Listener {
  std::function<void(const StageState&)> progress = {};
  std::function<void(const std::string&)> note = {};

  void tell(const std::string& text) const {
    if (note) note(text);
  }
  void tell(const std::vector<std::string>& notes) const {
    for (const std::string& text : notes) tell(text);
  }
};

// Tells the listener, which outlives it, of one stage from its making to its end.
class Stage {
 public:
  Stage(const Listener& listener, std::string name, size_t total)
      : listener_(listener), name_(std::move(name)), total_(total) {
    at(0);
  }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  ~Stage() {
    try {
      if (listener_.progress) listener_.progress({name_, done_, total_, true});
    } catch (...) {  // the stage is over already
    }
  }

  void at(size_t done) {
    done_ = done;
    if (listener_.progress) listener_.progress({name_, done, total_, false});
  }

 private:
  const Listener& listener_;
  std::string name_;
  size_t total_, done_ = 0;
};

}  // namespace fathom
