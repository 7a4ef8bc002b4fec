// SPDX-License-Identifier: Apache-2.0
// Flags that several subcommands share, listed once.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/shell.h"
#include "encode/encoder.h"
#include "encode/open_model.h"
#include "model/model.h"

namespace fathom::cli {

// Which weights a model has: what is added to its file's, and what is left out.
struct WeightFlags {
  std::string adapter;  // folder or file; "": none
  std::optional<double> adapter_alpha;
  std::vector<std::string> ignore_tensors;

  void add_to(CLI::App& command);
  void apply_to(ModelOptions& options) const;
};

// Which model, and how it computes.
struct ModelFlags {
  std::string model;
  std::string backend;
  std::string dtype = "auto";
  size_t threads = 0;  // 0: all that this process may use
  std::string vocab;
  std::optional<float> ln_x_eps, ln_eps;
  bool small_as_asked = false;  // ModelOptions'
  std::string cache;            // folder of packed weights; "": none
  bool cache_verify = false;
  bool exceed_memory = false;
  WeightFlags weights;

  void add_to(CLI::App& command);
  ModelOptions options() const;  // throws UsageError
  OpenOptions open_options(std::function<size_t(const Config&)> n_block = {}) const;
  size_t n_thread() const;
  std::optional<std::filesystem::path> vocab_path() const;
};

// A line on standard error.
void tell_user(const std::string& note);
void tell(const std::vector<std::string>& notes);  // one each

// Opens it and says what tell_fallbacks() does. n_block: ModelOptions'.
OpenModel open_model(const ModelFlags& flags, std::function<size_t(const Config&)> n_block = {});

// How sequences become vectors.
struct EncodeFlags {
  std::string layers = "final";
  std::string pool = "mean";
  std::string norm = "none";
  std::string bos = "none";
  std::string scan = "forward";
  std::optional<std::string> eos;  // of --pool eos and --head; nullopt: EmbeddingRWKV's
  std::string head;                // "": none; else pooling is eos at layer final
  std::string post;                // file of fathom fit --heads; "": none
  bool normalize = false;
  size_t batch_tokens = 1024;

  void add_to(CLI::App& command);
  // The same for commands that choose layers by themselves. pools: what --pool takes.
  void add_texts_to(CLI::App& command, const std::string& pools);
  // Where the command line names no layer, the reading that the model's folder recommends, if it does
  // not contradict a flag. Returns what to say of it when all is done; "": nothing.
  std::string recommend(const CLI::App& command, const std::string& model);
  void check() const;                                 // what needs no model; throws UsageError
  EncodeOptions options(const Config& config) const;  // throws UsageError
  size_t n_block(const Config& config) const;         // that --layers asks for; throws UsageError
  std::string pooling() const;  // for reports: "mean", "eos, head retr", "eos 0"
};

// "none" or a token id; UsageError that names the flag.
std::optional<Token> parse_bos(const std::string& text);
std::optional<Token> parse_eos(const std::string& text);
// "f32", "bf16", "int8"; nullopt for "auto": see model/compute_choice.h.
std::optional<Compute> parse_compute(const std::string& text);

}  // namespace fathom::cli
