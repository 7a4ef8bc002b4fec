// SPDX-License-Identifier: Apache-2.0
// What is half written when a signal ends the process: temporary files, and folders made for
// outputs. Names stand in a fixed table, so that a signal handler may read it (man 7
// signal-safety).
#pragma once

#include <csignal>
#include <cstddef>
#include <filesystem>
#include <string_view>

namespace fathom {

// Entries of the table, from any thread. A full table, or a path too long for it, is no error: such
// a file stays if a signal comes.
class Temporary {
 public:
  enum class Kind : unsigned char { kFile, kFolder };  // a folder goes only if it is empty

  Temporary() = default;
  Temporary(const std::filesystem::path& path, Kind kind);
  Temporary(Temporary&& other) noexcept;
  Temporary& operator=(Temporary&& other) noexcept;
  ~Temporary() { forget(); }
  void forget();  // it is finished, or gone

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);
  size_t slot_ = kNone;
};

// While one exists, a signal of the list below waits until it is gone: for steps that belong
// together, such as making a file and noting its name. Short steps only.
class SignalHold {
 public:
  SignalHold();
  SignalHold(const SignalHold&) = delete;
  SignalHold& operator=(const SignalHold&) = delete;
  ~SignalHold();

 private:
  ::sigset_t before_;
};

// From now on SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGTERM, SIGXCPU and SIGXFSZ remove what the table
// names, then end the process as they would have done, so its status is the signal's. Those that
// are ignored (nohup) stay ignored.
void remove_temporaries_on_signals();

// What such a signal says on standard error, a line without its end, at most 1,000 bytes; "": nothing.
// By one thread at a time.
void say_on_signal(std::string_view note);

// Removes what the table names. May be called by a signal handler.
void remove_temporaries() noexcept;

}  // namespace fathom
