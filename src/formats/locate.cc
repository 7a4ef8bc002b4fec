// SPDX-License-Identifier: Apache-2.0
#include "formats/locate.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/error.h"

namespace fathom {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kHuggingFaceFiles[] = {
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
    "pytorch_model.bin.index.json"};
constexpr std::string_view kWeightEndings[] = {".safetensors", ".st", ".pth", ".bin", ".gguf"};

std::string joined_names(std::span<const fs::path> paths) {
  std::string text;
  for (const fs::path& p : paths.first(std::min<size_t>(paths.size(), 8)))
    text += (text.empty() ? "" : ", ") + p.filename().string();
  return paths.size() > 8 ? text + ", ..." : text;
}

std::vector<fs::path> weight_files(const fs::path& directory) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    const std::string ending = at->path().extension().string();
    const bool known = std::find(std::begin(kWeightEndings), std::end(kWeightEndings), ending) !=
                       std::end(kWeightEndings);
    std::error_code ignored;
    if (known && !at->is_directory(ignored)) found.push_back(at->path());
  }
  FATHOM_REQUIRE(!error, directory.string(), ": cannot read the folder: ", error.message());
  std::sort(found.begin(), found.end());
  return found;
}

// True for the later parts of a split GGUF whose first part is in `files`.
bool is_later_part(const fs::path& file, std::span<const fs::path> files) {
  const std::string name = file.filename().string();
  const size_t at = name.rfind("-of-");
  if (file.extension() != ".gguf" || at == name.npos || at < 6) return false;
  const std::string first = name.substr(0, at - 5) + "00001" + name.substr(at);
  return first != name &&
         std::find(files.begin(), files.end(), file.parent_path() / first) != files.end();
}

// Moves the files that `keep` does not want from `files` to `others`.
template <class Keep>
void move_unless(Keep keep, std::vector<fs::path>& files, std::vector<fs::path>& others) {
  const auto end = std::stable_partition(files.begin(), files.end(), keep);
  others.insert(others.end(), end, files.end());
  files.erase(end, files.end());
}

// The file to open in a folder that has none of Hugging Face's names.
LocatedWeights sole_weight_file(const fs::path& directory) {
  const std::vector<fs::path> found = weight_files(directory);
  FATHOM_REQUIRE(!found.empty(), directory.string(), ": no weights in this folder; looked for ",
                 "model.safetensors, model.safetensors.index.json, pytorch_model.bin, ",
                 "pytorch_model.bin.index.json and one file *.safetensors, *.st, *.pth, *.bin, ",
                 "*.gguf");
  const auto is_model = [](const fs::path& p) { return p.stem() == "model"; };
  const auto is_safetensors = [](const fs::path& p) {
    return p.extension() == ".safetensors" || p.extension() == ".st";
  };
  const auto is_torch = [](const fs::path& p) {
    return p.extension() == ".pth" || p.extension() == ".bin";
  };
  std::vector<fs::path> candidates, others;
  for (const fs::path& p : found)
    if (!is_later_part(p, found)) candidates.push_back(p);
  // PEFT's adapter beside a model is not the model.
  const auto is_adapter = [](const fs::path& p) { return p.stem() == "adapter_model"; };
  if (!std::all_of(candidates.begin(), candidates.end(), is_adapter))
    move_unless([&](const fs::path& p) { return !is_adapter(p); }, candidates, others);
  if (std::count_if(candidates.begin(), candidates.end(), is_model) == 1)
    move_unless(is_model, candidates, others);
  if (std::any_of(candidates.begin(), candidates.end(), is_safetensors))
    move_unless([&](const fs::path& p) { return !is_torch(p); }, candidates, others);
  FATHOM_REQUIRE(candidates.size() == 1, directory.string(), ": several weight files (",
                 joined_names(candidates), "); name the one to open");
  return {candidates.front(), joined_names(others)};
}

}  // namespace

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

LocatedWeights locate_weights(const fs::path& directory) {
  std::vector<fs::path> present;
  std::error_code ignored;
  for (std::string_view name : kHuggingFaceFiles)
    if (fs::exists(directory / name, ignored)) present.push_back(directory / name);
  if (present.empty()) return sole_weight_file(directory);
  return {present.front(), joined_names(std::span(present).subspan(1))};
}

}  // namespace fathom
