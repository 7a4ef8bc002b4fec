// SPDX-License-Identifier: Apache-2.0
#include "cli/embedding_file.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

#include "base/atomic_file.h"
#include "base/error.h"
#include "encode/nonfinite.h"
#include "formats/npy.h"
#include "formats/write_safetensors.h"

namespace fathom::cli {
namespace {

namespace fs = std::filesystem;

// Layers of vectors gathered until all texts are there: (n_layer) each (n_text, dim).
class Gathered {
 public:
  explicit Gathered(const EmbeddingShape& shape) : layers_(shape.layers.size()), dim_(shape.dim) {}
  void add(std::span<const float> vectors, size_t n) {
    for (size_t l = 0; l < layers_.size(); ++l) {
      const auto part = vectors.subspan(l * n * dim_, n * dim_);
      layers_[l].insert(layers_[l].end(), part.begin(), part.end());
    }
  }
  const std::vector<std::vector<float>>& layers() const { return layers_; }

 private:
  std::vector<std::vector<float>> layers_;
  size_t dim_;
};

fs::path sidecar(const fs::path& path) {
  fs::path p = path;
  p += ".json";
  return p;
}

class NpyFile final : public EmbeddingFile {
 public:
  NpyFile(const fs::path& path, const EmbeddingShape& shape, std::string made_by)
      : path_(path),
        made_by_(std::move(made_by)),
        one_layer_(shape.layers.size() == 1),
        gathered_(shape),
        writer_(path, dimensions(shape)) {}
  void add(std::span<const float> vectors, size_t n) override {
    if (one_layer_)
      writer_.write(vectors);
    else
      gathered_.add(vectors, n);
  }
  void commit() override {
    if (!one_layer_)
      for (const auto& layer : gathered_.layers()) writer_.write(layer);
    write_file(sidecar(path_), made_by_);
    writer_.commit();
  }

 private:
  static std::vector<size_t> dimensions(const EmbeddingShape& s) {
    if (s.layers.size() == 1) return {s.lines.size(), s.dim};
    return {s.layers.size(), s.lines.size(), s.dim};
  }
  fs::path path_;
  std::string made_by_;
  bool one_layer_;
  Gathered gathered_;
  NpyWriter writer_;
};

class SafetensorsFile final : public EmbeddingFile {
 public:
  SafetensorsFile(const fs::path& path, EmbeddingShape shape, std::string made_by)
      : path_(path), shape_(std::move(shape)), made_by_(std::move(made_by)), gathered_(shape_) {
    const AtomicFile probe(path);  // an unwritable place is found now, not after the work
  }
  void add(std::span<const float> vectors, size_t n) override { gathered_.add(vectors, n); }
  void commit() override {
    std::vector<TensorToWrite> tensors;
    for (size_t l = 0; l < shape_.layers.size(); ++l)
      tensors.push_back(tensor_to_write("layer." + shape_.layers[l],
                                        {shape_.lines.size(), shape_.dim},
                                        std::span<const float>(gathered_.layers()[l])));
    write_safetensors(path_, tensors, {{"fathom", made_by_}});
  }

 private:
  fs::path path_;
  EmbeddingShape shape_;
  std::string made_by_;
  Gathered gathered_;
};

// Numbers with commas between. JSON has no NaN and no infinity: null stands for both.
std::string numbers(std::span<const float> row, bool csv) {
  if (all_finite(row)) return fmt::format("{}", fmt::join(row, ","));
  std::string line;
  for (float v : row) {
    const bool is_nan = std::isnan(v);  // one name for NaN, whatever its sign
    if (!line.empty()) line += ',';
    line += std::isfinite(v) || (csv && !is_nan) ? fmt::format("{}", v) : csv ? "nan" : "null";
  }
  return line;
}

// .jsonl and .csv: a text at a time.
class TextFile final : public EmbeddingFile {
 public:
  TextFile(const fs::path& path, EmbeddingShape shape, std::string made_by, bool csv)
      : path_(path),
        shape_(std::move(shape)),
        made_by_(std::move(made_by)),
        csv_(csv),
        file_(path) {
    if (!csv_) return;
    std::string header = "line,layer";
    for (size_t i = 0; i < shape_.dim; ++i) header += fmt::format(",e{}", i);
    file_.stream() << header << '\n';
  }
  void add(std::span<const float> vectors, size_t n) override {
    for (size_t i = 0; i < n; ++i, ++next_) {
      std::string line;
      auto out = std::back_inserter(line);
      if (!csv_) fmt::format_to(out, "{{\"line\":{},", shape_.lines[next_]);
      for (size_t l = 0; l < shape_.layers.size(); ++l) {
        const auto row = vectors.subspan((l * n + i) * shape_.dim, shape_.dim);
        if (csv_) {
          fmt::format_to(out, "{},{},{}\n", shape_.lines[next_], shape_.layers[l],
                         numbers(row, csv_));
        } else if (shape_.layers.size() == 1) {
          fmt::format_to(out, "\"embedding\":[{}]", numbers(row, csv_));
        } else {
          fmt::format_to(out, "{}\"{}\":[{}]", l == 0 ? "\"embeddings\":{" : ",", shape_.layers[l],
                         numbers(row, csv_));
        }
      }
      if (!csv_) line += shape_.layers.size() == 1 ? "}\n" : "}}\n";
      file_.stream() << line;
    }
  }
  void commit() override {
    write_file(sidecar(path_), made_by_);
    file_.commit();
  }

 private:
  fs::path path_;
  EmbeddingShape shape_;
  std::string made_by_;
  bool csv_;
  AtomicFile file_;
  size_t next_ = 0;
};

}  // namespace

std::unique_ptr<EmbeddingFile> open_embedding_file(const fs::path& path, EmbeddingShape shape,
                                                   const OrderedJson& made_by) {
  const std::string ending = path.extension().string(), text = dump_json(made_by, 2) + "\n";
  if (ending == ".npy") return std::make_unique<NpyFile>(path, shape, text);
  if (ending == ".safetensors")
    return std::make_unique<SafetensorsFile>(path, std::move(shape), dump_json(made_by));
  if (ending == ".jsonl" || ending == ".csv")
    return std::make_unique<TextFile>(path, std::move(shape), text, ending == ".csv");
  throw UsageError(concat("-o: expected a file ending in .npy, .safetensors, .jsonl or .csv, got '",
                          path.string(), "'"));
}

}  // namespace fathom::cli
