#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The server's pages in a real browser: what stands on them once their scripts have run. Pictures of
# both, in light and dark, go to FOLDER, to be looked at. 77: there is no chromium.
#
#   tests/serve/page.sh FATHOM [FOLDER]
set -euo pipefail
fathom=$(realpath "${1:?usage: page.sh FATHOM [FOLDER]}")
pictures=${2-}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
hash chromium 2> /dev/null || exit 77
. "$root/tests/serve/start_server.sh"
start_server "$fathom" "$root" fixed:3

browse() {  # FLAG... PATH
  timeout 120 chromium --headless=new --no-sandbox --disable-gpu --user-data-dir="$work/profile" \
    --virtual-time-budget=8000 --window-size=900,1900 "${@:1:$#-1}" "$address${*: -1}" 2> "$work/browser.log"
}
expect() {  # PAGE PATTERN MEANING
  grep -qP "$2" "$work/$1" || { echo "page.sh: $1: $3 is not there" >&2; exit 1; }
}
browse --dump-dom / > "$work/index"
expect index 'RWKV-6, 12 blocks of 192' 'what is served'
expect index 'role="img" aria-label="Cosine similarity by layer: 0 [0-9.-]+, 1 ' 'the curve, in words'
expect index 'class="curve" d="M[0-9. ]+L' 'the curve'
expect index 'short stops at layer 3 and 3: [0-9]+ % of the FLOPs' 'where the policy stops'
expect index 'class="token"' 'a token'
expect index '<tr><td>[0-9.]+</td><td>[A-Z][^<]+</td></tr><tr>' 'a ranking'
# Each field has its label, and nothing comes from elsewhere.
for id in $(grep -oP '<(textarea|input)[^>]* id="\K[^"]+' "$work/index"); do
  expect index "<label for=\"$id\"" "the label of $id"
done
if grep -qP '(src|href)="(https?:)?//' "$work/index"; then echo 'page.sh: something comes from elsewhere' >&2; exit 1; fi
browse --dump-dom /docs > "$work/docs"
expect docs '<code>POST /v1/embeddings</code>' 'a route'
if [[ -n $pictures ]]; then
  browse --screenshot="$pictures/light.png" / > /dev/null
  browse --screenshot="$pictures/dark.png" --blink-settings=preferredColorScheme=0 / > /dev/null
  browse --screenshot="$pictures/docs.png" /docs > /dev/null
fi
