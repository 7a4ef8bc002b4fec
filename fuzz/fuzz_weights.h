// SPDX-License-Identifier: Apache-2.0
// What the fuzz targets of the weight formats share: parse the bytes, read what was accepted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "formats/file_contents.h"

namespace fathom::fuzz {

// Errors are what a bad file should give; whatever else happens is a finding. Small tensors are
// read whole, of large ones the first and the last row: these reach the ends of their bytes.
inline void parse_and_read(FileContents (*parse)(std::span<const std::byte>), const uint8_t* data,
                           size_t size) {
  constexpr size_t kSmall = 4096;
  try {
    const FileContents contents = parse(std::as_bytes(std::span(data, size)));
    std::vector<float> values;
    for (const Tensor& t : contents.tensors) {
      if (t.dtype == StoredType::kOther) continue;  // listed, never read
      const size_t n = t.n_element(), cols = t.cols();
      const auto read = [&](size_t begin, size_t end) {
        values.resize(end - begin);
        read_f32(t, begin, end, values);
      };
      if (n <= kSmall) {
        read(0, n);
      } else if (cols <= 16 * kSmall) {
        read(0, cols);
        read(n - cols, n);
      }
    }
  } catch (const Error&) {
  }
}

}  // namespace fathom::fuzz
