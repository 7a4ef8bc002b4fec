// SPDX-License-Identifier: Apache-2.0
// The weights of an ExportSource one by one, with the values and the meaning of BlinkDL's files,
// and their bytes in the file's type. Private to model/.
#pragma once

#include <functional>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "formats/write_tensor.h"
#include "model/export.h"

namespace fathom {

// A weight small enough to be held whole, read when it is written.
struct SmallWeight {
  SourceWeight source;
  std::function<void(std::vector<float>&)> change;  // what is done to the numbers; may be empty

  std::vector<float> read() const;
};

// A vector as BlinkDL stores it: what rwkv.cpp's files hold transformed is turned back, and what
// differs by layout is not visible. att.time_faaaa of v5 is the bonus itself, never its logarithm.
// v5.0 and v5.1: one number a head, as in the file.
SmallWeight export_vector(ExportSource& source, std::string_view name, std::optional<size_t> block);
// att.time_state as (H, value, key).
SmallWeight export_state(ExportSource& source, size_t block);
// A matrix as (out, in), any rescale undone.
SourceWeight export_matrix(ExportSource& source, std::string_view name,
                           std::optional<size_t> block);
// The same as (in, out).
SmallWeight transposed(SourceWeight matrix);

// Parts, one after the other, are the tensor.
TensorToWrite write_small(std::string name, std::vector<size_t> shape, StoredType dtype,
                          std::vector<SmallWeight> parts);
// Streamed in pieces of rows; shape (rows, cols).
TensorToWrite write_matrix(std::string name, StoredType dtype, SourceWeight matrix);

// Writes values as dtype (F32, F16, BF16, Q8_0: whole blocks); `name` is what the Error calls them
// if one is too large for dtype. Q8_0: per 32 values d = max|x| / 127, stored as f16, and
// q = x / d rounded half away from zero (docs/layouts.md, "Blocks of quantised numbers").
void write_as(std::ostream& out, const std::string& name, StoredType dtype,
              std::span<const float> values);

// Goes through the weights of a model in the order in which files keep them: embedding, ln0,
// blocks, ln_out, head. What a layout makes of each is its own.
class WeightLister {
 public:
  WeightLister(ExportSource& source, StoredType dtype)
      : source_(source), c_(source.config), dtype_(dtype) {}
  virtual ~WeightLister() = default;

  std::vector<TensorToWrite> list();

  // Of for_each_weight().
  void operator()(const char* name, Vec&, size_t size) { vector(name, size); }
  void operator()(const char* name, Linear&, size_t, size_t) { matrix(name); }

 protected:
  virtual std::string name_of(const std::string& canonical) const = 0;  // in the current block
  virtual void vector(const std::string& name, size_t size) = 0;
  virtual void matrix(const std::string& name) = 0;
  virtual void rest_of_block() {}  // what for_each_weight() does not know
  virtual void no_head() {}

  void layer_norm(const std::string& name);
  // v6's second mix LoRA, the groups w, k, v, r, g as one tensor: (5, R, C), or (5, C, R) as
  // out_in.
  void mix_lora_up(StoredType dtype, bool out_in);

  ExportSource& source_;
  const Config& c_;
  StoredType dtype_;
  std::optional<size_t> block_;
  std::vector<TensorToWrite> out_;
};

// The shortest decimal number that is this float, as a double: 1e-05 and not 9.99999974737875e-06.
double shortest(float value);

}  // namespace fathom
