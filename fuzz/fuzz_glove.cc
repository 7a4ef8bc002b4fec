// SPDX-License-Identifier: Apache-2.0
// Any bytes as a file of word vectors, text or word2vec's .bin, compressed, in an archive: refused
// with Error, or vectors that are finite and a mean that is too, in memory that the file's size
// bounds. Build: see FATHOM_FUZZ in CMakeLists.txt.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "baseline/glove.h"
#include "text/unpack.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const bool is_packed =
      text.starts_with("PK") || fathom::packing_of(text) != fathom::Packing::kNone;
  const fathom::WordSet few = {"a", "the"};
  for (const fathom::WordSet* needed : {static_cast<const fathom::WordSet*>(nullptr), &few}) {
    try {
      const fathom::Glove glove = fathom::Glove::parse(text, "fuzz", needed);
      FATHOM_ASSERT(glove.dim() >= 2);
      FATHOM_ASSERT(is_packed || glove.memory_bytes() <= 32 * size + 4096);
      std::vector<float> mean(glove.dim());
      const fathom::Coverage coverage = glove.embed(text, {}, mean);
      FATHOM_ASSERT(coverage.known <= coverage.words);
      for (float value : mean) FATHOM_ASSERT(std::isfinite(value));
    } catch (const fathom::Error&) {
    }
  }
  return 0;
}
