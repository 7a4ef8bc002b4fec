// SPDX-License-Identifier: Apache-2.0
// A small random EmbeddingRWKV (docs/layouts.md): backbone with task heads, and its reranker.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "formats/build_files.h"
#include "formats/temp_folder.h"
#include "model/synthetic_layouts.h"
#include "model/synthetic_model.h"

namespace fathom::test {

inline constexpr uint32_t kEos = 65535;

// RWKV-7 with the vocabulary that has an EOS; small otherwise. No output head, as released.
inline SyntheticModel embedding_rwkv(size_t n_layer = 3, DeepEmbed deep_embed = {}) {
  Shape s;
  s.version = Version::kV7;
  s.n_vocab = 65536;
  s.n_layer = n_layer;
  s.d_model = 16;
  s.d_ffn = 33;
  s.head_size = 8;
  s.deep_embed = deep_embed;
  SyntheticModel m = make_model(s);
  m.remove("head.weight");
  return m;
}

inline Array random_array(std::string name, std::vector<size_t> shape, double bound,
                          uint64_t seed) {
  Random random(seed);
  Array a{std::move(name), std::move(shape), {}};
  size_t n = 1;
  for (size_t d : a.shape) n *= d;
  for (size_t i = 0; i < n; ++i)
    a.values.push_back(
        static_cast<float>(bound * (static_cast<double>(random.next() >> 11) * 0x1p-52 - 1)));
  return a;
}

// head.{cls,sts,retr}_head.*
inline Arrays task_head_arrays(size_t c) {
  Arrays heads;
  uint64_t seed = 500;
  const double bound = std::sqrt(3.0 / static_cast<double>(c));
  for (const char* name : {"cls", "sts", "retr"}) {
    const std::string prefix = concat("head.", name, "_head.");
    heads.push_back(random_array(prefix + "fc1.weight", {c, c}, bound, ++seed));
    heads.push_back(random_array(prefix + "fc2.weight", {c, c}, bound, ++seed));
    heads.push_back(random_array(prefix + "norm.weight", {c}, 1.5, ++seed));
    heads.push_back(random_array(prefix + "norm.bias", {c}, 0.5, ++seed));
  }
  return heads;
}

// The backbone under rwkv. and the heads, as the released files have them.
inline Arrays embedding_rwkv_arrays(const SyntheticModel& m) {
  Arrays all = task_head_arrays(m.shape.d_model);
  for (const Array& a : m.arrays) all.push_back(renamed(a, "rwkv." + a.name));
  return all;
}

// The blocks of a reranker, in BlinkDL's names.
inline SyntheticModel reranker_blocks(const Shape& backbone, size_t n_layer) {
  Shape s = backbone;
  s.n_vocab = 1;
  s.n_layer = n_layer;
  s.d_ffn = 41;
  s.seed = 77;
  SyntheticModel m = make_model(s);
  m.remove("head.weight");
  return m;
}

// A reranker's file: everything under reranker., with the MLP; the learned token as emb.weight or,
// as in the released files, token.weight.
inline Arrays reranker_arrays(const SyntheticModel& blocks, bool token_weight = false) {
  const size_t c = blocks.shape.d_model;
  const double bound = std::sqrt(3.0 / static_cast<double>(c));
  Arrays all = {random_array("reranker.head.0.weight", {c, c}, bound, 601),
                random_array("reranker.head.0.bias", {c}, 0.5, 602),
                random_array("reranker.head.2.weight", {1, c}, 2 * bound, 603)};
  for (const Array& a : blocks.arrays) {
    const bool token = token_weight && a.name == "emb.weight";
    all.push_back(renamed(a, "reranker." + (token ? "token.weight" : a.name)));
  }
  return all;
}

// A list of integers, as opcodes.
inline std::string pickle_list(const std::vector<int64_t>& values) {
  std::string out = "](";
  for (int64_t v : values) out += pickle::integer(v);
  return out + "e";
}

// A World vocabulary file: the 256 bytes as ids 1 to 256, then `more`, which are plain text.
inline std::string world_vocabulary(const std::vector<std::string>& more = {}) {
  std::string file;
  for (int byte = 0; byte < 256; ++byte) {
    char line[40];
    std::snprintf(line, sizeof line, "%d b'\\x%02x' 1\n", byte + 1, byte);
    file += line;
  }
  for (size_t i = 0; i < more.size(); ++i)
    file += concat(257 + i, " '", more[i], "' ", more[i].size(), "\n");
  return file;
}

}  // namespace fathom::test
