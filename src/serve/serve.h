// SPDX-License-Identifier: Apache-2.0
// What `fathom serve` does, from its options to its exit code.
#pragma once

#include "serve/options.h"

namespace fathom::serve {

// Listens at once, opens the models meanwhile, answers until a signal ends it. Returns the exit code:
// 0, or 1 where a model cannot be opened. Throws Error for an address, or a file of keys, that cannot
// be used. Logs to standard error.
int serve(const ServeOptions& options);

}  // namespace fathom::serve
