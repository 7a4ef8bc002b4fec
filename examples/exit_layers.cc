// SPDX-License-Identifier: Apache-2.0
// At which layer each text leaves the model under a depth policy, how sure the policy was, and what
// it takes the text for. A policy is "fixed:3", or "exit:FILE" with a file of `fathom fit`.
//
//   exit_layers MODEL POLICY TEXT...
#include <fathom/embedder.h>

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: exit_layers MODEL POLICY TEXT...\n");
    return 2;
  }
  try {
    const auto embedder = fathom::Embedder::open(argv[1]);
    const std::vector<std::string> texts(argv + 3, argv + argc);
    const fathom::EmbedOptions options{.depth = embedder.policy(argv[2])};
    if (options.depth.is_full())
      throw fathom::UsageError("POLICY: expected one that chooses the depth, got full");

    std::printf("layer  sublayers  class  confidence  text\n");
    // Block by block: a million texts would need no more memory than these.
    embedder.embed(texts, options, [&](const fathom::EmbeddingBlock& block) {
      for (size_t i = block.begin; i < block.end; ++i) {
        const fathom::TextDepth& d = block.depth[i - block.begin];
        const std::string klass = d.predicted_class < 0 ? "-" : std::to_string(d.predicted_class);
        const std::string sure = std::isnan(d.confidence) ? "-" : std::to_string(d.confidence);
        std::printf("%5u  %9u  %5s  %10s  %s\n", d.exit_layer, d.n_time_mix + d.n_channel_mix,
                    klass.c_str(), sure.c_str(), texts[i].c_str());
      }
    });
  } catch (const fathom::Error& e) {
    std::fprintf(stderr, "exit_layers: %s\n", e.what());
    return 1;
  }
}
