// SPDX-License-Identifier: Apache-2.0
// The sentences that are nearest to a question, by the cosine of their embeddings.
//
//   nearest MODEL QUESTION SENTENCE...
#include <fathom/embedder.h>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: nearest MODEL QUESTION SENTENCE...\n");
    return 2;
  }
  try {
    const auto embedder = fathom::Embedder::open(argv[1]);
    const std::vector<std::string> texts(argv + 2, argv + argc);
    // One vector of length 1 a text, so that a dot product is a cosine.
    const fathom::Embeddings v =
        embedder.embed(texts, {.layers = {fathom::kFinalLayer}, .normalize = true});

    std::vector<std::pair<float, size_t>> found;
    for (size_t i = 1; i < texts.size(); ++i) {
      const auto question = v.row(0, 0), sentence = v.row(0, i);
      found.emplace_back(
          std::inner_product(question.begin(), question.end(), sentence.begin(), 0.0f), i);
    }
    std::sort(found.rbegin(), found.rend());
    for (const auto& [cosine, i] : found) std::printf("%.4f  %s\n", cosine, texts[i].c_str());
  } catch (const fathom::Error& e) {
    std::fprintf(stderr, "nearest: %s\n", e.what());
    return 1;
  }
}
