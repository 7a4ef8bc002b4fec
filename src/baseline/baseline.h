// SPDX-License-Identifier: Apache-2.0
// Baselines: a text is the mean of the vectors of its words (GloVe, word2vec) or of its tokens (a
// mean of static token embeddings). One interface for both, whatever a user names to compare a model with.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "baseline/glove.h"
#include "baseline/static_embeddings.h"

namespace fathom {

// What a user names.
struct BaselineSpec {
  enum class Kind : uint8_t {
    kByPlace,  // a folder is a mean of static token embeddings, all else word vectors
    kWords,
    kTokens,
  };
  std::string place;  // a file of word vectors, or the folder of a mean of static token embeddings
  Kind kind = Kind::kByPlace;
  WordOptions words = {};            // of word vectors
  std::string name = {};             // in results; "": see resolved()
  std::string field = "compare_to";  // the option that it came by, for errors
};

// With kinds and names: word vectors are "glove", a mean of static token embeddings is "bag", further ones of a kind
// "glove-2", "bag-2", ...
std::vector<BaselineSpec> resolved(std::vector<BaselineSpec> specs);

// What people call a baseline: "Word vectors", "Static embeddings", "Word vectors 2". Where the file is known
// word vectors are called after it: file_title().
std::string baseline_title(std::string_view name);

// The texts of one split or several.
using SplitTexts = std::initializer_list<std::span<const std::string_view>>;

// Immutable: share it between threads.
class Baseline {
 public:
  // Of word vectors those that these texts need, no others. The spec must be resolved. Throws Error
  // naming the file, as Glove::open and StaticEmbeddings::open.
  static std::unique_ptr<const Baseline> open(const BaselineSpec& spec, SplitTexts texts);
  virtual ~Baseline() = default;

  const std::string& name() const { return spec_.name; }
  const std::string& place() const { return spec_.place; }
  virtual size_t dim() const = 0;
  virtual size_t memory_bytes() const = 0;
  // Writes the mean, (dim), summed in double; zeros for a text of which it knows nothing.
  virtual Coverage embed(std::string_view text, std::span<float> mean) const = 0;
  // Whether every word or token has a vector, so that a coverage says nothing.
  virtual bool knows_all() const = 0;
  virtual OrderedJson about() const = 0;  // {"file", "dim", ...} for reports
  // What is odd about the file and no error, a sentence each.
  virtual std::span<const std::string> notes() const { return {}; }

 protected:
  explicit Baseline(BaselineSpec spec) : spec_(std::move(spec)) {}
  const BaselineSpec& spec() const { return spec_; }

 private:
  BaselineSpec spec_;
};

// Of all these texts together.
Coverage coverage_of(const Baseline& baseline, SplitTexts texts);

// A warning for table and report where a baseline knows less than a tenth of the words: it is then
// hardly one. Usually the file is of another language, spelling or case.
std::optional<std::string> warn_of_unknown_words(const Baseline& baseline,
                                                 const Coverage& coverage);

}  // namespace fathom
