// SPDX-License-Identifier: Apache-2.0
#include "encode/open_model.h"

#include <algorithm>
#include <chrono>
#include <system_error>

#include "base/error.h"
#include "kernels/backend.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

// Bytes of the weight files that may be opened; 0 where nothing is there.
uintmax_t bytes_of(const fs::path& model) {
  constexpr std::string_view kWeights[] = {".safetensors", ".pth", ".pt", ".bin", ".gguf"};
  std::error_code error;
  if (fs::is_regular_file(model, error)) return fs::file_size(model, error);
  uintmax_t bytes = 0;
  for (fs::directory_iterator it(model, error), end; !error && it != end; it.increment(error))
    if (std::ranges::find(kWeights, it->path().extension().string()) != std::end(kWeights))
      bytes += it->file_size(error);
  return bytes;
}

// What takes a while is said before it.
void tell_opening(const fs::path& model, const std::function<void(const std::string&)>& note) {
  constexpr uintmax_t kLarge = 1'000'000'000;
  const uintmax_t bytes = note ? bytes_of(model) : 0;
  if (bytes < kLarge) return;
  note(concat("opening ", model.string(), ", ", bytes / 1'000'000'000, ".",
              bytes / 100'000'000 % 10, " GB of weights"));
}

Model open_timed(const OpenOptions& options, double& seconds,
                 const std::function<void(const std::string&)>& note) {
  tell_opening(options.model, note);
  const auto start = std::chrono::steady_clock::now();
  Model model = Model::open(options.model, backend(options.backend), options.options);
  seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return model;
}

size_t threads_of(const ModelOptions& options) {
  return options.n_thread ? options.n_thread : available_threads();
}

}  // namespace

OpenModel::OpenModel(const OpenOptions& options,
                     const std::function<void(const std::string&)>& note)
    : model(open_timed(options, seconds, note)),
      work(threads_of(options.options)),
      vocabulary(find_vocabulary(model.checkpoint(), model.config().n_vocab, options.vocab)) {
  if (!note) return;
  for (const std::string& message : model.info().messages) note(message);
}

}  // namespace fathom
