#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the checks of .clang-tidy; every finding is an error. Not in .ci/run: all of src/ takes about
# as long as a build without a compiler cache.
#
#   ci/check_tidy.sh [FILE...]     these sources, else all of src/
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tidy=${CLANG_TIDY:-clang-tidy}
hash "$tidy" 2> /dev/null || { echo 'check_tidy.sh: install clang-tidy, 14 or newer' >&2; exit 1; }
# Each source by itself.
cmake --preset release -B build/tidy -DFATHOM_TESTS="${FATHOM_TESTS:-OFF}" -DFATHOM_UNITY=OFF > /dev/null

sources=("$@")
[[ ${#sources[@]} -gt 0 ]] || mapfile -t sources < <(find src -name '*.cc' | sort)
# The commands are g++'s: it has warnings that clang does not know.
printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P "$(nproc)" \
  "$tidy" -p build/tidy --quiet --warnings-as-errors='*' \
  --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-error 2> >(grep -vE 'warnings? generated|^$' >&2)
echo "clang-tidy: ${#sources[@]} sources"
