// SPDX-License-Identifier: Apache-2.0
#include "encode/nonfinite.h"

#include <bit>
#include <cstdint>

#include "base/error.h"

namespace fathom {
namespace {

// By the bits: all ones in the exponent. No branch, so that the loop becomes vector code.
uint32_t is_nonfinite(float value) {
  return (std::bit_cast<uint32_t>(value) & 0x7f800000u) == 0x7f800000u;
}

}  // namespace

bool all_finite(std::span<const float> values) {
  uint32_t bad = 0;
  for (float v : values) bad |= is_nonfinite(v);
  return bad == 0;
}

size_t n_nonfinite(std::span<const float> values) {
  size_t n = 0;
  for (float v : values) n += is_nonfinite(v);
  return n;
}

std::optional<NonFiniteAt> find_nonfinite(std::span<const float> vectors, size_t n_vector,
                                          size_t n_text) {
  if (all_finite(vectors)) return std::nullopt;
  const size_t dim = vectors.size() / (n_vector * n_text);
  for (size_t text = 0; text < n_text; ++text)
    for (size_t vector = 0; vector < n_vector; ++vector)
      if (const size_t n = n_nonfinite(vectors.subspan((vector * n_text + text) * dim, dim)); n > 0)
        return NonFiniteAt{text, vector, n};
  FATHOM_ASSERT(!"not finite, and nowhere");
}

std::string blame_nonfinite(std::optional<size_t> layer, std::string_view otherwise) {
  if (!layer) return concat("the output of every block is finite: it is ", otherwise);
  if (*layer == 0) return "the token's embedding itself, layer 0, is not";
  return concat("block ", *layer, " is the first whose output is not");
}

std::string explain_nonfinite(const Encoder& encoder, std::span<const std::vector<Token>> texts,
                              const NonFiniteAt& at, Workspace& work) {
  // A policy that decides by pair has to see both.
  const std::span<const std::vector<Token>> again =
      encoder.by_pair() ? texts.subspan(at.text / 2 * 2, 2) : texts.subspan(at.text, 1);
  const std::string of = encoder.policy()
                             ? concat("under `depth` ", encoder.policy()->name())
                             : concat("of layer ", layer_name(encoder.options().layers[at.vector],
                                                              encoder.model().config().n_layer));
  return concat("the vector ", of, " is not finite (", at.n, " of ", encoder.dim(), " numbers); ",
                blame_nonfinite(encoder.first_nonfinite_layer(again, work),
                                "what is made of it (ln_out, pooling, head, post-processing)"));
}

}  // namespace fathom
