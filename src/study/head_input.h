// SPDX-License-Identifier: Apache-2.0
// The input of a layer's head (--head-input), and heads that read more than their own layer:
// stronger baselines for fixed depth, and exits with the same heads.
//
//   layer        the vector of its layer
//   first+layer  the vectors of layer 0 and of its layer, concatenated
//   concat       the vectors of layers 0 .. l, concatenated
//   mean         a weighted mean of layers 0 .. l. Each layer is first divided by the root of its
//                mean square, so that no layer dominates by its size. The weights are a softmax,
//                start equal, and descend the tune rows' loss under a head of the equal mean. Then
//                the head is fitted again.
//
// Both sentences of a pair are read in this way. The pair's features are made from the two results.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "study/sweep.h"

namespace fathom {

enum class HeadInput : uint8_t { kLayer, kFirstAndLayer, kConcat, kMean };
inline constexpr HeadInput kHeadInputs[] = {HeadInput::kLayer, HeadInput::kFirstAndLayer,
                                            HeadInput::kConcat, HeadInput::kMean};
std::string_view name_of(HeadInput input);
// With commas between, each once, "layer" always the first of them. Throws InvalidOption.
std::vector<HeadInput> parse_head_inputs(std::string_view text);

// Which layers a head reads of a sentence.
struct HeadReading {
  std::vector<size_t> layers;       // rising
  std::vector<float> weights = {};  // (layers) of their sum; empty: side by side

  size_t dim(size_t d_model) const { return weights.empty() ? layers.size() * d_model : d_model; }
  // out: (dim) of text `text` of the cache.
  void read(const FeatureCache& cache, size_t text, std::span<float> out) const;
};

struct InputHead {
  HeadReading reading;
  Postprocess post;  // of what was read
  FittedHead fitted;
};

struct HeadFitting {
  PostprocessOptions post = {};
  FitOptions fit = {};
};

// Heads of layers 1 .. L, (n_layer), fitted on the rows for heads; temperatures are of the tune
// rows. Those of kLayer are the task's own fits. Throws as fit_head() does.
std::vector<InputHead> fit_input_heads(const SweepTask& task, HeadInput input,
                                       const HeadFitting& options);
// The same heads fitted on the rows for heads, tune and calibration together: what a fixed depth
// may use, which keeps none for thresholds. Reading and C are those of `heads`; temperatures are of
// fit_head()'s own cut.
std::vector<InputHead> refit_on_all(const SweepTask& task, std::span<const InputHead> heads,
                                    const HeadFitting& options);

// What heads of layers 1 .. L say of some examples.
struct HeadAnswers {
  size_t n_class = 0, n_example = 0;
  std::vector<std::vector<double>> logits;  // (n_layer) of (n_example, n_class); 1: the value

  std::span<const double> at(size_t layer, size_t example) const {  // layer from 1
    return std::span(logits[layer - 1]).subspan(example * n_class, n_class);
  }
  double answer(size_t layer, size_t example) const;  // class or value
};
HeadAnswers answers_of(const SweepTask& task, std::span<const InputHead> heads,
                       const SweepSplit& split, std::span<const size_t> rows);
// At layer l the mean of what the heads of layers 1 .. l say: of probabilities, as logits, or
// values.
HeadAnswers ensemble_of(const HeadAnswers& answers);

}  // namespace fathom
