// SPDX-License-Identifier: Apache-2.0
// What people call a file: "words-50d" for models/words-50d.txt.xz. Pure; thread-safe.
#pragma once

#include <filesystem>
#include <string>

namespace fathom {

// The name without its folders, without what it is packed with and without .txt, .bin or .vec.
inline std::string file_title(const std::filesystem::path& place) {
  std::filesystem::path file = place.filename();
  for (const char* end : {".gz", ".xz", ".zst", ".bz2", ".zip"})
    if (file.extension() == end) {
      file = file.stem();
      break;
    }
  for (const char* end : {".txt", ".bin", ".vec"})
    if (file.extension() == end) return file.stem().string();
  return file.string();
}

}  // namespace fathom
