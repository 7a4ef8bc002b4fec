// SPDX-License-Identifier: Apache-2.0
// From named tensors to weights: integers with scales, 8-bit floats, LoRA matrices beside the
// weights, names of every layout. The input is a model's file, or adapter_config.json if it begins
// like one. What is accepted is read, whole or by its first and last rows.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/inspect.h"

namespace {

using namespace fathom;

// A file without a name.
struct MemoryFile {
  int descriptor = ::memfd_create("fuzz", 0);
  explicit MemoryFile(std::string_view bytes) {
    if (::write(descriptor, bytes.data(), bytes.size()) < 0) std::abort();
  }
  ~MemoryFile() { ::close(descriptor); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor); }
};

void read(const SourceWeight& weight) {
  constexpr size_t kSmall = 4096;
  const size_t rows = weight.rows(), cols = weight.cols();
  if (rows == 0 || cols == 0 || cols > 16 * kSmall) return;
  std::vector<float> values(rows * cols <= kSmall ? rows * cols : cols);
  if (rows * cols <= kSmall) {
    read_rows(weight, 0, rows, values.data());
  } else {
    read_rows(weight, 0, 1, values.data());
    read_rows(weight, rows - 1, rows, values.data());
  }
}

struct Reader {
  Names& names;
  size_t block;
  void operator()(const char* name, const Vec&, size_t) const {
    if (auto weight = names.find(name, block)) read(*weight);
  }
  void operator()(const char* name, const Linear&, size_t, size_t) const {
    if (auto weight = names.find(name, block)) read(*weight);
  }
};

void open_and_read(std::string_view bytes) {
  const MemoryFile file(bytes);
  const Checkpoint checkpoint = Checkpoint::open(file.path());
  ModelOptions options;
  options.adapter_alpha = 2;
  const Adapters adapters = Adapters::open(checkpoint, options);
  Names names(checkpoint);
  adapters.merge_into(names);
  ModelInfo info;
  const Config config = inspect(names, checkpoint, options, info);
  account_for_changes(names, checkpoint, adapters, options, info);
  if (config.n_layer > 4) return;
  for (size_t i = 0; i < config.n_layer; ++i) {
    Block empty = empty_block(config.version);
    for_each_weight(empty, config, i, Reader{names, i});
  }
  for (const char* name : {"emb.weight", "head.weight", "ln_out.weight"})
    if (auto weight = names.find(name)) read(*weight);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    if (text.starts_with('{'))
      fathom::parse_adapter_config(text);
    else
      open_and_read(text);
  } catch (const fathom::Error&) {
  }
  return 0;
}
