# SPDX-License-Identifier: Apache-2.0
# For the scripts beside it, which source it: the program as a server on loopback.

# start_server FATHOM ROOT DEPTH: with the policy `short` of this depth, in $work, a new folder; $server is
# its process, $address where it listens. Both go at the end of the script.
start_server() {
  work=$(mktemp -d)
  "$1" serve "$2/models/finch-embed" --port 0 --threads 1 --policy "short=$3" 2> "$work/log" &
  server=$!
  trap 'kill "$server" 2> /dev/null || true; rm -rf "$work"' EXIT
  for _ in $(seq 600); do
    grep -q 'ready after' "$work/log" && break
    sleep 0.1
  done
  address=$(grep -oP 'listening at \Khttp://[0-9.:]+' "$work/log") || { cat "$work/log" >&2; exit 1; }
}
