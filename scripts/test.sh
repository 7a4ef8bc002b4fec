#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From a fresh Debian 12 or 13 to the whole test suite: installs the packages (as root or with
# sudo), builds and runs every test. Fails if a test fails, or if one did not run at all.
#
#   scripts/test.sh [FLAG...]      flags of ctest, for instance -R encode
#
# FATHOM_WERROR=ON makes warnings errors, as CI does. The Python package needs packages of PyPI,
# which go into build/venv: where they cannot be had its tests are left out, which is said at the
# end; FATHOM_PYTHON_TESTS=required makes that an error, FATHOM_PYTHON_TESTS=off leaves them out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python_tests=${FATHOM_PYTHON_TESTS:-on}
scripts/install_packages.sh test

# pip's own cache serves a second run without network.
venv=$PWD/build/venv with_python=OFF why='FATHOM_PYTHON_TESTS=off'
if [[ $python_tests != off ]]; then
  why='its packages could not be had from PyPI (build/venv.log)'
  mkdir -p build
  if { [[ -x $venv/bin/python ]] || python3 -m venv "$venv"; } > build/venv.log 2>&1 &&
    { "$venv/bin/python" -c 'import nanobind, numpy, pytest, mypy, pandas, sklearn, nbclient, jsonschema' ||
      "$venv/bin/pip" install -q -r python/tests/requirements.txt; } >> build/venv.log 2>&1; then
    with_python=ON
  elif [[ $python_tests == required ]]; then
    echo "test.sh: the Python package: $why" >&2
    exit 1
  fi
fi
cmake --preset release -DFATHOM_TESTS=ON -DFATHOM_WERROR="${FATHOM_WERROR:-OFF}" \
  -DFATHOM_PYTHON="$with_python" -DPython_EXECUTABLE="$venv/bin/python" \
  -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)"
cmake --build --preset release

# CMake passes over a folder without sources, so that a lost one would go unnoticed.
for folder in tests/*/; do
  program=build/release/test_$(basename "$folder")
  compgen -G "$folder*_test.cc" > /dev/null || continue
  [[ -x $program ]] || { echo "test.sh: $program was not built" >&2; exit 1; }
done
ctest --preset release --no-tests=error --parallel "$(nproc)" "$@"

if [[ $with_python == ON && $# -eq 0 ]]; then
  site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
  rm -rf "$site/fathom"
  cmake --install build/release --component python --prefix "$site" > /dev/null
  "$venv/bin/python" -m pytest -q python/tests
elif [[ $# -eq 0 ]]; then
  printf '\n*** The Python package was NOT built or tested: %s.\n' "$why"
fi
