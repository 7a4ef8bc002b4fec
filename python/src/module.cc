// SPDX-License-Identifier: Apache-2.0
// fathom._fathom: the engine for Python. Private: fathom/*.py has the interface, with its words and
// defaults; this has what needs C++.
#include <fathom/version.h>
#include <nanobind/nanobind.h>

#include "embedder.h"
#include "errors.h"
#include "options.h"
#include "study.h"

NB_MODULE(_fathom, m) {
  m.doc() = "The engine behind the package fathom.";
  m.def("version", [] { return fathom::version(); });
  fathom::python::translate_errors();
  fathom::python::bind_options(m);
  fathom::python::bind_embedder(m);
  fathom::python::bind_study(m);
}
