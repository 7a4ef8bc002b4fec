// SPDX-License-Identifier: Apache-2.0
// The table of names: every spelling of every weight, and the view that makes it canonical. Private
// to model/.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>

namespace fathom {

// How a stored tensor becomes the canonical weight.
enum class View : uint8_t {
  kSame,
  kLora,       // (in, out) in BlinkDL's files: transposed; (out, in) elsewhere: as it is
  kLinear,     // a matrix that is (out, in) whatever the layout: LoRAs kept as linear layers
  kLoraGroup,  // (5, in, out) or (5, out, in): one group, then as kLora
  kSlice,      // one vector of a fused (n, ..., C) tensor
  kFlaRows,    // (5R, C) with the groups in fla's order r,w,k,v,g; canonical is w,k,v,r,g
  kFlaCols,    // (C, 5R): the columns of one group
};

struct Spelling {
  std::string_view name;  // after normalise(), without the block prefix
  View view = View::kSame;
  size_t index = 0;  // group or slice
};

struct NameRow {
  std::string_view canonical;
  std::initializer_list<Spelling> spellings;
};

// Order of fused tensors: BlinkDL and GGUF v6 w,k,v,r,g; fla v6 r,w,k,v,g; every v7 r,w,k,v,a,g.
// A spelling that equals the canonical name need not be listed unless it needs a view.
std::span<const NameRow> model_rows();  // of the whole model: emb, ln0, ln_out, head
std::span<const NameRow> block_rows();  // of one block, without "blocks.N."

// N of "blocks.N.rest", in any layout's word for a block (blocks, layers, blk); else nullopt.
std::optional<size_t> block_number(std::string_view name);

}  // namespace fathom
