// SPDX-License-Identifier: Apache-2.0
#include "encode/nonfinite_texts.h"

#include "base/error.h"
#include "encode/nonfinite.h"

namespace fathom {

void NonFiniteTexts::look(const EmbeddedBlock& block, Workspace& work) {
  if (all_finite(block.vectors)) return;
  if (n_ == 0) {
    const auto at = find_nonfinite(block.vectors, block.n_vector, block.size());
    const bool is_held = !block.ids[at->text].empty();  // what a long text is not
    first_ = concat(place_(block.begin + at->text), ": ",
                    is_held ? explain_nonfinite(encoder_, block.ids, *at, work)
                            : concat("vector ", at->vector + 1, " of it is not finite (", at->n,
                                     " of ", block.dim, " numbers)"));
    if (!allowed_) throw Error(first_ + "; `allow_nonfinite` writes it as it is");
  }
  for (size_t i = 0; i < block.size(); ++i) {
    bool is_finite = true;
    for (size_t v = 0; v < block.n_vector; ++v)
      is_finite = is_finite && all_finite(block.row(v, i));
    n_ += !is_finite;
  }
}

std::string NonFiniteTexts::count(size_t n_text) const {
  if (n_ == 0) return "";
  return concat(n_, " of ", n_text, " texts have a vector that is not finite; ", first_);
}

}  // namespace fathom
