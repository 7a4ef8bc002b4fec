// SPDX-License-Identifier: Apache-2.0
#include "baseline/baseline.h"

#include <cstdio>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/file_title.h"

namespace fathom {
namespace {

using Kind = BaselineSpec::Kind;

class WordBaseline final : public Baseline {
 public:
  WordBaseline(BaselineSpec spec, SplitTexts texts)
      : Baseline(std::move(spec)), glove_(open_needed(this->spec(), texts)) {}

  size_t dim() const override { return glove_.dim(); }
  size_t memory_bytes() const override { return glove_.memory_bytes(); }
  Coverage embed(std::string_view text, std::span<float> mean) const override {
    return glove_.embed(text, spec().words, mean);
  }
  bool knows_all() const override { return false; }
  OrderedJson about() const override {
    return {{"file", place()},
            {"dim", dim()},
            {"lower_case", spec().words.lower_case},
            {"split_punctuation", spec().words.split_punctuation}};
  }
  std::span<const std::string> notes() const override { return glove_.notes(); }

 private:
  static Glove open_needed(const BaselineSpec& spec, SplitTexts splits) {
    WordSet needed;
    std::vector<std::string> words;
    for (std::span<const std::string_view> texts : splits)
      for (std::string_view text : texts) {
        words.clear();
        split_words(text, spec.words, words);
        needed.insert(words.begin(), words.end());
      }
    return Glove::open(spec.place, &needed);
  }

  Glove glove_;
};

class TokenBaseline final : public Baseline {
 public:
  explicit TokenBaseline(BaselineSpec spec)
      : Baseline(std::move(spec)), bag_(StaticEmbeddings::open(place())) {}

  size_t dim() const override { return bag_.dim(); }
  size_t memory_bytes() const override { return bag_.memory_bytes(); }
  Coverage embed(std::string_view text, std::span<float> mean) const override {
    const size_t n = bag_.embed(text, mean);
    return {n, n};
  }
  bool knows_all() const override { return true; }
  OrderedJson about() const override {
    return {{"file", place()}, {"dim", dim()}, {"tokenizer", bag_.vocabulary()}};
  }

 private:
  StaticEmbeddings bag_;
};

std::string_view base_name(Kind kind) { return kind == Kind::kTokens ? "bag" : "glove"; }

}  // namespace

std::vector<BaselineSpec> resolved(std::vector<BaselineSpec> specs) {
  std::map<Kind, size_t> seen;
  for (BaselineSpec& spec : specs) {
    std::error_code ignored;
    if (spec.kind == Kind::kByPlace)
      spec.kind = std::filesystem::is_directory(spec.place, ignored) ? Kind::kTokens : Kind::kWords;
    const size_t n = ++seen[spec.kind];
    if (spec.name.empty())
      spec.name = n == 1 ? std::string(base_name(spec.kind)) : concat(base_name(spec.kind), "-", n);
  }
  return specs;
}

std::string baseline_title(std::string_view name) {
  for (const auto& [own, title] :
       {std::pair{"glove", "Word vectors"}, std::pair{"bag", "Static embeddings"}}) {
    if (name == own) return title;
    if (name.starts_with(concat(own, "-")))
      return concat(title, " ", name.substr(name.find('-') + 1));
  }
  return std::string(name);
}

std::unique_ptr<const Baseline> Baseline::open(const BaselineSpec& spec, SplitTexts texts) {
  FATHOM_ASSERT(spec.kind != Kind::kByPlace && !spec.name.empty());
  if (spec.kind == Kind::kTokens) return std::make_unique<TokenBaseline>(spec);
  return std::make_unique<WordBaseline>(spec, texts);
}

Coverage coverage_of(const Baseline& baseline, SplitTexts splits) {
  Coverage coverage;
  std::vector<float> mean(baseline.dim());
  for (std::span<const std::string_view> texts : splits)
    for (std::string_view text : texts) coverage += baseline.embed(text, mean);
  return coverage;
}

std::optional<std::string> warn_of_unknown_words(const Baseline& baseline,
                                                 const Coverage& coverage) {
  constexpr double kFew = 0.1;
  if (coverage.words == 0 || coverage.share() >= kFew) return std::nullopt;
  char percent[32];
  std::snprintf(percent, sizeof percent, "%.1f", 100 * coverage.share());
  return concat("WARNING: ", file_title(baseline.place()), " knows ", coverage.known, " of ",
                coverage.words, " words (", percent,
                " %): it is hardly a baseline. Are its words of this language, and in "
                "lower case?");
}

}  // namespace fathom
