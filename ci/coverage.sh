#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Line coverage of src/ by all tests: builds with -O1 --coverage, runs ctest, and prints a line a
# file with the lines that no test reaches. By hand; it takes as long as a whole build and the tests.
#
#   ci/coverage.sh [FOLDER] [CTEST FLAGS...]     where to build and to leave coverage.txt [build/coverage]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
hash gcovr 2> /dev/null || { echo 'coverage.sh: install gcovr (Debian or PyPI)' >&2; exit 1; }
build=${1:-build/coverage}
shift || true

cmake -G Ninja -B "$build" -DCMAKE_BUILD_TYPE=Debug -DFATHOM_TESTS=ON \
  -DCMAKE_CXX_FLAGS='-Wall -Wextra -Wpedantic --coverage' -DCMAKE_CXX_FLAGS_DEBUG=-O1 \
  -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)" > /dev/null
cmake --build "$build"
find "$build" -name '*.gcda' -delete
status=0
ctest --test-dir "$build" --output-on-failure --no-tests=error "$@" || status=$?
gcovr --root . --filter src/ --exclude-throw-branches -j "$(nproc)" "$build" > "$build/coverage.txt"
tail -n 3 "$build/coverage.txt"
exit $status
