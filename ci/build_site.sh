#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The site of docs/, into build/site: warnings are errors, every link has a target, nothing comes from
# another machine while a page is read. Commands, HTTP routes and C++ headers are generated from the
# program. Prose that Proselint would change is told as a warning.
#
#   ci/build_site.sh [FATHOM]       [build/release/fathom]
#
# mkdocs-material comes from PyPI into build/site-venv, once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
FATHOM=$(realpath "${1:-build/release/fathom}")
venv=build/site-venv
mkdir -p build
if ! "$venv/bin/python" -c 'import material, mkdocs, proselint' 2> /dev/null; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q -r ci/site_requirements.txt
fi

scripts/depth_curve.py --check
scripts/sweep_results.py check
work=$(mktemp -d)
"$FATHOM" serve models/finch-embed --port 0 --threads 1 2> "$work/log" &
server=$!
trap 'kill "$server" 2> /dev/null || true; rm -rf "$work"' EXIT
address=
for _ in $(seq 300); do
  address=$(grep -oP 'listening at \Khttp://[0-9.:]+' "$work/log" || true)
  [[ -n $address ]] && break
  sleep 0.1
done
export FATHOM FATHOM_OPENAPI=$work/openapi.json
python3 -c 'import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())' \
  "$address/openapi.json" > "$FATHOM_OPENAPI"

NO_MKDOCS_2_WARNING=1 "$venv/bin/mkdocs" build --quiet --strict --clean
python3 ci/check_site.py build/site
python3 ci/prose.py "$venv/bin/proselint" || true
