// SPDX-License-Identifier: Apache-2.0
#include "results/embedding_file.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <iterator>
#include <utility>

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
  void add(std::span<const float> vectors, size_t n, std::span<const DepthTrace>) override {
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
  void add(std::span<const float> vectors, size_t n, std::span<const DepthTrace>) override {
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
                         .dtype = StoredType::kF32,
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

// "a, b" as a field of a CSV.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string field = "\"";
  for (char c : text) c == '"' ? field += "\"\"" : field += c;
  return field + '"';
}

// What a policy did with a text: names and values as JSON has them.
std::vector<std::pair<const char*, OrderedJson>> decision(const DepthTrace& t,
                                                          const std::vector<std::string>& classes) {
  OrderedJson answer;
  if (t.predicted_class >= 0 && !classes.empty())
    answer = classes.at(static_cast<size_t>(t.predicted_class));
  else if (t.predicted_class >= 0)
    answer = t.predicted_class;
  else if (std::isfinite(t.predicted_value))
    answer = t.predicted_value;
  OrderedJson confidence;
  if (std::isfinite(t.confidence)) confidence = t.confidence;
  return {{"exit_layer", t.exit_layer}, {"class", answer}, {"confidence", confidence}};
}

// .jsonl and .csv: a text at a time.
class LinesFile final : public EmbeddingFile {
 public:
  LinesFile(AtomicFile& file, EmbeddedTexts shape, bool csv, Sidecar sidecar)
      : shape_(std::move(shape)), csv_(csv), file_(file), sidecar_(std::move(sidecar)) {
    if (!csv_) return;
    std::string header = "line";
    for (const auto& [name, values] : columns())
      if (!values->empty()) header += concat(",", name);
    header += ",layer";
    if (shape_.traced)
      for (const auto& [name, value] : decision({}, {})) header += concat(",", name);
    for (size_t i = 0; i < shape_.dim; ++i) header += fmt::format(",e{}", i);
    file_.stream() << header << '\n';
  }
  void add(std::span<const float> vectors, size_t n, std::span<const DepthTrace> trace) override {
    for (size_t i = 0; i < n; ++i, ++next_) {
      const DepthTrace* made = shape_.traced ? &trace[i] : nullptr;
      file_.stream() << (csv_ ? csv_lines(vectors, n, i, made) : json_line(vectors, n, i, made));
    }
  }
  void finish() override { sidecar_.write(); }

 private:
  std::array<std::pair<const char*, const std::vector<std::string>*>, 3> columns() const {
    return {{{"id", &shape_.id}, {"text", &shape_.text}, {"label", &shape_.label}}};
  }
  std::span<const float> row(std::span<const float> vectors, size_t n, size_t layer,
                             size_t i) const {
    return vectors.subspan((layer * n + i) * shape_.dim, shape_.dim);
  }

  std::string csv_lines(std::span<const float> vectors, size_t n, size_t i,
                        const DepthTrace* made) const {
    std::string front = std::to_string(shape_.lines[next_]), lines;
    for (const auto& [name, values] : columns())
      if (!values->empty()) front += "," + csv_field((*values)[next_]);
    std::string decided;
    if (made)
      for (const auto& [name, value] : decision(*made, shape_.classes))
        decided += "," + (value.is_null()           ? ""
                          : value.is_string()       ? csv_field(value.get<std::string>())
                          : value.is_number_float() ? fmt::format("{}", value.get<float>())
                                                    : dump_json(value));
    for (size_t l = 0; l < shape_.layers.size(); ++l)
      lines += concat(front, ",", shape_.layers[l], decided, ",",
                      numbers(row(vectors, n, l, i), true), "\n");
    return lines;
  }

  std::string json_line(std::span<const float> vectors, size_t n, size_t i,
                        const DepthTrace* made) const {
    std::string line = fmt::format("{{\"line\":{}", shape_.lines[next_]);
    const auto add = [&](const char* name, const OrderedJson& value) {
      line += concat(",\"", name, "\":", dump_json(value));
    };
    for (const auto& [name, values] : columns())
      if (!values->empty()) add(name, (*values)[next_]);
    if (made)
      for (const auto& [name, value] : decision(*made, shape_.classes)) add(name, value);
    if (shape_.layers.size() == 1)
      return concat(line, ",\"embedding\":[", numbers(row(vectors, n, 0, i), false), "]}\n");
    std::string layers;
    for (size_t l = 0; l < shape_.layers.size(); ++l)
      layers += concat(l == 0 ? "{\"" : ",\"", shape_.layers[l], "\":[",
                       numbers(row(vectors, n, l, i), false), "]");
    return concat(line, ",\"embedding\":", layers, "},\"embeddings\":", layers, "}}\n");
  }

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
