// SPDX-License-Identifier: Apache-2.0
// A table of a model's depths: what two sentences have in common at every layer, as the cosine of
// their mean vectors, and how far each layer is from the one before.
//
//   depths MODEL SENTENCE SENTENCE
#include <fathom/embedder.h>

#include <cmath>
#include <cstdio>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace {

double dot(std::span<const float> a, std::span<const float> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double cosine(std::span<const float> a, std::span<const float> b) {
  return dot(a, b) / std::sqrt(dot(a, a) * dot(b, b));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: depths MODEL SENTENCE SENTENCE\n");
    return 2;
  }
  try {
    const auto embedder = fathom::Embedder::open(argv[1]);
    const fathom::Info& info = embedder.info();
    const std::vector<std::string> texts = {argv[2], argv[3]};
    // All layers come from one pass over the text.
    const fathom::Embeddings v = embedder.embed(texts, {.layers = embedder.layers("all")});

    std::printf("RWKV-%s, %zu layers of %zu\n\nlayer  cosine  to the layer before\n",
                info.version.c_str(), info.n_layer, info.d_model);
    for (size_t l = 0; l < v.n_layer; ++l) {
      const std::string name =
          v.layers[l] == info.final_layer() ? "final" : std::to_string(v.layers[l]);
      std::printf("%5s  %6.4f", name.c_str(), cosine(v.row(l, 0), v.row(l, 1)));
      if (l > 0) std::printf("  %19.4f", cosine(v.row(l, 0), v.row(l - 1, 0)));
      std::printf("\n");
    }
  } catch (const fathom::Error& e) {
    std::fprintf(stderr, "depths: %s\n", e.what());
    return 1;
  }
}
