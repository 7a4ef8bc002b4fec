// SPDX-License-Identifier: Apache-2.0
// FileContents: what a parser found in one weight file. Everything points into the file's bytes,
// which outlive it. Checkpoint puts the contents of several files together.
//
// Every parser is `FileContents parse_<format>(bytes)`; it throws Error, naming the tensor or the
// field but not the file (whoever opened the file adds its path), and allocates at most a constant.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "formats/checkpoint.h"

namespace fathom {

struct FileContents {
  FileFormat format = FileFormat::kSafetensors;
  std::vector<Tensor> tensors;                             // names are unique
  std::map<std::string, MetaValue, std::less<>> metadata;  // GGUF
  Json attributes;  // safetensors: object of strings, or null
  Json extras;      // torch: object, or null
  std::optional<GgmfHeader> ggmf;
  std::vector<std::string> notes;
};

}  // namespace fathom
