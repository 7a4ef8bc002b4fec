// SPDX-License-Identifier: Apache-2.0
// The effect of a mask on sentence vectors: the objectives of the searches, and how much every
// sublayer changes (docs/methods.md, "Pruning and routing").
//
// One caller at a time. Models and token ids must outlive the objects made from them.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "depth/mask.h"
#include "encode/encoder.h"
#include "study/search.h"

namespace fathom {

// Texts and how they become vectors.
struct MaskTexts {
  const Model& model;
  EncodeOptions options;                    // `layers` is ignored
  std::span<const std::vector<Token>> ids;  // of pairs: a0, b0, a1, b1, ...
};

// (n_text, dim) pooled at one layer of the whole model, or under a mask. Of the whole model a
// vector that is not finite is an Error that names the text by its number.
std::vector<float> vectors_at(const MaskTexts& texts, size_t layer, Workspace& work);
std::vector<float> vectors_under(const MaskTexts& texts, const BlockMask& mask, Workspace& work);

// Zero-shot Spearman of pairs at layers 0 .. L, from cosines and gold values, (n_pair).
std::vector<double> spearman_by_layer(const MaskTexts& texts, std::span<const double> gold,
                                      Workspace& work);

enum class ObjectiveKind : uint8_t {
  kCosine,  // mean of 1 - cos(vector under the mask, vector at the reference layer)
  kRsa,    // 1 - Spearman of the cosines of all pairs of texts, under the mask and at the reference
  kLabel,  // -Spearman of the cosines of the pairs with their gold values
  kTask,   // the loss of heads on the vectors: mask_task.h, not MaskObjective
};
std::string_view name_of(ObjectiveKind kind);          // "cosine", "rsa", "label", "task"
ObjectiveKind parse_objective(std::string_view name);  // UsageError

// Cosines of all pairs of rows (i < j), row by row. vectors: (n, dim).
std::vector<double> pairwise_cosines(Matrix<const float> vectors, ThreadPool& pool);

class MaskObjective {
 public:
  // reference: a layer, 0 .. L; gold: (n_text / 2), for kLabel. Throws Error: fewer than 3 texts
  // for kRsa; gold values or reference cosines that are all the same.
  MaskObjective(MaskTexts texts, ObjectiveKind kind, size_t reference, std::span<const double> gold,
                Workspace& work);

  double operator()(const BlockMask& mask) const;
  // (n_text) 1 - cos with the reference, under a mask or of vectors that were made in another way,
  // (n_text, dim). Not for kLabel.
  std::vector<double> text_losses(const BlockMask& mask) const;
  std::vector<double> text_losses(std::span<const float> vectors) const;

 private:
  MaskTexts texts_;
  ObjectiveKind kind_;
  std::vector<double> gold_;
  std::vector<float> reference_;           // (n_text, dim); none for kLabel
  std::vector<double> reference_cosines_;  // kRsa
  Workspace& work_;
};

// The residual stream in front of and behind every sublayer, over all texts.
struct SublayerStates {
  size_t n_layer = 0, n_text = 0, dim = 0;
  // 1 - mean cosine, over the rows (tokens), of what goes in and what comes out.
  std::vector<double> sublayer_influence;  // (2 n_layer): time mix, channel mix, time mix, ...
  std::vector<double> block_influence;     // (n_layer): ShortGPT's Block Influence
  std::vector<float> pooled;               // (2 n_layer + 1, n_text, dim), norm as the options say

  std::span<const float> vector(size_t boundary, size_t text) const {
    return std::span(pooled).subspan((boundary * n_text + text) * dim, dim);
  }
  // Of pooled vectors between two boundaries of sublayers: mean of 1 - cos, and mean of arccos(cos)
  // / pi.
  double pooled_influence(size_t from, size_t to) const;
  double angular_distance(size_t from, size_t to) const;
};
// Every text runs through whole. Throws UsageError for a scan that reads a text twice,
// Pooling::kEos and pooled states; Error for no texts and an empty one.
SublayerStates sublayer_states(const MaskTexts& texts, Workspace& work);

}  // namespace fathom
