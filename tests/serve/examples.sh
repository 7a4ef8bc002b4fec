#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The program as a server on loopback: every curl example of docs/server.md, vectors beside those of
# `fathom embed`, and an end by SIGTERM. 77: there is no curl.
#
#   tests/serve/examples.sh FATHOM
set -euo pipefail
fathom=$(realpath "${1:?usage: examples.sh FATHOM}")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
hash curl 2> /dev/null || exit 77
. "$root/tests/serve/start_server.sh"
start_server "$fathom" "$root" fixed:2
curl -sf "$address/health" > /dev/null || { cat "$work/log" >&2; exit 1; }

n=0
while IFS= read -r line; do
  command=${line//localhost:8080/$address}
  eval "${command/curl -s/curl -s --fail-with-body}" > "$work/reply" \
    || { echo "examples.sh: failed: $line: $(cat "$work/reply")" >&2; exit 1; }
  n=$((n + 1))
done < <(grep '^curl -s' "$root/docs/server.md")
[[ $n -ge 12 ]] || { echo "examples.sh: found $n examples" >&2; exit 1; }

# The same numbers as the command's, to the last digit that either writes.
printf 'The cat sat.\n' > "$work/text"
"$fathom" embed "$root/models/finch-embed" -i "$work/text" -o "$work/e.csv" --layers 3 --normalize \
  --threads 1 2> "$work/embed.log"
curl -s "$address/embed" -d '{"inputs": "The cat sat.", "layer": 3}' > "$work/vector"
python3 - "$work/e.csv" "$work/vector" << 'PY'
import csv, json, struct, sys
f32 = lambda x: struct.pack("<f", float(x))
row = list(csv.reader(open(sys.argv[1])))[-1]
vector = json.load(open(sys.argv[2]))[0]
assert [f32(x) for x in row[-len(vector):]] == [f32(x) for x in vector], "other bits than fathom embed"
PY

kill -TERM "$server"
wait "$server" || { echo "examples.sh: SIGTERM gave $?" >&2; cat "$work/log" >&2; exit 1; }
! grep -q 'The cat sat' "$work/log" || { echo "examples.sh: a text is in the log" >&2; exit 1; }
echo "$n examples"
