// SPDX-License-Identifier: Apache-2.0
#include "cli/static_vectors.h"

#include <fmt/format.h>

#include <memory>

#include "baseline/token_bag.h"

namespace fathom::cli {

void StaticFlags::add_to(CLI::App& command) {
  command.add_option("--glove", glove, "word vectors: GloVe's or word2vec's text, word2vec's .bin");
  command.add_flag("--glove-keep-case", keep_case, "do not lower-case words");
  command.add_flag("--glove-split-punctuation", split_punctuation,
                   "make each ASCII punctuation mark a word");
  command.add_option("--bag", bag, "folder of a static token bag: emb.weight and a vocabulary");
}

WordOptions StaticFlags::words() const {
  return {.lower_case = !keep_case, .split_punctuation = split_punctuation};
}

std::optional<std::string> warn_of_unknown_words(std::string_view name, const Coverage& coverage) {
  constexpr double kFew = 0.1;
  if (coverage.words == 0 || coverage.share() >= kFew) return std::nullopt;
  return fmt::format(
      "WARNING: {} knows {} of {} words ({:.1f} %): it is hardly a baseline. Are its words of this "
      "language, and in lower case?",
      name, coverage.known, coverage.words, 100 * coverage.share());
}

Glove open_glove(const StaticFlags& flags, SplitTexts splits) {
  WordSet needed;
  std::vector<std::string> words;
  for (std::span<const std::string_view> texts : splits)
    for (std::string_view text : texts) {
      words.clear();
      split_words(text, flags.words(), words);
      needed.insert(words.begin(), words.end());
    }
  return Glove::open(flags.glove, &needed);
}

namespace {

StaticVectors open_glove_system(const StaticFlags& flags, SplitTexts splits) {
  const auto glove = std::make_shared<const Glove>(open_glove(flags, splits));
  const WordOptions words = flags.words();
  Coverage coverage;
  std::vector<float> mean(glove->dim());
  for (std::span<const std::string_view> texts : splits)
    for (std::string_view text : texts) coverage += glove->embed(text, words, mean);
  StaticVectors system{"glove",
                       glove->dim(),
                       [glove, words](std::string_view text, std::span<float> out) {
                         return glove->embed(text, words, out).known;
                       },
                       {{"file", flags.glove},
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

std::vector<StaticVectors> open_static(const StaticFlags& flags, SplitTexts splits) {
  std::vector<StaticVectors> systems;
  if (!flags.glove.empty()) systems.push_back(open_glove_system(flags, splits));
  if (!flags.bag.empty()) {
    const auto bag = std::make_shared<const TokenBag>(TokenBag::open(flags.bag));
    systems.push_back(
        {"bag",
         bag->dim(),
         [bag](std::string_view text, std::span<float> mean) { return bag->embed(text, mean); },
         {{"file", flags.bag}, {"dim", bag->dim()}, {"tokenizer", bag->vocabulary()}},
         {},
         false});
  }
  return systems;
}

}  // namespace fathom::cli
