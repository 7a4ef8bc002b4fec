// SPDX-License-Identifier: Apache-2.0
// `fathom serve`, from its options to its exit code.
#pragma once

#include "serve/options.h"

namespace fathom::serve {

// Listens at once, opens the models meanwhile, answers until a signal ends it. Throws Error, or
// UsageError, for an address, a file of keys or a model that cannot be used. Logs to standard
// error.
void serve(const ServeOptions& options);

}  // namespace fathom::serve
