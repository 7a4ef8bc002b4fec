// SPDX-License-Identifier: Apache-2.0
#include "formats/ggmf.h"
#include "fuzz_weights.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fathom::fuzz::parse_and_read(fathom::parse_ggmf, data, size);
  return 0;
}
