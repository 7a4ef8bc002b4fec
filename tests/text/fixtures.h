// SPDX-License-Identifier: Apache-2.0
// What the tests of text/ share: a scratch folder, the shared data, error messages.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/error_of.h"
#include "base/utf8.h"
#include "paths.h"
#include "text/packed.h"

namespace fathom {

// A folder for one test, removed at its end.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "fathom_text_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw Error("cannot make a scratch folder");
    path_ = name;
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() { std::filesystem::remove_all(path_); }

  std::filesystem::path write(const std::string& name, std::string_view text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline std::filesystem::path shared_folder() {
  const char* folder = std::getenv("FATHOM_SHARED");
  return folder && *folder ? std::filesystem::path(folder)
                           : std::filesystem::path(test::kSourceDir) / "../shared";
}

// Ids 1 to 256 are the bytes, as in the real World vocabulary.
inline std::vector<std::string> byte_tokens() {
  std::vector<std::string> tokens = {""};
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  return tokens;
}

// GPT-2's printable character for a byte.
inline std::string letter(int byte) {
  int n_before = 0;
  const auto printable = [](int b) { return (b >= 33 && b <= 126) || (b >= 161 && b != 173); };
  for (int b = 0; b < byte; ++b) n_before += !printable(b);
  std::string out;
  append_utf8(static_cast<char32_t>(printable(byte) ? byte : 256 + n_before), out);
  return out;
}

inline std::string letters(std::string_view bytes) {
  std::string out;
  for (char c : bytes) out += letter(static_cast<unsigned char>(c));
  return out;
}

}  // namespace fathom
