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

#include "base/error.h"
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

void Progress::at(size_t done, const std::string& rate) {
  using std::chrono::steady_clock, std::chrono::milliseconds, std::chrono::duration;
  const auto now = steady_clock::now();
  if (!terminal_ || total_ == 0 || (now - drawn_ < milliseconds(100) && done < total_)) return;
  drawn_ = now;
  constexpr size_t kWidth = 30;
  const double share = static_cast<double>(done) / static_cast<double>(total_);
  const size_t filled = static_cast<size_t>(share * kWidth);
  const double elapsed = duration<double>(now - start_).count();
  const double left = done ? elapsed / share - elapsed : 0;
  fmt::print(stderr, "\r{} [{:#<{}}{:.<{}}] {}/{} {}\033[K", label_, "", filled, "",
             kWidth - filled, done, total_,
             rate.empty() ? fmt::format("{:.0f} s left", left) : rate);
  std::fflush(stderr);
}

JobProgress::JobProgress(const std::string& kind) : kind_(kind) {
  if (kind != "bar" && kind != "json" && kind != "none")
    throw UsageError(concat("--progress: expected bar, json or none, got '", kind, "'"));
}

std::function<void(const EmbedProgress&)> JobProgress::start(size_t n_text) const {
  if (kind_ == "none") return {};
  if (kind_ == "bar")
    return [bar = std::make_shared<Progress>("embedding", n_text)](const EmbedProgress& p) {
      bar->at(p.n_done, rate_text(p));
    };
  constexpr double kSeconds = 1;  // between two lines
  return [said = -kSeconds](const EmbedProgress& p) mutable {
    if (p.seconds - said < kSeconds && p.n_done < p.n_text) return;
    said = p.seconds;
    fmt::print(stderr, "{}\n", to_json_line(p));
  };
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
