// SPDX-License-Identifier: Apache-2.0
#include "formats/hub_cache.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/error.h"

namespace fathom {

namespace fs = std::filesystem;

namespace {

constexpr size_t kMaxRef = 256;  // of refs/main: a commit's 40 hexadecimal digits

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// "models--ORG--NAME/" has no last part: the folder without its slash.
fs::path without_slash(const fs::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

bool is_hub_folder(const fs::path& path) {
  return without_slash(path).filename().string().starts_with("models--") &&
         is_folder(path / "snapshots");
}

// The commit in refs/main, or "".
std::string main_commit(const fs::path& folder) {
  const fs::path ref = folder / "refs" / "main";
  std::ifstream in(ref, std::ios::binary);
  if (!in) return {};
  std::string text(kMaxRef, '\0');
  in.read(text.data(), kMaxRef);
  text.resize(static_cast<size_t>(in.gcount()));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.pop_back();
  const bool is_name = !text.empty() && text.find('/') == text.npos && text != "." &&
                       text != ".." && text.find('\0') == text.npos;
  FATHOM_REQUIRE(is_name, ref.string(), ": expected the name of a snapshot");
  return text;
}

fs::path snapshot_of(const fs::path& folder) {
  const fs::path snapshots = folder / "snapshots";
  if (const std::string commit = main_commit(folder); !commit.empty()) {
    FATHOM_REQUIRE(is_folder(snapshots / commit), (snapshots / commit).string(),
                   ": this snapshot, which refs/main names, is not there (was the download broken",
                   " off?)");
    return snapshots / commit;
  }
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator at(snapshots, error), end; !error && at != end; at.increment(error))
    if (is_folder(at->path())) found.push_back(at->path());
  FATHOM_REQUIRE(!found.empty(), snapshots.string(), ": no snapshot in this folder");
  FATHOM_REQUIRE(found.size() == 1, folder.string(), ": ", found.size(),
                 " snapshots and no refs/main that chooses one; name the one to open");
  return found.front();
}

// ORG/NAME as the hub allows them; what ends like a file of weights is meant as a path.
bool is_hub_name(const std::string& text) {
  const size_t slash = text.find('/');
  if (slash == text.npos || slash == 0 || slash + 1 == text.size()) return false;
  if (text.find('/', slash + 1) != text.npos || text[0] == '.' || text[0] == '~') return false;
  for (std::string_view ending : {".safetensors", ".st", ".pth", ".bin", ".gguf", ".json", ".pt"})
    if (text.ends_with(ending)) return false;
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.' || c == '/';
  });
}

}  // namespace

fs::path hub_cache() {
  const auto variable = [](const char* name) -> std::optional<fs::path> {
    const char* value = std::getenv(name);
    if (!value || !*value) return std::nullopt;
    return fs::path(value);
  };
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (const auto cache = variable(name)) return *cache;
  if (const auto home = variable("HF_HOME")) return *home / "hub";
  if (const auto cache = variable("XDG_CACHE_HOME")) return *cache / "huggingface" / "hub";
  return variable("HOME").value_or("") / ".cache" / "huggingface" / "hub";
}

fs::path resolve_model_path(const fs::path& path) {
  if (is_hub_folder(path)) return snapshot_of(path);
  const std::string text = path.string();
  std::error_code ignored;
  if (fs::exists(path, ignored) || !is_hub_name(text)) return path;
  const size_t slash = text.find('/');
  const fs::path cache = hub_cache();
  const fs::path folder =
      cache / concat("models--", text.substr(0, slash), "--", text.substr(slash + 1));
  FATHOM_REQUIRE(is_hub_folder(folder), text,
                 ": no such file or folder, and not in the hub's cache ", cache.string(),
                 "; if it is a model of huggingface.co: hf download ", text,
                 " (older: huggingface-cli download ", text, ")");
  return snapshot_of(folder);
}

}  // namespace fathom
