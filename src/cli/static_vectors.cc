// SPDX-License-Identifier: Apache-2.0
#include "cli/static_vectors.h"

#include <memory>

#include "encode/token_bag.h"

namespace fathom::cli {

void StaticFlags::add_to(CLI::App& command) {
  command.add_option("--glove", glove, "word vectors in GloVe or word2vec text format");
  command.add_flag("--glove-keep-case", keep_case, "do not lower-case words");
  command.add_flag("--glove-split-punctuation", split_punctuation,
                   "make each ASCII punctuation mark a word");
  command.add_option("--bag", bag, "folder of a static token bag: emb.weight and a vocabulary");
}

WordOptions StaticFlags::words() const {
  return {.lower_case = !keep_case, .split_punctuation = split_punctuation};
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

std::vector<StaticVectors> open_static(const StaticFlags& flags, SplitTexts splits) {
  std::vector<StaticVectors> systems;
  if (!flags.glove.empty()) {
    const auto glove = std::make_shared<const Glove>(open_glove(flags, splits));
    systems.push_back(
        {"glove",
         glove->dim(),
         [glove, words = flags.words()](std::string_view text, std::span<float> mean) {
           return glove->embed(text, words, mean).known;
         },
         {{"file", flags.glove},
          {"dim", glove->dim()},
          {"lower_case", flags.words().lower_case},
          {"split_punctuation", flags.words().split_punctuation}}});
  }
  if (!flags.bag.empty()) {
    const auto bag = std::make_shared<const TokenBag>(TokenBag::open(flags.bag));
    systems.push_back(
        {"bag",
         bag->dim(),
         [bag](std::string_view text, std::span<float> mean) { return bag->embed(text, mean); },
         {{"file", flags.bag}, {"dim", bag->dim()}, {"tokenizer", bag->vocabulary()}}});
  }
  return systems;
}

}  // namespace fathom::cli
