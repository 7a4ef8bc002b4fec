// SPDX-License-Identifier: Apache-2.0
#include "paths.h"

namespace fathom::testing {

const char* const kSourceDir = FATHOM_SOURCE_DIR;
const char* const kBinary = FATHOM_BINARY;

}  // namespace fathom::testing
