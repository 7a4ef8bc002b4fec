// SPDX-License-Identifier: Apache-2.0
// fathom.evaluate, fit, sweep, advise and prune: each runs as the program's command does, and gives
// its results as JSON, and as an HTML page with the report's figures.
#pragma once

#include <nanobind/nanobind.h>

namespace fathom::python {

void bind_study(nanobind::module_& m);

}  // namespace fathom::python
