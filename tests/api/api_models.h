// SPDX-License-Identifier: Apache-2.0
// Small models behind the public interface, and the same done by the program.
#pragma once

#include <fathom/embedder.h>
#include <gtest/gtest.h>

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "cli/models.h"
#include "formats/npy.h"

namespace fathom::test {

inline bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

// The project's own small Finch: 12 layers of 192.
inline std::filesystem::path finch() {
  return std::filesystem::path(kSourceDir) / "models/finch-embed";
}

inline const std::vector<std::string>& sentences() {
  static const std::vector<std::string> all = {
      "A cat sat on the mat.",
      "The dog ran off.",
      "x",
      "Nobody knows why the committee, which had met on Monday, put the decision off again.",
      "Prices rose by 3.4 % in May.",
      "\xff not UTF-8 \xc3",
      "The cat was sitting on a mat.",
      "Two men play guitar."};
  return all;
}

// Vectors as the program writes them; flags behind the input and output.
inline NpyArray embed_by_program(const std::string& model, const std::vector<std::string>& texts,
                                 std::vector<std::string> flags) {
  const TempFolder folder;
  std::string lines;
  for (const std::string& text : texts) lines += text + '\n';
  const std::string in = folder.write("in.txt", lines), out = folder.file("e.npy");
  flags.insert(flags.begin(), {"embed", model, "-i", in, "-o", out});
  run_ok(flags);
  return read_npy(out);
}

}  // namespace fathom::test
