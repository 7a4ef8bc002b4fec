// SPDX-License-Identifier: Apache-2.0
#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <list>
#include <memory>
#include <utility>

#include "cli/flags.h"

namespace fathom::cli {

Progress::Progress(std::string label, size_t total)
    : label_(std::move(label)),
      total_(total),
      terminal_(::isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      drawn_(start_) {}

Progress::~Progress() {
  if (terminal_) fmt::print(stderr, "\r\033[K");
}

void Progress::at(size_t done) {
  using std::chrono::steady_clock, std::chrono::milliseconds, std::chrono::duration;
  const auto now = steady_clock::now();
  if (!terminal_ || total_ == 0 || (now - drawn_ < milliseconds(100) && done < total_)) return;
  drawn_ = now;
  constexpr size_t kWidth = 30;
  const double share = static_cast<double>(done) / static_cast<double>(total_);
  const size_t filled = static_cast<size_t>(share * kWidth);
  const double elapsed = duration<double>(now - start_).count();
  const double left = done ? elapsed / share - elapsed : 0;
  fmt::print(stderr, "\r{} [{:#<{}}{:.<{}}] {}/{} {:.0f} s left\033[K", label_, "", filled, "",
             kWidth - filled, done, total_, left);
  std::fflush(stderr);
}

Listener terminal_listener() {
  struct Bar {
    Bar(std::string_view of, size_t total) : name(of), progress(name, total) {}
    std::string name;
    Progress progress;
  };
  const auto bars = std::make_shared<std::list<Bar>>();  // of the stages that run, inner ones last
  return {.progress =
              [bars](const StageState& state) {
                const auto bar = std::find_if(bars->rbegin(), bars->rend(),
                                              [&](const Bar& b) { return b.name == state.name; });
                if (bar == bars->rend())
                  bars->emplace_back(state.name, state.total);
                else if (state.over)
                  bars->erase(std::prev(bar.base()));
                else
                  bar->progress.at(state.done);
              },
          .note = tell_user};
}

}  // namespace fathom::cli
