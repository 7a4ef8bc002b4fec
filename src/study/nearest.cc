// SPDX-License-Identifier: Apache-2.0
#include "study/nearest.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/hash.h"
#include "depth/policy_file.h"
#include "encode/describe.h"
#include "study/feature_source.h"
#include "study/feature_store.h"

namespace fathom {
namespace {

double norm_of(std::span<const float> v) {
  double sum = 0;
  for (float x : v) sum += double{x} * double{x};
  return std::sqrt(sum);
}

// What the vectors depend on.
std::string key_of(const Encoder& encoder, const OpenModel& open,
                   std::span<const std::string_view> texts) {
  std::string joined;
  for (std::string_view text : texts) joined.append(text).push_back('\0');
  const Config& config = open.model.config();
  return dump_json(OrderedJson{{"model", fingerprint_of(open.model).weights},
                               {"bytes", open.model.checkpoint().file_bytes()},
                               {"ln_eps", config.ln_eps},
                               {"ln_x_eps", config.ln_x_eps},
                               {"dtype", std::string(name_of(open.model.compute()))},
                               {"backend", std::string(open.model.backend().name())},
                               {"tokenizer", open.vocabulary.source},
                               {"reading", describe(encoder.options(), config)},
                               {"texts", hash_text(joined)}});
}

std::vector<float> read_all(const FeatureCache& cache) {
  std::vector<float> out(cache.shape().n_text * cache.shape().dim);
  cache.read(0, 0, cache.shape().n_text, out);
  return out;
}

}  // namespace

std::vector<std::vector<Found>> nearest(Matrix<const float> queries, Matrix<const float> texts,
                                        size_t top) {
  FATHOM_ASSERT(queries.cols() == texts.cols());
  std::vector<double> norms(texts.rows());
  for (size_t t = 0; t < texts.rows(); ++t) norms[t] = norm_of(texts.row(t));
  std::vector<std::vector<Found>> all;
  for (size_t q = 0; q < queries.rows(); ++q) {
    const std::span<const float> query = queries.row(q);
    const double length = norm_of(query);
    std::vector<Found> found(texts.rows());
    for (size_t t = 0; t < texts.rows(); ++t) {
      const std::span<const float> text = texts.row(t);
      double dot = 0;
      for (size_t i = 0; i < query.size(); ++i) dot += double{query[i]} * double{text[i]};
      const double scale = length * norms[t];
      found[t] = {t, scale > 0 ? dot / scale : 0};
    }
    const auto n = static_cast<std::ptrdiff_t>(std::min(top, found.size()));
    std::ranges::partial_sort(found, found.begin() + n, [](const Found& a, const Found& b) {
      return a.score != b.score ? a.score > b.score : a.text < b.text;
    });
    found.resize(static_cast<size_t>(n));
    all.push_back(std::move(found));
  }
  return all;
}

std::vector<float> vectors_of(const Encoder& encoder, OpenModel& open,
                              std::span<const std::string_view> texts,
                              const std::filesystem::path& folder, const TextPlace& place,
                              const std::function<void(size_t)>& progress) {
  FATHOM_ASSERT(encoder.n_vector() == 1);
  if (!folder.empty()) {
    std::filesystem::create_directories(folder);
    const std::string key = key_of(encoder, open, texts);
    FeatureCache cache(folder / concat(hash_text(key), ".features"), key,
                       {1, texts.size(), encoder.dim(), StoredType::kF32});
    fill(cache, encoder, open.tokenizer(), texts, open.work, progress, place);
    return read_all(cache);
  }
  std::vector<float> out;
  out.reserve(texts.size() * encoder.dim());
  EmbedTextsOptions how;
  how.place = place;
  how.progress = progress;
  const auto take = [&](const EmbeddedBlock& block) {
    out.insert(out.end(), block.vectors.begin(), block.vectors.end());
  };
  embed_texts(encoder, open.tokenizer(), texts, open.work, take, how);
  return out;
}

}  // namespace fathom
