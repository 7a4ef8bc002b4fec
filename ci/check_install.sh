#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs a build into a fresh folder and runs the program from there.
#
#   ci/check_install.sh BUILD_FOLDER
set -euo pipefail
build=$(realpath "$1")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cmake --install "$build" --prefix "$place/usr" > /dev/null

# Away from the sources, with nothing of theirs to lean on.
mkdir "$place/empty"
cd "$place/empty"
fathom() { env -i HOME="$place/empty" PATH=/usr/bin:/bin "$place/usr/bin/fathom" "$@"; }
fathom --version
fathom --help > /dev/null
echo '[{"name": "a", "kind": "correlation", "x": [1, 2, 3], "y": [1, 3, 2]}]' > cases.json
fathom metrics cases.json | grep -q '"spearman": 0.5' \
  || { echo 'check_install.sh: fathom metrics: wrong figure' >&2; exit 1; }
! fathom info nothing.safetensors 2> error.txt && grep -q nothing.safetensors error.txt \
  || { echo 'check_install.sh: fathom info: no clear error' >&2; exit 1; }
echo "installed program runs: $(cd "$place/usr" && find . -type f | tr '\n' ' ')"
