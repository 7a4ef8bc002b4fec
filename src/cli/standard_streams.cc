// SPDX-License-Identifier: Apache-2.0
#include "cli/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ext/stdio_sync_filebuf.h>
#include <iostream>

namespace fathom::cli {
namespace {

int output_error = 0;  // the first one of standard output
bool pipe_was_ignored = false;

// 0, or the number of the error.
int write_all(int descriptor, const char* text, size_t n) {
  while (n > 0) {
    const ssize_t written = ::write(descriptor, text, n);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return written < 0 ? errno : ENOSPC;
    text += written;
    n -= static_cast<size_t>(written);
  }
  return 0;
}

// For fopencookie(): always content, since fmt throws where a stream fails.
ssize_t write_output(void*, const char* text, size_t n) {
  if (output_error == 0) output_error = write_all(STDOUT_FILENO, text, n);
  return static_cast<ssize_t>(n);
}
ssize_t write_error(void*, const char* text, size_t n) {
  write_all(STDERR_FILENO, text, n);
  return static_cast<ssize_t>(n);
}

std::FILE* stream_to(cookie_write_function_t* write, int mode) {
  cookie_io_functions_t calls{};
  calls.write = write;
  std::FILE* stream = ::fopencookie(nullptr, "w", calls);
  if (stream) std::setvbuf(stream, nullptr, mode, BUFSIZ);
  return stream;
}

}  // namespace

void prepare_standard_streams() {
  for (int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(descriptor, F_GETFD) < 0 && errno == EBADF)
      // The lowest free number is this one. Open the wrong way round: what is read or written here
      // by mistake is an error, as it is on a closed descriptor.
      (void)!::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  struct sigaction old {};
  pipe_was_ignored = ::sigaction(SIGPIPE, nullptr, &old) == 0 && old.sa_handler == SIG_IGN;
  ::signal(SIGPIPE, SIG_IGN);  // a write then fails like any other
  // glibc's stdout and stderr are variables, which everything that prints reads; std::cout and
  // std::cerr have their own way to them.
  if (std::FILE* out = stream_to(write_output, ::isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF)) {
    stdout = out;
    static auto* buffer = new __gnu_cxx::stdio_sync_filebuf<char>(out);  // outlives std::cout
    std::cout.rdbuf(buffer);
  }
  if (std::FILE* error = stream_to(write_error, _IONBF)) {
    stderr = error;
    static auto* buffer = new __gnu_cxx::stdio_sync_filebuf<char>(error);
    std::cerr.rdbuf(buffer);
  }
}

int finish_standard_output(int code) {
  std::cout.flush();
  std::fflush(stdout);
  if (output_error == EPIPE && !pipe_was_ignored) {
    ::signal(SIGPIPE, SIG_DFL);
    ::raise(SIGPIPE);
  }
  if (output_error == 0 || code != 0) return code;
  std::cerr << "fathom: standard output: cannot write: " << std::strerror(output_error) << '\n';
  return 1;
}

}  // namespace fathom::cli
