// SPDX-License-Identifier: Apache-2.0
// The storage that the tests of torch files take their tensors from.
#pragma once

#include <string>
#include <utility>

#include "formats/build_files.h"
#include "formats/torch_zip.h"

namespace fathom::test {

inline Parsed parse_pth(std::string file) { return parsed(parse_torch, std::move(file)); }

inline const std::string kSix = data_of<float>({1, 2, 3, 4, 5, 6});
inline const std::string kStorage = pickle::storage("FloatStorage", "0", 6);
// The whole storage as one row.
inline const std::string kRow = pickle::tensor(kStorage, 0, {6}, {1});

}  // namespace fathom::test
