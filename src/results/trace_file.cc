// SPDX-License-Identifier: Apache-2.0
#include "results/trace_file.h"

#include <fmt/format.h>

#include "base/error.h"
#include "encode/nonfinite.h"
#include "encode/task_heads.h"
#include "formats/write_safetensors.h"

namespace fathom {
namespace {

// The recurrent states of all layers, under the names of ../shared/golden/README.md.
struct StateArrays {
  std::vector<float> att_x, ffn_x, wkv, aa, bb, pp;

  StateArrays(State& state, const Config& c) {
    const auto append = [](std::vector<float>& to, std::span<const float> from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    for (size_t i = 0; i < c.n_layer; ++i) {
      append(att_x, state.att_shift(i));
      append(ffn_x, state.ffn_shift(i));
      const std::span<const float> s = state.wkv(i);
      if (c.state_layout() == StateLayout::kAverage) {
        append(aa, s.subspan(0, c.d_att));
        append(bb, s.subspan(c.d_att, c.d_att));
        append(pp, s.subspan(2 * c.d_att, c.d_att));
      } else {
        append(wkv, s);
      }
    }
  }
};

}  // namespace

std::optional<HeadArrays> run_heads(const Model& model, const Trace& t,
                                    std::span<const uint32_t> ids, EosRule eos, Workspace& work) {
  HeadArrays arrays;
  const std::vector<HeadKind> heads = heads_in(model.checkpoint());
  if (heads.empty()) return arrays;
  const auto pooled = mean_at_eos(ids, {t.final.data(), t.n_token, t.d_model}, eos);
  if (!pooled) return std::nullopt;
  for (HeadKind kind : heads) {
    std::vector<float>& e = arrays[concat("embed_", name_of(kind))];
    e.resize(t.d_model);
    TaskHead(model, kind).apply({pooled->data(), 1, t.d_model}, {e.data(), 1, t.d_model}, work);
  }
  return arrays;
}

void write_trace(AtomicFile& file, Trace& t, const HeadArrays& heads, std::span<const uint32_t> ids,
                 const Config& c, const std::map<std::string, std::string>& metadata) {
  const size_t l = t.n_layer + 1, n = t.n_token, d = t.d_model, h = c.n_head(), s = c.head_size;
  StateArrays states(t.state, c);
  const std::vector<int32_t> signed_ids(ids.begin(), ids.end());
  std::vector<TensorToWrite> out;
  const auto add = [&out](const std::string& name, std::vector<size_t> shape,
                          const std::vector<float>& x) {
    if (!x.empty())
      out.push_back(tensor_to_write(name, std::move(shape), std::span<const float>(x)));
  };
  out.push_back(tensor_to_write("ids", {n}, std::span<const int32_t>(signed_ids)));
  add("hidden", {l, n, d}, t.hidden);
  add("final", {n, d}, t.final);
  add("mean", {l, d}, t.mean);
  add("last", {l, d}, t.last);
  add("mean_lnout", {l, d}, t.mean_lnout);
  add("last_lnout", {l, d}, t.last_lnout);
  add("logits_last", {t.n_vocab}, t.logits_last);
  add("logits", {n, t.n_vocab}, t.logits);
  add("state_att_x", {t.n_layer, d}, states.att_x);
  add("state_ffn_x", {t.n_layer, d}, states.ffn_x);
  add("state_wkv", {t.n_layer, h, s, s}, states.wkv);
  add("state_aa", {t.n_layer, c.d_att}, states.aa);
  add("state_bb", {t.n_layer, c.d_att}, states.bb);
  add("state_pp", {t.n_layer, c.d_att}, states.pp);
  for (const auto& [name, values] : heads) add(name, {d}, values);
  write_safetensors(file, out, metadata);
}

std::optional<std::string> nonfinite_note(const Trace& t) {
  const size_t width = t.d_model, rows = t.n_token;
  for (size_t layer = 0; layer <= t.n_layer; ++layer)
    for (size_t i = 0; i < rows; ++i) {
      const auto row = std::span<const float>(t.hidden).subspan((layer * rows + i) * width, width);
      if (all_finite(row)) continue;
      return fmt::format("not finite from token {} of layer {} on: {}", i + 1, layer,
                         blame_nonfinite(layer, ""));
    }
  if (!all_finite(t.final) || !all_finite(t.logits) || !all_finite(t.logits_last))
    return "every block's output is finite, but not ln_out of it or the logits";
  return std::nullopt;
}

}  // namespace fathom
