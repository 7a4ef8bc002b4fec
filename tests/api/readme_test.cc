// SPDX-License-Identifier: Apache-2.0
// docs/reference/cpp.md's example compiles, and is what stands here between the two marks.
// README begins
#include <fathom/embedder.h>
// README ends
#include "api/api_models.h"

namespace fathom::test::readme_test {
namespace {

// Opens no model: there is none of that size here.
[[maybe_unused]] void as_in_the_readme() {
  // clang-format off
// README begins

const auto e = fathom::Embedder::open("v6-Finch-1B6-HF", {.dtype = fathom::DType::kBF16});
const std::vector<std::string> texts = {"The cat sat.", "A dog ran off."};
const fathom::Embeddings v =
    e.embed(texts, {.layers = {1, 3, 11}, .pooling = fathom::Pooling::kMean});
std::span<const float> dog_at_3 = v.row(1, 1);  // v.dim numbers; v.values: (n_layer, n_text, dim)
// README ends
  // clang-format on
  EXPECT_EQ(dog_at_3.size(), v.dim);
}

TEST(Readme, ShowsWhatIsCompiledHere) {
  const auto between = [](const std::string& text, const std::string& begin, const std::string& end,
                          size_t& at) {
    const size_t first = text.find(begin, at);
    EXPECT_NE(first, std::string::npos) << begin;
    if (first == std::string::npos) return std::string();
    const size_t start = first + begin.size();
    at = text.find(end, start);
    return text.substr(start, at - start);
  };
  const std::filesystem::path root(kSourceDir);
  const std::string here = read_whole(root / "tests/api/readme_test.cc");
  const std::string page = read_whole(root / "docs/reference/cpp.md");
  size_t at = 0, in_page = 0;
  const std::string begin = "// README begins\n", end = "// README ends\n";
  std::string compiled = between(here, begin, end, at);
  compiled += between(here, begin, end, at);
  EXPECT_EQ(between(page, "```cpp\n", "```\n", in_page), compiled);
}

}  // namespace
}  // namespace fathom::test::readme_test
