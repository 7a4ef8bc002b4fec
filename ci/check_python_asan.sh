#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# python/tests once more under AddressSanitizer, with 10,000 models opened, used and let go of: takes
# an hour, so run it by hand before a release. The interpreter itself is not built for it, so the
# runtime is preloaded, and leaks, which are mostly Python's own, are left to the count of memory.
#
#   ci/check_python_asan.sh [VENV]      with the packages of python/tests/requirements.txt [build/venv]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=$(realpath "${1:-build/venv}")
cmake --preset asan -DFATHOM_PYTHON=ON -DFATHOM_TESTS=OFF -DPython_EXECUTABLE="$venv/bin/python" \
  -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)"
runtimes="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libstdc++.so)"
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
# The stubs are made by importing the module.
LD_PRELOAD=$runtimes cmake --build --preset asan --target _fathom fathom _fathom_stub
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
cmake --install build/asan --component python --prefix "$site" > /dev/null
export PYTHONPATH=$site FATHOM_CYCLES=${FATHOM_CYCLES:-10000}
# Types are not looked at again, and a kernel in a notebook gets an environment of its own.
LD_PRELOAD=$runtimes "$venv/bin/python" -m pytest -q python/tests \
  --deselect python/tests/test_package.py::test_typed -k 'not notebooks'
