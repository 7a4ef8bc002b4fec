#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A newcomer's afternoon: sixty labelled sentences in a CSV, a model, and the question how deep it has to
# read. Ten commands, no file but the table and the model; every output is checked.
#
#   tests/cli/newcomer.sh FATHOM_BINARY [MODEL]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
fathom=$(realpath "$1")
model=${2:-$here/models/finch-embed}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/samples/topics.csv" "$work/topics.csv"
cd "$work"

step=0
fail() { echo "newcomer: step $step: $1" >&2; cat out err >&2; exit 1; }
# Runs the program; its outputs are in the files out and err.
run() {
  step=$((step + 1))
  "$fathom" "$@" > out 2> err || fail "exit code $? of fathom $*"
}
says() { grep -qE -e "$2" "$1" || fail "$1 does not say: $2"; }

# 1. What is this model?
run info "$model"
says out '^recommended +layer 3'

# 2. A table without a column is refused, and its columns are listed.
step=2
"$fathom" embed "$model" -i topics.csv -o v.npy > out 2> err && fail 'a table without --field was taken'
says err 'columns: id, text, topic'

# 3. Vectors with what belongs to them.
run embed "$model" -i topics.csv --field text --id-field id --label-field topic --with-text -o v.jsonl
[[ $(wc -l < v.jsonl) -eq 60 ]] || fail 'v.jsonl: expected 60 lines'
says v.jsonl '^\{"line":2,"id":"t01","text":"Stir the soup slowly until it thickens.","label":"kitchen","embedding":\['
says err 'layer 3'

# 4. How good is each layer on my task? A table, and the verdict in words.
run eval "$model" --task-file topics.csv --text text --label topic --threads 2 --no-timing \
  --save-task topics.task.json -o results
says out '^topics.csv test: 60 texts'
says out 'fewer than 500 rows'
says out '^Best layer: [0-9a-z]+, Accuracy 0\.[0-9]+ \[.*by a linear probe'
says out 'shallowest that is not worse|Every shallower layer is worse|No shallower layer'
says out '^It takes [0-9]+ % of the FLOPs'
says out '^Use it: fathom embed .* --layers '
[[ -s results/report.html && -s results/results.csv ]] || fail 'no report'

# 5. The command that it names works.
layer=$(grep -oP '^Use it: .*--layers \K\S+' out)
run embed "$model" -i topics.csv --field text -o v.npy --layers "$layer"

# 6. A policy that stops early, from the task that was kept; few rows are told of.
run fit "$model" --task topics.task.json -o topics.policy --heads heads.safetensors --threads 2
says err 'calibration rows'
[[ -s topics.policy ]] || fail 'no policy'

# 7. What is in it?
run policy show topics.policy
says out 'kitchen'

# 8. Classes by name, each text as deep as it needs.
run classify "$model" --policy topics.policy -i topics.csv --text text --id-field id \
  --label-field topic -o out.csv
[[ $(head -n 1 out.csv) == line,id,text,truth,label,confidence,exit_layer,flops_share ]] \
  || fail 'out.csv: another header'
says out.csv '^[0-9]+,t60,.*,transport,'
says err '^60 texts: layer [0-9.]+ of 12 on average'
says err 'accuracy (0\.[6-9]|1\.0)'

# 9. The same as a table on the terminal, from lines.
printf 'Fry the onions in oil.\nThe train is late.\n' > lines.txt
run classify "$model" --policy topics.policy -i lines.txt
says out 'Confidence'
says out 'The train is late'

# 10. Which of my texts are nearest to another one?
run search "$model" -q 'A tram leaves the station.' -i topics.csv --field text --id-field id --top 3 -o near.csv
[[ $(wc -l < near.csv) -eq 4 && $(head -n 1 near.csv) == query,rank,score,line,id,text ]] \
  || fail 'near.csv: expected a header and 3 lines'
echo "newcomer: $step steps, all as they should be"
