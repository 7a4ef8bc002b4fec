// SPDX-License-Identifier: Apache-2.0
// Synthetic models exported into files of their own, and what is in files.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/export.h"
#include "model/run_model.h"

namespace fathom::test {

namespace fs = std::filesystem;

inline constexpr Version kVersions[] = {Version::kV4,   Version::kV5_0, Version::kV5_1,
                                        Version::kV5_2, Version::kV6,   Version::kV7};

inline Shape shape_of(Version version, size_t head_size = 8) {
  return {.version = version,
          .n_layer = 3,
          .d_model = 3 * head_size,
          .d_ffn = 61,
          .head_size = head_size,
          .seed = 7 + head_size};
}

// What was written, and the folder that it lies in.
struct Exported {
  std::unique_ptr<TempFolder> folder = std::make_unique<TempFolder>();
  fs::path file;
  std::string layout;
  std::vector<std::string> notes;
  OrderedJson config;
};

inline Exported to_hugging_face(const fs::path& model, StoredType dtype = StoredType::kF32,
                                std::optional<float> ln_x_eps = std::nullopt) {
  const Checkpoint checkpoint = Checkpoint::open(model);
  ExportSource source(checkpoint, ln_x_eps);
  HuggingFaceExport e = export_hugging_face(source, dtype);
  Exported out{.file = {}, .layout = e.layout, .notes = e.notes, .config = e.config};
  out.file = out.folder->file("model.safetensors");
  write_safetensors(out.file, e.tensors, {{"format", "pt"}});
  out.folder->write("config.json", e.config.dump());
  return out;
}

inline Exported to_gguf(const fs::path& model, StoredType dtype = StoredType::kF32) {
  const Checkpoint checkpoint = Checkpoint::open(model);
  ExportSource source(checkpoint);
  const GgufExport e = export_gguf(source, dtype, "test", 1);
  Exported out{.file = {}, .layout = "GGUF", .notes = e.notes, .config = {}};
  out.file = out.folder->file("model.gguf");
  write_gguf(out.file, e.metadata, e.tensors);
  return out;
}

struct Stored {
  StoredType dtype = StoredType::kF32;
  std::vector<size_t> shape;
  std::vector<float> values;
};
inline std::map<std::string, Stored> read_all(const fs::path& file) {
  const Checkpoint checkpoint = Checkpoint::open(file);
  std::map<std::string, Stored> all;
  for (const Tensor& t : checkpoint.tensors()) {
    Stored& s = all[t.name] = {t.dtype, t.shape, std::vector<float>(t.n_element())};
    read_f32(t, 0, t.n_element(), s.values);
  }
  return all;
}

inline fs::path write_blinkdl(const TempFolder& folder, const SyntheticModel& m) {
  write_arrays(folder.file("m.st"), m.arrays);
  return folder.file("m.st");
}

inline ModelRun run_file(const fs::path& file, const std::vector<uint32_t>& ids) {
  Workspace work(1);
  const Model model = Model::open(file, reference_backend());
  return run_model(model, ids, 0, work);
}

}  // namespace fathom::test
