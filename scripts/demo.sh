#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From a fresh Debian 12 or 13 to the main job: installs the packages (as root or with sudo), builds
# Fathom and does the experiment of arXiv 2502.14620 on MRPC: layers of an RWKV model beside word
# vectors (and static token embeddings), with the paper's own figures. Without MRPC's data it evaluates every
# layer on the sample pairs of samples/, which show how it looks and measure nothing.
#
#   scripts/demo.sh [--model DIR|FILE] [--data DIR] [--glove FILE] [--out DIR] [-- FLAG...]
#
#   --model   a Hugging Face directory or a weight file      [models/finch-embed of this project]
#   --data    the folder that holds glue/MRPC, or that folder
#             [data of the shared folder, $FATHOM_SHARED, else ../shared; else samples/]
#   --glove   word vectors in GloVe's text format            [models/words-50d.txt of this project]
#   --out     where results.json, results.csv and report.html go  [results]
#   -- FLAG   more flags of `fathom eval`, for instance  -- --dtype bf16 --vocab vocab.txt
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
shared=${FATHOM_SHARED:-$root/../shared}
model=$root/models/finch-embed
glove=$root/models/words-50d.txt
data=
out=results
flags=()

usage() { sed -n '3,/^set /{/^set /!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --) shift; flags=("$@"); break ;;
    --model | --data | --glove | --out)
      [[ $# -ge 2 ]] || { echo "demo.sh: $1 needs a value" >&2; exit 2; }
      printf -v "${1#--}" '%s' "$2"
      shift 2 ;;
    *) echo "demo.sh: unknown flag '$1' (see --help)" >&2; exit 2 ;;
  esac
done

# What is missing is told before minutes of building.
missing=0
need() {  # need FLAG WHERE... : one of the places must exist
  local flag=$1 how=$2 place
  shift 2
  for place in "$@"; do [[ -e $place ]] && return; done
  printf 'demo.sh: nothing at %s\n  %s: %s\n' "$1" "$flag" "$how" >&2
  missing=1
}
need --model 'an RWKV model. RWKV/v6-Finch-1B6-HF of Hugging Face is one; download the repository
    and give its folder, or the .pth, .bin or .gguf file of another RWKV.' "$model"
if [[ -z $data && -e $shared/data/glue/MRPC ]]; then data=$shared/data; fi
if [[ -n $data ]]; then
  need --data 'GLUE with MRPC: the folder that holds glue/MRPC with train.tsv and dev.tsv (GLUE tasks
    at gluebenchmark.com), or msr_paraphrase_train.txt and dev_ids.tsv of the Microsoft Research
    Paraphrase Corpus.' \
    "$data/glue/MRPC" "$data/MRPC" "$data/dev.tsv" "$data"/dev.tsv.{xz,gz,zst} "$data/dev_ids.tsv"
  what=(--preset arxiv-2502.14620)
else
  data=$root/samples
  what=(--task sample --split test --layers all)
fi
need --glove 'glove.6B.50d.txt out of glove.6B.zip, from Stanford (nlp.stanford.edu/projects/glove).' \
  "$glove" "$glove".{xz,gz,zst}
if [[ $missing -ne 0 ]]; then
  echo 'demo.sh: nothing was evaluated.' >&2
  exit 1
fi
model=$(realpath "$model") data=$(realpath "$data") out=$(realpath -m "$out")
glove=$(realpath -m "$glove")

"$root/scripts/install_packages.sh" build
launcher=$(command -v ccache || true)
(
  cd "$root"
  cmake --preset release -DFATHOM_TESTS=OFF -DCMAKE_CXX_COMPILER_LAUNCHER="$launcher"
  cmake --build --preset release --target fathom
)

"$root/build/release/fathom" eval "$model" "${what[@]}" --data "$data" --glove "$glove" \
  --bag "$root/models/bag" --out "$out" "${flags[@]}"
[[ -s $out/report.html ]] || { echo "demo.sh: no report in $out" >&2; exit 1; }
echo "Open file://$out/report.html"
