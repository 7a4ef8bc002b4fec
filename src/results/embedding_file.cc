// SPDX-License-Identifier: Apache-2.0
#include "results/embedding_file.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "base/invalid_option.h"
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

// The vectors of one layer as they are stored.
std::vector<std::byte> stored_layer(const EmbeddedTexts& shape, std::span<const float> vectors,
                                    size_t layer, size_t n) {
  std::vector<std::byte> bytes;
  bytes.reserve(n * shape.numbers.row_bytes(shape.dim));
  for (size_t i = 0; i < n; ++i)
    shape.numbers.store(vectors.subspan((layer * n + i) * shape.dim, shape.dim), layer, bytes);
  return bytes;
}

// .npy and .safetensors: every layer in a place of its own.
class PlacedFile : public EmbeddingFile {
 public:
  PlacedFile(AtomicFile& file, EmbeddedTexts shape, WrittenSoFar so_far)
      : shape_(std::move(shape)), n_done_(so_far.n_text), n_taken_(so_far.n_text), file_(file) {}
  void add(std::span<const float> vectors, std::span<const EmbeddedRow> rows,
           std::span<const DepthTrace>) override {
    for (size_t l = 0; l < shape_.layers.size(); ++l)
      put(l, n_done_, stored_layer(shape_, vectors, l, rows.size()));
    n_done_ += rows.size();
  }
  std::vector<FileRange> take_ranges() override {
    std::vector<FileRange> ranges;
    for (size_t l = 0; l < shape_.layers.size(); ++l)
      ranges.push_back({place(l, n_taken_), (n_done_ - n_taken_) * row_bytes()});
    n_taken_ = n_done_;
    return ranges;
  }
  AtomicFile& file() override { return file_; }

 protected:
  virtual void put(size_t layer, size_t text, std::span<const std::byte> bytes) = 0;
  virtual uint64_t place(size_t layer, size_t text) const = 0;
  size_t row_bytes() const { return shape_.numbers.row_bytes(shape_.dim); }

  const EmbeddedTexts shape_;

 private:
  size_t n_done_, n_taken_;
  AtomicFile& file_;
};

class NpyFile final : public PlacedFile {
 public:
  NpyFile(AtomicFile& file, EmbeddedTexts shape, WrittenSoFar so_far, Sidecar sidecar)
      : PlacedFile(file, std::move(shape), so_far),
        width_(shape_.numbers.width(shape_.dim)),
        writer_(file, dimensions(), shape_.numbers.stored()),
        sidecar_(std::move(sidecar)) {
    writer_.skip(so_far.n_text * shape_.layers.size() * width_);
  }
  void finish() override {
    writer_.finish();
    sidecar_.write();
  }

 private:
  size_t element(size_t layer, size_t text) const {
    return (layer * shape_.n_text + text) * width_;
  }
  void put(size_t layer, size_t text, std::span<const std::byte> bytes) override {
    writer_.write(element(layer, text), bytes);
  }
  uint64_t place(size_t layer, size_t text) const override {
    return writer_.place(element(layer, text));
  }
  std::vector<size_t> dimensions() const {
    if (shape_.layers.size() == 1) return {shape_.n_text, width_};
    return {shape_.layers.size(), shape_.n_text, width_};
  }
  size_t width_;
  NpyWriter writer_;
  Sidecar sidecar_;
};

class SafetensorsFile final : public PlacedFile {
 public:
  SafetensorsFile(AtomicFile& file, EmbeddedTexts shape, WrittenSoFar so_far,
                  const std::string& made_by)
      : PlacedFile(file, std::move(shape), so_far),
        writer_(file, tensors(), {{"fathom", made_by}}) {
    writer_.skip(so_far.n_text * shape_.layers.size() * row_bytes());
  }
  void finish() override { writer_.finish(); }

 private:
  void put(size_t layer, size_t text, std::span<const std::byte> bytes) override {
    writer_.write(layer, text * row_bytes(), bytes);
  }
  uint64_t place(size_t layer, size_t text) const override {
    return writer_.place(layer, text * row_bytes());
  }
  std::vector<TensorToWrite> tensors() const {
    std::vector<TensorToWrite> tensors;
    for (const std::string& layer : shape_.layers)
      tensors.push_back({.name = "layer." + layer,
                         .dtype = shape_.numbers.stored(),
                         .shape = {shape_.n_text, shape_.numbers.width(shape_.dim)},
                         .write = {}});
    return tensors;
  }
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
  LinesFile(AtomicFile& file, EmbeddedTexts shape, bool csv, WrittenSoFar so_far, Sidecar sidecar)
      : shape_(std::move(shape)),
        csv_(csv),
        file_(file),
        taken_(so_far.end),
        sidecar_(std::move(sidecar)) {
    for (const auto& [has, name, value] :
         std::initializer_list<Column>{{shape_.has_id, "id", &EmbeddedRow::id},
                                       {shape_.has_text, "text", &EmbeddedRow::text},
                                       {shape_.has_label, "label", &EmbeddedRow::label}})
      if (has) columns_.push_back({has, name, value});
    if (!csv_ || so_far.n_text > 0) return;
    std::string header = shape_.has_file ? "file,line" : "line";
    for (const Column& column : columns_) header += concat(",", column.name);
    header += ",layer";
    if (shape_.traced)
      for (const auto& [name, value] : decision({}, {})) header += concat(",", name);
    for (size_t i = 0; i < shape_.numbers.width(shape_.dim); ++i) header += fmt::format(",e{}", i);
    file_.stream() << header << '\n';
  }
  void add(std::span<const float> vectors, std::span<const EmbeddedRow> rows,
           std::span<const DepthTrace> trace) override {
    for (size_t i = 0; i < rows.size(); ++i) {
      const DepthTrace* made = shape_.traced ? &trace[i] : nullptr;
      const Vectors of{vectors, rows.size(), i};
      file_.stream() << (csv_ ? csv_lines(of, rows[i], made) : json_line(of, rows[i], made));
    }
  }
  void finish() override { sidecar_.write(); }
  std::vector<FileRange> take_ranges() override {
    const auto end = static_cast<uint64_t>(file_.stream().tellp());
    const FileRange range{taken_, end - taken_};
    taken_ = end;
    return {range};
  }
  AtomicFile& file() override { return file_; }

 private:
  struct Column {
    bool has;
    const char* name;
    std::string EmbeddedRow::*value;
  };
  // Those of text i of n.
  struct Vectors {
    std::span<const float> all;
    size_t n, i;
  };
  std::string numbers_of(const Vectors& v, size_t layer) const {
    return numbers(
        shape_.numbers.rounded(v.all.subspan((layer * v.n + v.i) * shape_.dim, shape_.dim), layer),
        csv_);
  }

  std::string csv_lines(const Vectors& vectors, const EmbeddedRow& row,
                        const DepthTrace* made) const {
    std::string front = shape_.has_file ? csv_field(row.file) + "," : "", lines;
    front += std::to_string(row.line);
    for (const Column& column : columns_) front += "," + csv_field(row.*column.value);
    std::string decided;
    if (made)
      for (const auto& [name, value] : decision(*made, shape_.classes))
        decided += "," + (value.is_null()           ? ""
                          : value.is_string()       ? csv_field(value.get<std::string>())
                          : value.is_number_float() ? fmt::format("{}", value.get<float>())
                                                    : dump_json(value));
    for (size_t l = 0; l < shape_.layers.size(); ++l)
      lines += concat(front, ",", shape_.layers[l], decided, ",", numbers_of(vectors, l), "\n");
    return lines;
  }

  std::string json_line(const Vectors& vectors, const EmbeddedRow& row,
                        const DepthTrace* made) const {
    std::string line = "{";
    if (shape_.has_file) line += concat("\"file\":", dump_json(OrderedJson(row.file)), ",");
    line += fmt::format("\"line\":{}", row.line);
    const auto add = [&](const char* name, const OrderedJson& value) {
      line += concat(",\"", name, "\":", dump_json(value));
    };
    for (const Column& column : columns_) add(column.name, row.*column.value);
    if (made)
      for (const auto& [name, value] : decision(*made, shape_.classes)) add(name, value);
    if (shape_.layers.size() == 1)
      return concat(line, ",\"embedding\":[", numbers_of(vectors, 0), "]}\n");
    std::string layers;
    for (size_t l = 0; l < shape_.layers.size(); ++l)
      layers +=
          concat(l == 0 ? "{\"" : ",\"", shape_.layers[l], "\":[", numbers_of(vectors, l), "]");
    return concat(line, ",\"embedding\":", layers, "},\"embeddings\":", layers, "}}\n");
  }

  EmbeddedTexts shape_;
  bool csv_;
  std::vector<Column> columns_;  // those that there are
  AtomicFile& file_;
  uint64_t taken_;
  Sidecar sidecar_;
};

}  // namespace

void expect_embedding_file(OutputSet& outputs, const fs::path& path) {
  const bool has_sidecar = format_of(path) != Format::kSafetensors;
  outputs.expect(path);
  if (has_sidecar) outputs.expect(sidecar_path(path));
}

fs::path beside_embedding_file(const fs::path& path) {
  return format_of(path) == Format::kSafetensors ? fs::path() : sidecar_path(path);
}

std::unique_ptr<EmbeddingFile> open_embedding_file(const fs::path& path, EmbeddedTexts shape,
                                                   const OrderedJson& made_by, OutputSet& outputs,
                                                   AtomicFile::Unfinished unfinished,
                                                   WrittenSoFar so_far) {
  const Format format = format_of(path);
  const bool is_placed = format == Format::kNpy || format == Format::kSafetensors;
  shape.numbers.check(shape.dim);
  if (format == Format::kNpy && shape.numbers.dtype == OutputDtype::kBF16)
    throw InvalidOption("output_dtype", "bf16 with .safetensors, .jsonl or .csv, or f16",
                        path.string(), "NumPy has no bf16");
  AtomicFile& file = outputs.open(path, unfinished);
  if (unfinished == AtomicFile::Unfinished::kKept)
    file.go_on_at(so_far.n_text == 0 ? 0 : is_placed ? file.size() : so_far.end);
  if (format == Format::kSafetensors)
    return std::make_unique<SafetensorsFile>(file, std::move(shape), so_far, dump_json(made_by));
  Sidecar sidecar{outputs, sidecar_path(path), dump_json(made_by, 2) + "\n"};
  if (format == Format::kNpy)
    return std::make_unique<NpyFile>(file, std::move(shape), so_far, std::move(sidecar));
  return std::make_unique<LinesFile>(file, std::move(shape), format == Format::kCsv, so_far,
                                     std::move(sidecar));
}

}  // namespace fathom
