// SPDX-License-Identifier: Apache-2.0
// How the unchanged model reads a text: reversed, both ways, twice.
#include <gtest/gtest.h>

#include <numeric>

#include "encode/encode_texts.h"
#include "encode/trace.h"

namespace fathom::test::scan_test {
namespace {

TEST(Scan, ReverseIsTheReversedTokens) {
  for (const SyntheticModel& m :
       {small(Version::kV6), small(Version::kV7, 3, {4, 7, true})}) {  // v7a: tokens by row
    const Model model = open_blinkdl(m, cpu_backend());
    EncodeOptions options = all_layers(3);
    const Encoded expected = encode(model, options, reversed_tokens(some_texts()));
    options.scan = Scan::kReverse;
    const Encoded got = encode(model, options, some_texts());
    EXPECT_TRUE(same_bits(got.values, expected.values));
    EXPECT_EQ(got.stats.n_token, expected.stats.n_token);
  }
}

TEST(Scan, BothIsTheAverageOfForwardAndReverse) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  for (Pooling pooling : kPoolings) {
    EncodeOptions options = all_layers(3);
    options.pooling = pooling;
    const Encoded forward = encode(model, options, some_texts());
    options.scan = Scan::kReverse;
    const Encoded reverse = encode(model, options, some_texts());
    options.scan = Scan::kBoth;
    const Encoded both = encode(model, options, some_texts());
    for (size_t i = 0; i < both.values.size(); ++i)
      ASSERT_EQ(both.values[i], (forward.values[i] + reverse.values[i]) / 2);
    EXPECT_EQ(both.stats.n_token, 2 * forward.stats.n_token);
    EXPECT_EQ(both.stats.n_block_run, 2 * forward.stats.n_block_run);
    options.normalize = true;  // of the average, not of its parts
    const Encoded unit = encode(model, options, some_texts());
    for (size_t t = 0; t < 8; ++t) {
      const auto u = row(unit, 2, t, 8);
      EXPECT_NEAR(cosine(u, row(both, 2, t, 8)), 1, 1e-6);
      EXPECT_NEAR(std::inner_product(u.begin(), u.end(), u.begin(), 0.0), 1, 1e-6);
    }
  }
}

TEST(Scan, EchoPoolsTheSecondReadingOnTheStateOfTheFirst) {
  const Model model = open_blinkdl(small(Version::kV7, 3, {4, 7, true}), cpu_backend());
  const Texts texts = some_texts();
  Workspace work(1);
  for (const bool with_bos : {false, true}) {
    for (Pooling pooling : kPoolings) {
      EncodeOptions options = all_layers(3);
      options.pooling = pooling;
      options.scan = Scan::kEcho;
      if (with_bos) options.bos = 36;
      const Encoded echo = encode(model, options, texts);
      options.batch_tokens = 10;  // cuts inside the first reading, inside the second, and between
      EXPECT_TRUE(same_bits(encode(model, options, texts).values, echo.values));
      for (size_t t = 0; t < texts.size(); ++t) {
        std::vector<Token> once = texts[t];
        if (with_bos) once.insert(once.begin(), 36);
        std::vector<Token> twice = once;
        twice.insert(twice.end(), once.begin(), once.end());
        const Trace trace_of = trace(model, twice, {}, work);
        const size_t n = twice.size() * 40;
        for (size_t layer = 0; layer <= 3; ++layer) {
          const auto want =
              naive(pooling, std::span(trace_of.hidden).subspan(layer * n, n), 40, once.size());
          EXPECT_LE(relative_error(row(echo, layer, t, texts.size()), want), 1e-6)
              << name_of(pooling) << " layer " << layer << " text " << t;
        }
      }
    }
  }
}

}  // namespace
}  // namespace fathom::test::scan_test
