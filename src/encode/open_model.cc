// SPDX-License-Identifier: Apache-2.0
#include "encode/open_model.h"

#include <chrono>

#include "kernels/backend.h"

namespace fathom {
namespace {

Model open_timed(const OpenOptions& options, double& seconds) {
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
    : model(open_timed(options, seconds)),
      work(threads_of(options.options)),
      vocabulary(find_vocabulary(model.checkpoint(), model.config().n_vocab, options.vocab)) {
  if (!note) return;
  for (const std::string& message : model.info().messages) note(message);
}

}  // namespace fathom
