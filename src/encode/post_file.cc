// SPDX-License-Identifier: Apache-2.0
#include "encode/post_file.h"

#include "base/error.h"
#include "depth/layers.h"
#include "formats/checkpoint.h"

namespace fathom {

std::vector<Postprocess> read_post(const std::filesystem::path& path,
                                   std::span<const size_t> layers, const Config& config) {
  const Checkpoint file = Checkpoint::open(path);
  FATHOM_REQUIRE(file.attributes().contains("fathom_heads"), path.string(),
                 ": not a file of fathom fit --heads");
  std::vector<Postprocess> posts;
  for (size_t layer : layers) {
    const std::string prefix = concat("layer.", layer_name(layer, config.n_layer), ".post.");
    std::vector<NamedArray> arrays;
    for (const Tensor& t : file.tensors()) {
      if (!t.name.starts_with(prefix)) continue;
      arrays.push_back({t.name, t.shape, std::vector<float>(t.n_element())});
      read_f32(t, 0, t.n_element(), arrays.back().values);
    }
    FATHOM_REQUIRE(!arrays.empty(), path.string(), ": has no post-processing of layer ",
                   layer_name(layer, config.n_layer));
    try {
      posts.push_back(load_postprocess(arrays, prefix, config.d_model));
    } catch (const Error& e) {
      throw Error(concat(path.string(), ": ", e.what()));
    }
  }
  return posts;
}

}  // namespace fathom
