// SPDX-License-Identifier: Apache-2.0
#include "results/embedding_file.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

#include "base/error.h"
#include "encode/nonfinite.h"
#include "formats/npy.h"
#include "formats/write_safetensors.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

enum class Format { kNpy, kSafetensors, kJsonl, kCsv };

Format format_of(const fs::path& path) {
  const std::string ending = path.extension().string();
  if (ending == ".npy") return Format::kNpy;
  if (ending == ".safetensors") return Format::kSafetensors;
  if (ending == ".jsonl") return Format::kJsonl;
  if (ending == ".csv") return Format::kCsv;
  throw UsageError(concat("-o: expected a file ending in .npy, .safetensors, .jsonl or .csv, got '",
                          path.string(), "'"));
}

fs::path sidecar_path(const fs::path& path) {
  fs::path p = path;
  p += ".json";
  return p;
}

// What made the vectors: opened after them, so that it gets its name after them.
struct Sidecar {
  OutputSet& outputs;
  fs::path path;
  std::string text;

  void write() const { outputs.write(path, text); }
};

class NpyFile final : public EmbeddingFile {
 public:
  NpyFile(AtomicFile& file, const EmbeddedTexts& shape, Sidecar sidecar)
      : n_layer_(shape.layers.size()),
        n_text_(shape.lines.size()),
        dim_(shape.dim),
        writer_(file, dimensions(shape)),
        sidecar_(std::move(sidecar)) {}
  void add(std::span<const float> vectors, size_t n) override {
    for (size_t l = 0; l < n_layer_; ++l)
      writer_.write((l * n_text_ + n_done_) * dim_, vectors.subspan(l * n * dim_, n * dim_));
    n_done_ += n;
  }
  void finish() override {
    writer_.finish();
    sidecar_.write();
  }

 private:
  static std::vector<size_t> dimensions(const EmbeddedTexts& s) {
    if (s.layers.size() == 1) return {s.lines.size(), s.dim};
    return {s.layers.size(), s.lines.size(), s.dim};
  }
  size_t n_layer_, n_text_, dim_, n_done_ = 0;
  NpyWriter writer_;
  Sidecar sidecar_;
};

class SafetensorsFile final : public EmbeddingFile {
 public:
  SafetensorsFile(AtomicFile& file, const EmbeddedTexts& shape, const std::string& made_by)
      : n_layer_(shape.layers.size()),
        dim_(shape.dim),
        writer_(file, tensors_of(shape), {{"fathom", made_by}}) {}
  void add(std::span<const float> vectors, size_t n) override {
    for (size_t l = 0; l < n_layer_; ++l)
      writer_.write(l, n_done_ * dim_ * sizeof(float),
                    std::as_bytes(vectors.subspan(l * n * dim_, n * dim_)));
    n_done_ += n;
  }
  void finish() override { writer_.finish(); }

 private:
  static std::vector<TensorToWrite> tensors_of(const EmbeddedTexts& s) {
    std::vector<TensorToWrite> tensors;
    for (const std::string& layer : s.layers)
      tensors.push_back({.name = "layer." + layer,
                         .dtype = DType::kF32,
                         .shape = {s.lines.size(), s.dim},
                         .write = {}});
    return tensors;
  }
  size_t n_layer_, dim_, n_done_ = 0;
  SafetensorsWriter writer_;
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
class LinesFile final : public EmbeddingFile {
 public:
  LinesFile(AtomicFile& file, EmbeddedTexts shape, bool csv, Sidecar sidecar)
      : shape_(std::move(shape)), csv_(csv), file_(file), sidecar_(std::move(sidecar)) {
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
  void finish() override { sidecar_.write(); }

 private:
  EmbeddedTexts shape_;
  bool csv_;
  AtomicFile& file_;
  Sidecar sidecar_;
  size_t next_ = 0;
};

}  // namespace

void expect_embedding_file(OutputSet& outputs, const fs::path& path) {
  const bool has_sidecar = format_of(path) != Format::kSafetensors;
  outputs.expect(path);
  if (has_sidecar) outputs.expect(sidecar_path(path));
}

std::unique_ptr<EmbeddingFile> open_embedding_file(const fs::path& path, EmbeddedTexts shape,
                                                   const OrderedJson& made_by, OutputSet& outputs) {
  const Format format = format_of(path);
  AtomicFile& file = outputs.open(path);
  if (format == Format::kSafetensors)
    return std::make_unique<SafetensorsFile>(file, shape, dump_json(made_by));
  Sidecar sidecar{outputs, sidecar_path(path), dump_json(made_by, 2) + "\n"};
  if (format == Format::kNpy) return std::make_unique<NpyFile>(file, shape, std::move(sidecar));
  return std::make_unique<LinesFile>(file, std::move(shape), format == Format::kCsv,
                                     std::move(sidecar));
}

}  // namespace fathom
