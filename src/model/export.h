// SPDX-License-Identifier: Apache-2.0
// Export: a model in the layout of another program, as lists of tensors ready to be written
// (formats/write_safetensors.h, write_gguf.h). Input is any layout that Names understands. Weights
// are read one at a time when they are written, so a model is never in memory as a whole.
//
// Sources of the layouts: docs/layouts.md. Matrices are written as dtype, vectors and small tables
// always as F32. A number that dtype cannot hold is an Error.
//
// Legend: C d_model, A d_att, F d_ffn, H heads, N head_size, R a LoRA rank, V n_vocab.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "formats/write_gguf.h"
#include "model/model.h"

namespace fathom {

// A model whose tensors were found and checked, but not read. The checkpoint has to stay until all
// that was made of it is written. One thread at a time.
struct ExportSource {
  // ln_x_eps overrides the choice of config_of(). Throws Error as Model::open does.
  explicit ExportSource(const Checkpoint& checkpoint, std::optional<float> ln_x_eps = std::nullopt);
  // The options that change the weights: adapters, ignored tensors, the epsilons.
  ExportSource(const Checkpoint& checkpoint, const ModelOptions& options);

  const Checkpoint& checkpoint;
  Adapters adapters;
  Names names;
  ModelInfo info;
  Config config;
  size_t rescale_every = 0;  // see inspect.h
};

struct HuggingFaceExport {
  std::string layout;  // in words, "RWKV-6 Finch"
  OrderedJson config;  // config.json
  std::vector<TensorToWrite> tensors;
  std::vector<std::string> notes;  // what the layout made necessary, one sentence each
};

// v4, v5, v6: the classes Rwkv*ForCausalLM of Hugging Face. v7: fla's RWKV7ForCausalLM; where fla
// would compute something else (it ties the epsilon of the group norm to the head size, and d_att
// to d_model), BlinkDL's names as in RWKV-block. Without ln0 (Config::has_ln0): fla
// with norm_first false, else transformers' own layout. dtype: F32, F16 or BF16. Throws Error if no
// layout can say what the model is.
HuggingFaceExport export_hugging_face(ExportSource& source, StoredType dtype);

struct GgufExport {
  std::string architecture;  // "rwkv6", "rwkv7"
  GgufMetadata metadata;     // without tokenizer.*
  std::vector<TensorToWrite> tensors;
  std::vector<std::string> notes;
};

// For llama.cpp. dtype: F32, F16, BF16 or Q8_0; matrices whose rows are no whole number of blocks
// become F16 then, and the low-rank ones are F32 always, as llama-quantize leaves them.
// `pooling`: what becomes of the tokens' vectors, as llama.cpp counts (0 none, 1 mean, 3 last).
// Throws UsageError for v4 and v5, Error for what llama.cpp cannot express.
GgufExport export_gguf(ExportSource& source, StoredType dtype, const std::string& name,
                       uint32_t pooling);

}  // namespace fathom
