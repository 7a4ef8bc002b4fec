// SPDX-License-Identifier: Apache-2.0
// Post-processing in the encoder: the pooled vectors of each layer with that layer's own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "encode/encode_texts.h"
#include "probe/postprocess.h"

namespace fathom::test::post_test {
namespace {

TEST(EncoderPost, AppliesEachLayersOwnToItsVectors) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  const Texts texts = some_texts();
  Workspace work(1);
  EncodeOptions options;
  options.layers = {1, 3};
  const Encoder plain(model, options);
  const size_t n = texts.size(), dim = plain.dim();
  std::vector<float> raw(2 * n * dim);
  plain.encode(texts, raw, work);
  for (size_t l = 0; l < 2; ++l)
    options.post.push_back(
        fit_postprocess(parse_postprocess("whiten:3"), {raw.data() + l * n * dim, n, dim}));
  options.normalize = true;
  for (Scan scan : {Scan::kForward, Scan::kBoth}) {
    options.scan = scan;
    const Encoder encoder(model, options);
    ASSERT_EQ(encoder.dim(), 3u);
    EncodeOptions without = options;
    without.post.clear();
    without.normalize = false;
    Encoder(model, without).encode(texts, raw, work);
    std::vector<float> out(2 * n * 3), expected(3);
    encoder.encode(texts, out, work);
    for (size_t i = 0; i < 2 * n; ++i) {
      options.post[i / n].apply({raw.data() + i * dim, dim}, expected);
      double length = 0;
      for (float x : expected) length += double{x} * x;
      for (size_t j = 0; j < 3; ++j)
        EXPECT_NEAR(out[i * 3 + j], expected[j] / std::sqrt(length), 1e-6);
    }
  }
}

TEST(EncoderPost, RefusesWhatDoesNotFit) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  Postprocess centre;
  centre.mean.assign(40, 1);
  EncodeOptions options;
  options.layers = {1, 3};
  options.post = {centre};
  EXPECT_THROW(Encoder(model, options), Error) << "one for two layers";
  options.post = {centre, centre};
  EXPECT_NO_THROW(Encoder(model, options));
  options.post[1].mean.assign(39, 1);
  EXPECT_THROW(Encoder(model, options), Error) << "of other vectors";
  options.post[1] = centre;
  options.post[1].matrix.assign(2 * 40, 1);
  EXPECT_THROW(Encoder(model, options), Error) << "the layers differ in size";
}

}  // namespace
}  // namespace fathom::test::post_test
