// SPDX-License-Identifier: Apache-2.0
#include "study/eval_parts.h"

#include <algorithm>
#include <iterator>
#include <system_error>

#include "base/error.h"
#include "base/json_fields.h"
#include "encode/describe.h"
#include "study/feature_source.h"

namespace fathom {

template <class Io>
void list_fields(Io& io, Of<Io, NonFiniteVectors>& x) {
  io("n", x.n);
  io("first_pair", x.first_pair);
  io("why", x.why);
}

template <class Io>
void list_fields(Io& io, Of<Io, ScoredBlock>& x) {
  io("scores", x.scores);
  io("nonfinite", x.nonfinite);
}

template <class Io>
void list_fields(Io& io, Of<Io, TimeSpread>& x) {
  io("median", x.median);
  io("low", x.low);
  io("high", x.high);
}

template <class Io>
void list_fields(Io& io, Of<Io, PairTime>& x) {
  io("batch1", x.batch1);
  io("packed", x.packed);
}

template <class Part>
Part EvalParts::kept_or(const std::string& name, const OrderedJson& key,
                        const std::function<Part()>& make) {
  if (!store_) store_.emplace(folder_);
  const std::filesystem::path file = store_->path_of(name, key);
  files_.push_back(file);
  if (const std::optional<OrderedJson> found = store_->find(name, key)) {
    try {
      return value_of_json<Part>(*found, file.string());
    } catch (const Error&) {  // of another shape: made again
    }
  }
  Part part = make();
  store_->keep(name, key, json_of(part));
  return part;
}

ScoredBlock EvalParts::scores(const std::string& name, const OrderedJson& key,
                              const std::function<ScoredBlock()>& make) {
  return kept_or<ScoredBlock>(name, key, make);
}

PairTime EvalParts::time(const std::string& name, const OrderedJson& key,
                         const std::function<PairTime()>& make) {
  return kept_or<PairTime>(name, key, make);
}

void EvalParts::remove() {
  std::error_code ignored;
  for (const std::filesystem::path& file : files_) std::filesystem::remove(file, ignored);
  files_.clear();
  if (std::filesystem::is_empty(folder_, ignored) && !ignored)
    std::filesystem::remove(folder_, ignored);
}

OrderedJson scores_key(const OpenModel& open, const Encoder& encoder, const PairTexts& texts) {
  std::vector<std::string_view> all(texts.a);
  all.insert(all.end(), texts.b.begin(), texts.b.end());
  OrderedJson key = reading_key(open, encoder.options(), fingerprint_of(open.model), all);
  key["fathom"] = FATHOM_VERSION;
  key["layers"] = encoder.options().layers;
  key["normalize"] = encoder.options().normalize;
  return key;
}

std::vector<std::vector<double>> scores_in_parts(const Encoder& encoder, OpenModel& open,
                                                 const std::string& name, const PairTexts& texts,
                                                 const ScoreOptions& options, EvalParts* parts) {
  constexpr size_t kBlock = 1024;  // pairs
  const EncodeOptions& how = encoder.options();
  if (!parts || encoder.policy() || how.head || !how.post.empty())
    return rwkv_scores(encoder, open.tokenizer(), texts, open.work, options);
  std::vector<std::vector<double>> scores(encoder.n_vector());
  std::vector<NonFiniteVectors> nonfinite(encoder.n_vector());
  const size_t n = texts.a.size();
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t end = std::min(n, begin + kBlock);
    const auto part_of = [&](const std::vector<std::string_view>& all) {
      return std::vector(all.begin() + static_cast<std::ptrdiff_t>(begin),
                         all.begin() + static_cast<std::ptrdiff_t>(end));
    };
    const PairTexts block{part_of(texts.a), part_of(texts.b)};
    const ScoredBlock scored =
        parts->scores(concat(name, "-", begin), scores_key(open, encoder, block), [&] {
          ScoredBlock made;
          ScoreOptions inner{.nonfinite = &made.nonfinite};
          if (options.progress)
            inner.progress = [&](size_t done) { options.progress(begin + done); };
          if (options.place) inner.place = [&](size_t pair) { return options.place(begin + pair); };
          made.scores = rwkv_scores(encoder, open.tokenizer(), block, open.work, inner);
          return made;
        });
    for (size_t v = 0; v < scores.size(); ++v) {
      std::ranges::copy(scored.scores.at(v), std::back_inserter(scores[v]));
      const NonFiniteVectors& c = scored.nonfinite.at(v);
      if (c.n > 0 && nonfinite[v].n == 0) nonfinite[v] = {0, begin + c.first_pair, c.why};
      nonfinite[v].n += c.n;
    }
    if (options.progress) options.progress(end);
  }
  if (options.nonfinite) *options.nonfinite = std::move(nonfinite);
  return scores;
}

}  // namespace fathom
