// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

namespace fathom::python {

void bind_embedder(nanobind::module_& m);

}  // namespace fathom::python
