#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `pip install .` into a fresh virtual environment, and the package on its own there: not from the
# repository's folder, with nothing but numpy beside it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CMAKE_CXX_COMPILER_LAUNCHER CXXFLAGS='-Wall -Wextra -Wpedantic' CXX=${CXX:-c++}
CMAKE_CXX_COMPILER_LAUNCHER=$(command -v ccache || true)

python3 -m venv "$work/venv"
# The compiler's name and flags are those of .ci/run's other builds, so that a compiler cache serves this one.
"$work/venv/bin/pip" install -q -Cbuild-dir="$root/build/pip" \
  -Ccmake.define.FATHOM_WERROR="${FATHOM_WERROR:-OFF}" "$root"
cd "$work"
"$work/venv/bin/python" - "$root/models/finch-embed" <<'CODE'
import sys

import fathom

with fathom.Model(sys.argv[1]) as m:
    x = m.encode(["The cat sat.", "A dog ran off."], layers=[0, 3, "final"], normalize=True)
    assert x.shape == (3, 2, 192), x.shape
CODE
"$work/venv/bin/fathom" --version
"$work/venv/bin/python" -m fathom info "$root/models/finch-embed" > /dev/null
