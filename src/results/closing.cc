// SPDX-License-Identifier: Apache-2.0
#include "results/closing.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "base/shell.h"

namespace fathom {
namespace {

constexpr size_t kFewRows = 100;          // below this a share of rows is known to 10 points or so
constexpr double kSmallestSaving = 5e-4;  // of the FLOPs; less is printed as 0.0 %

}  // namespace

std::string to_text(const Closing& c) {
  std::string text;
  for (const std::string& warning : c.warnings) text += warning + '\n';
  return concat(text, "Chosen: ", c.chosen, "\n", c.effect, "\nUse it: ", c.use, "\n");
}

OrderedJson to_json(const Closing& c) {
  return {{"warnings", c.warnings}, {"chosen", c.chosen}, {"effect", c.effect}, {"use", c.use}};
}

std::string use_line(const CommandPlaces& places, bool has_heads, bool is_pair) {
  const std::string model = shell_quoted(places.model), output = shell_quoted(places.output);
  if (!has_heads)
    return concat("fathom embed ", model, " -i texts.txt -o vectors.npy --depth ", output);
  return concat("fathom classify ", model, " --policy ", output,
                is_pair ? " -i pairs.csv --text1 a --text2 b" : " -i texts.txt", " -o answers.csv");
}

std::string loss_words(double share, int digits) {
  const std::string size = fmt::format("{:.{}f}", std::abs(100 * share), digits);
  const bool is_zero = size.find_first_not_of("0.") == size.npos;
  return concat(share < 0 && !is_zero ? "gains " : "loses ", size, " %");
}

std::string warn_of_no_saving(double flops_share) {
  if (1 - flops_share > kSmallestSaving) return "";
  return fmt::format("WARNING: nothing is saved: {:.1f} % of full depth's FLOPs are left",
                     100 * flops_share);
}

std::string warn_of_few_rows(size_t n, const char* rows) {
  if (n >= kFewRows) return "";
  return fmt::format("WARNING: chosen on {} {} alone: results on other texts may differ", n, rows);
}

}  // namespace fathom
