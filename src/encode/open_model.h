// SPDX-License-Identifier: Apache-2.0
// A model with its tokenizer and a workspace: the first step of every use of a model.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "encode/vocabulary.h"
#include "model/model.h"

namespace fathom {

struct OpenOptions {
  std::filesystem::path model;  // a folder of Hugging Face, a weight file or index.json
  std::string backend = {};     // "cpu" or "reference"; "": $FATHOM_BACKEND, else cpu
  std::optional<std::filesystem::path> vocab = {};  // nullopt: see find_vocabulary()
  ModelOptions options = {};                        // n_thread: the workspace's as well
};

// The model and the vocabulary may be shared by threads; of a workspace each needs its own.
struct OpenModel {
  // Throws as Model::open() and find_vocabulary(). `note` gets model.info().messages: what became
  // of what was asked for (a dtype that was replaced, the cache).
  explicit OpenModel(const OpenOptions& options,
                     const std::function<void(const std::string&)>& note = {});

  double seconds = 0;  // that opening the model took
  Model model;
  Workspace work;
  Vocabulary vocabulary;

  const Tokenizer& tokenizer() const { return require_tokenizer(vocabulary); }  // throws Error
};

}  // namespace fathom
