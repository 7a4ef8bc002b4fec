#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From a fresh Debian 12 or 13 to the whole test suite: installs the packages (as root or with
# sudo), builds and runs every test. Fails if a test fails, or if one did not run at all.
#
#   scripts/test.sh [FLAG...]      flags of ctest, for instance -R encode
#
# FATHOM_WERROR=ON makes warnings errors, as CI does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install_packages.sh test
cmake --preset release -DFATHOM_TESTS=ON -DFATHOM_WERROR="${FATHOM_WERROR:-OFF}" \
  -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)"
cmake --build --preset release

# CMake passes over a folder without sources, so that a lost one would go unnoticed.
for folder in tests/*/; do
  program=build/release/test_$(basename "$folder")
  compgen -G "$folder*_test.cc" > /dev/null || continue
  [[ -x $program ]] || { echo "test.sh: $program was not built" >&2; exit 1; }
done
ctest --preset release --no-tests=error --parallel "$(nproc)" "$@"
