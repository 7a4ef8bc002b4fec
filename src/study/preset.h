// SPDX-License-Identifier: Apache-2.0
// A paper's experiment in one call: arXiv 2502.14620 (Pan, "Exploring RWKV for Sentence
// Embeddings"). It compares layers 1, 3, 5, 7, 9 and 11 of RWKV-6 1.6B with GloVe on MRPC: 1,000
// pairs of the train split and the validation split, mean pooling, cosine, Spearman.
//
// The paper does not define its layer numbers, so both readings are computed. In ours, layer i is
// the residual stream after i blocks. In the other, it is hidden_states[i] of Hugging Face, which
// for RWKV-4 to 6 is one block deeper (depth/layers.h).
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "study/evaluate.h"

namespace fathom {

// What the paper printed, as far as it could be read: its abstract, and summaries by others that
// quote these figures. Seconds are of an item of the train sample, on a T4; bytes are of GPU
// memory, with the model still resident while GloVe was measured, as far as can be told.
struct PublishedFigures {
  std::optional<double> spearman = {}, seconds = {}, peak_bytes = {};
};

struct Preset {
  std::string name, paper;
  size_t n_train = 0;
  std::vector<size_t> layers;  // by the paper's numbers
  PublishedFigures glove, first_layer, last_layer;
};
// Throws InvalidOption("preset") for another name.
const Preset& find_preset(const std::string& name);

// The layer of a paper's number in either counting; nullopt: the model has none.
struct PresetLayers {
  size_t number = 0;  // the paper's
  std::optional<size_t> ours, hugging_face;
};
std::vector<PresetLayers> preset_layers(const Preset& preset, size_t n_layer, Version version);
// Every layer of those once, rising, and final.
std::vector<size_t> layers_to_run(const Preset& preset, size_t n_layer, Version version);

// Sets what the preset lays down: split, sample and that thresholds come from it. Throws
// InvalidOption where the baselines have no word vectors.
EvalOptions preset_options(const Preset& preset, EvalOptions options);

struct PresetResult {
  Preset preset;
  uint64_t seed = 1;  // of the train sample
  EvalResult validation, train;
  std::vector<PresetLayers> layers;
  std::vector<std::string> left_out;  // sentences: layers that the model does not have
};
// Baselines, then the model as `open` opens it and `encode` reads texts, layers left aside.
// options: those of preset_options(). Throws as evaluate() and what goes before it.
PresetResult run_preset(const Preset& preset, const EvalOptions& options,
                        const std::function<OpenModel()>& open,
                        const std::function<EncodeOptions(const Config&)>& encode,
                        const Listener& listener);

}  // namespace fathom
