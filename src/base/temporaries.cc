// SPDX-License-Identifier: Apache-2.0
#include "base/temporaries.h"

#include <sys/poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string>
#include <utility>

namespace fathom {
namespace {

constexpr std::array kSignals = {SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGTERM, SIGXCPU, SIGXFSZ};

struct Slot {
  std::atomic<bool> taken{false};  // by a Temporary
  std::atomic<bool> named{false};  // the name is whole
  Temporary::Kind kind{};
  std::array<char, PATH_MAX> name{};
};
std::array<Slot, 128> slots;
std::array<char, 1024> said;  // of say_on_signal(), with its line end
std::atomic<size_t> said_size{0};
std::atomic<int> n_hold{0};
std::atomic<bool> stopping{false};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

sigset_t signal_set() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : kSignals) sigaddset(&set, signal);
  return set;
}

extern "C" void on_signal(int signal) {
  stopping = true;
  // A thread may be between making a file and noting its name. It runs on: this handler is on
  // another thread, since the signal is blocked on that one. Not for ever, should the disk hang.
  for (int i = 0; i < 5000 && n_hold > 0; ++i) ::poll(nullptr, 0, 1);
  remove_temporaries();
  // A bar may stand on the terminal's line.
  if (said_size > 0 && ::isatty(STDERR_FILENO) == 1 && ::write(STDERR_FILENO, "\n", 1) < 0) {
  }
  if (said_size > 0 && ::write(STDERR_FILENO, said.data(), said_size) < 0) {
  }
  // SA_RESETHAND has restored the default action, which comes when this function returns.
  ::raise(signal);
}

}  // namespace

Temporary::Temporary(const std::filesystem::path& path, Kind kind) {
  const std::string name = path.string();
  if (name.size() >= PATH_MAX) return;
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].taken.exchange(true)) continue;
    slots[i].kind = kind;
    std::memcpy(slots[i].name.data(), name.c_str(), name.size() + 1);
    slots[i].named = true;
    slot_ = i;
    return;
  }
}

Temporary::Temporary(Temporary&& other) noexcept : slot_(std::exchange(other.slot_, kNone)) {}
Temporary& Temporary::operator=(Temporary&& other) noexcept {
  std::swap(slot_, other.slot_);
  return *this;
}

void Temporary::forget() {
  if (slot_ == kNone) return;
  slots[slot_].named = false;
  slots[slot_].taken = false;
  slot_ = kNone;
}

SignalHold::SignalHold() {
  const sigset_t set = signal_set();
  ::pthread_sigmask(SIG_BLOCK, &set, &before_);
  ++n_hold;
  if (!stopping) return;
  --n_hold;  // the process ends: nothing new is begun
  for (;;) ::poll(nullptr, 0, 1000);
}

SignalHold::~SignalHold() {
  --n_hold;
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void remove_temporaries_on_signals() {
  for (int signal : kSignals) {
    struct sigaction old {};
    if (::sigaction(signal, nullptr, &old) != 0 || old.sa_handler == SIG_IGN) continue;
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    action.sa_mask = signal_set();
    ::sigaction(signal, &action, nullptr);
  }
}

void say_on_signal(std::string_view text) {
  said_size = 0;
  if (text.empty()) return;
  text = text.substr(0, said.size() - 1);
  std::memcpy(said.data(), text.data(), text.size());
  said[text.size()] = '\n';
  said_size = text.size() + 1;
}

void remove_temporaries() noexcept {
  const int error = errno;
  for (const Slot& slot : slots)
    if (slot.named && slot.kind == Temporary::Kind::kFile) ::unlink(slot.name.data());
  // Inner folders were noted after those around them.
  for (size_t i = slots.size(); i-- > 0;)
    if (slots[i].named && slots[i].kind == Temporary::Kind::kFolder) ::rmdir(slots[i].name.data());
  errno = error;
}

}  // namespace fathom
