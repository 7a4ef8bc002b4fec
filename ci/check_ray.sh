#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fathom.bulk on Ray itself: 2,000 rows on two actors, with the bytes of one process. What takes longer,
# such as killed actors and lost nodes: tests/peers/run.sh ray.
#
#   ci/check_ray.sh [BUILD]    with the Python package that scripts/test.sh built there [build/release]
#
# Ray comes from PyPI into build/venv-ray. Where it cannot be had the run is left out, which is said;
# FATHOM_PYTHON_TESTS=required makes that an error, FATHOM_PYTHON_TESTS=off leaves it out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:-build/release}
venv=$PWD/build/venv-ray
mode=${FATHOM_PYTHON_TESTS:-on}

left_out() {
  if [[ $mode == required ]]; then
    echo "check_ray.sh: $1" >&2
    exit 1
  fi
  printf '\n*** fathom.bulk was NOT run on Ray: %s.\n' "$1"
  exit 0
}

[[ $mode != off ]] || left_out 'FATHOM_PYTHON_TESTS=off'
grep -qs '^FATHOM_PYTHON:BOOL=ON' "$build/CMakeCache.txt" || left_out "$build has no Python package"
python=$(sed -n 's/^Python_EXECUTABLE:[A-Z]*=//p' "$build/CMakeCache.txt")
# Beside the package lie its dependencies; a Ray of another version stays where it is.
{ [[ -x $venv/bin/python ]] || "${python:-python3}" -m venv "$venv"; } > build/venv-ray.log 2>&1 &&
  { "$venv/bin/python" -c 'import ray, pyarrow, numpy' 2> /dev/null ||
    "$venv/bin/pip" install -q --retries 2 --timeout 20 ray pyarrow numpy; } >> build/venv-ray.log 2>&1 ||
  left_out 'it could not be had from PyPI (build/venv-ray.log)'
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
rm -rf "$site/fathom"
cmake --install "$build" --component python --prefix "$site" > /dev/null
timeout 300 "$venv/bin/python" tests/peers/check_ray.py smoke
