#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes docs/results/preset: the experiment of arXiv 2502.14620 on the models at hand, a table and a
# JSON file each. The program has to be built; the data are those of the shared folder.
#
#   scripts/preset_results.sh [--no-timing] [PROGRAM]     [build/release/fathom]
#
# --no-timing leaves times and memory out, for a machine that has other work. $FLAGS: more for
# fathom eval.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
read -ra flags <<< "${FLAGS:-}"
times='Times and memory are of the machine that made them, two busy cores: compare them within a table.'
told=scripts/preset_results.sh
if [[ ${1:-} == --no-timing ]]; then
  flags+=(--no-timing)
  times='Times and memory are left out: the machine had other work.'
  told="$told --no-timing"
  shift
fi
program=$(realpath "${1:-build/release/fathom}")
data=$(realpath "${FATHOM_SHARED:-../shared}")/data
tiny=$data/models/rwkv.cpp-tiny
glove=$data/glove/glove.6B.50d.subset.txt
out=docs/results/preset
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

tables=$work/tables.md
one() {  # one NAME TITLE MODEL [FLAG...]
  local name=$1 title=$2
  shift 2
  "$program" eval "$@" --preset arxiv-2502.14620 --glove "$glove" --data "$data" \
    --table markdown "${flags[@]}" -o "$work/$name" > "$work/$name.md"
  python3 - "$work/$name/results.json" "$out/$name.json" "$data" "$work" "$program" << 'PY'
import json
import sys

text = open(sys.argv[1]).read()
whole = json.loads(text.replace(sys.argv[3], "$FATHOM_SHARED/data").replace(sys.argv[4] + "/", "")
                   .replace(f'"{sys.argv[5]} ', '"fathom '))
kept = {key: whole[key] for key in ("command", "fathom", "model", "verdict", "cost", "preset")}
with open(sys.argv[2], "w") as file:
    json.dump(kept, file, indent=1)
    file.write("\n")
PY
  { printf '## %s\n\n' "$title"; sed '$d' "$work/$name.md" | sed "s|$data|\$FATHOM_SHARED/data|g" | sed -E 's/^([^|].*)$/\1\n/'; echo; } >> "$tables"
  echo "$name"
}

one finch-embed 'models/finch-embed' models/finch-embed --bag models/bag
one finch-lm 'models/finch-lm' models/finch-lm
for model in 4v0-660K-FP32 5v1-730K-FP32 5v2-730K-FP32 6v0-1m-FP32 6v0-3m-Q5_1 7v0-834K-FP32; do
  one "tiny-$model" "rwkv.cpp's tiny-rwkv-$model" "$tiny/tiny-rwkv-$model.bin"
done

{ cat << 'MD'; printf '%s Made by\n\n    %s\n\n' "$times" "$told"; } > "$out/README.md"
# The paper's experiment on the models at hand

arXiv 2502.14620 done again (docs/methods.md, "The paper in one command"): MRPC, 1,000 train pairs (seed 1) and the validation split. GloVe is a subset of 6B 50d that knows 87 % of the words. rwkv.cpp's tiny models are made for tests of programs and are no language models of use: in tiny-rwkv-4v0 only the time mix of the first block has weights above 4e-7, so all its layers are one.
MD
cat "$tables" >> "$out/README.md"
