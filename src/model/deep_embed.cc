// SPDX-License-Identifier: Apache-2.0
// DeepEmbed of v7a: what channel mix multiplies its hidden row by, which depends on the token.
// Formula: docs/rwkv.md, "RWKV-7a"; PyPI's rwkv with RWKV_DE_VERSION=1.
#include "model/block.h"

namespace fathom {

//   S      = table[token] + ln0(embedding[token]) s_emb_xᵀ      (I O), seen as (I, O)
//   factor = ((h s1) S) s2 + s0
//
// The second part of S could be merged into the table when the model is opened. That would take
// n_vocab I O numbers a block, 268 MB in f32 for World's vocabulary, where the matrix takes I O C;
// so it is added to the rows that are looked up.
Matrix<const float> deep_embed(const DeepEmbedWeights& m, const SublayerContext& at,
                               const SourceWeight& table, Matrix<const float> h,
                               Matrix<const float> embedded) {
  using W = Workspace;
  const DeepEmbed& deep = at.config.deep_embed;
  ThreadPool& pool = at.work.pool();
  const auto matrices = at.matrix(W::kY, deep.row());
  look_up(table, at.rows.tokens, matrices, pool);
  if (deep.from_embedding) {
    const Operand left = at.operand(W::kMixed0, m.from_embedding);
    at.backend.convert(pool, embedded, Activation::kNone, left);
    at.backend.matmul(pool, left, *m.from_embedding.packed, {.y = matrices, .accumulate = true});
  }
  const auto down = at.matrix(W::kR, deep.n_in), mixed = at.matrix(W::kV, deep.n_out);
  const Operand left = at.operand(W::kMixed0, m.down);
  at.backend.convert(pool, h, Activation::kNone, left);
  at.product(left, m.down, down);
  at.backend.row_products(pool, down, matrices, mixed);
  const auto factor = at.matrix(W::kA, at.config.d_ffn);
  if (at.config.d_ffn == 0) return factor;
  const Operand right = at.operand(W::kMixed0, m.up);
  at.backend.convert(pool, mixed, Activation::kNone, right);
  at.backend.matmul(pool, right, *m.up.packed, {.y = factor, .bias = m.bias.span()});
  return factor;
}

}  // namespace fathom
