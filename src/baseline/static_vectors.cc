// SPDX-License-Identifier: Apache-2.0
#include "baseline/static_vectors.h"

#include <cstdio>
#include <memory>

#include "base/error.h"
#include "baseline/token_bag.h"

namespace fathom {

std::optional<std::string> warn_of_unknown_words(std::string_view name, const Coverage& coverage) {
  constexpr double kFew = 0.1;
  if (coverage.words == 0 || coverage.share() >= kFew) return std::nullopt;
  char percent[32];
  std::snprintf(percent, sizeof percent, "%.1f", 100 * coverage.share());
  return concat("WARNING: ", name, " knows ", coverage.known, " of ", coverage.words, " words (",
                percent,
                " %): it is hardly a baseline. Are its words of this language, and in "
                "lower case?");
}

Glove open_glove(const StaticOptions& options, SplitTexts splits) {
  WordSet needed;
  std::vector<std::string> words;
  for (std::span<const std::string_view> texts : splits)
    for (std::string_view text : texts) {
      words.clear();
      split_words(text, options.words, words);
      needed.insert(words.begin(), words.end());
    }
  return Glove::open(options.glove, &needed);
}

namespace {

StaticVectors open_glove_system(const StaticOptions& options, SplitTexts splits) {
  const auto glove = std::make_shared<const Glove>(open_glove(options, splits));
  const WordOptions words = options.words;
  Coverage coverage;
  std::vector<float> mean(glove->dim());
  for (std::span<const std::string_view> texts : splits)
    for (std::string_view text : texts) coverage += glove->embed(text, words, mean);
  StaticVectors system{"glove",
                       glove->dim(),
                       [glove, words](std::string_view text, std::span<float> out) {
                         return glove->embed(text, words, out).known;
                       },
                       {{"file", options.glove},
                        {"dim", glove->dim()},
                        {"lower_case", words.lower_case},
                        {"split_punctuation", words.split_punctuation},
                        {"words", coverage.words},
                        {"known", coverage.known}},
                       glove->notes(),
                       false};
  if (const auto warning = warn_of_unknown_words("GloVe", coverage)) {
    system.notes.insert(system.notes.begin(), *warning);
    system.warns = true;
  }
  return system;
}

}  // namespace

std::vector<StaticVectors> open_static(const StaticOptions& options, SplitTexts splits) {
  std::vector<StaticVectors> systems;
  if (!options.glove.empty()) systems.push_back(open_glove_system(options, splits));
  if (!options.bag.empty()) {
    const auto bag = std::make_shared<const TokenBag>(TokenBag::open(options.bag));
    systems.push_back(
        {"bag",
         bag->dim(),
         [bag](std::string_view text, std::span<float> mean) { return bag->embed(text, mean); },
         {{"file", options.bag}, {"dim", bag->dim()}, {"tokenizer", bag->vocabulary()}},
         {},
         false});
  }
  return systems;
}

}  // namespace fathom
