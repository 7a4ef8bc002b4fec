#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The same with one's own pairs and scores: which layer, the recommendation, and vectors by it.
#
#   tests/cli/newcomer_pairs.sh FATHOM_BINARY [MODEL]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
fathom=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "${2:-$here/models/finch-embed}" "$work/model"
rm -f "$work/model/fathom.json"
cp "$here/samples/own_pairs.csv" "$work/pairs.csv"
cd "$work"

step=0
fail() { echo "newcomer_pairs: step $step: $1" >&2; cat out err >&2; exit 1; }
run() {
  step=$((step + 1))
  "$fathom" "$@" > out 2> err || fail "exit code $? of fathom $*"
}
says() { grep -qE -e "$2" "$1" || fail "$1 does not say: $2"; }

# 1. Which layer? All of so few rows are evaluated.
run eval model --task-file pairs.csv --text1 first --text2 second --score score \
  --no-timing --threads 2 --write-recommendation -o results
says out 'All 40 rows are evaluated'
says out '^pairs.csv test: 40 pairs'
says out '^Best layer: [0-9a-z]+, Spearman'
says out 'Chosen on the very rows .* expect a little less'
says model/fathom.json '"layers": "'

# 2. The recommendation is shown, 3. and used.
run info model
says out '^recommended '
run embed model -i pairs.csv --field first -o v.csv
says err 'fathom.json recommends'
[[ $(head -c 14 v.csv) == line,layer,e0, ]] || fail 'v.csv: another header'

# 4. An exit policy for the scores, and 5. scores of pairs.
run fit model --task-file pairs.csv --text1 first --text2 second --score score --threads 2 -o p.policy
run classify model --policy p.policy -i pairs.csv --text1 first --text2 second --label-field score -o out.jsonl
[[ $(wc -l < out.jsonl) -eq 40 ]] || fail 'out.jsonl: expected 40 lines'
says out.jsonl '"text":"The train leaves at noon.","text2":"The train departs at twelve.","truth":"5","label":"'
echo "newcomer_pairs: $step steps, all as they should be"
