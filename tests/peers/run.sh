#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks fathom against the programs it reads from and writes for: PyTorch, BlinkDL's rwkv, rwkv7-hf,
# rwkv-emb, transformers, gguf and llama.cpp, from PyPI. Not part of ctest: the packages take
# gigabytes and llama.cpp is built from source. What was found: docs/peers.md.
#
#   tests/peers/run.sh FATHOM [VENV]    FATHOM: the program; VENV: made if absent [build/peers]
#   tests/peers/run.sh python [VENV]    the Python package inside sentence-transformers, mteb,
#                                       LlamaIndex, Haystack and transformers [build/peers-python]
#   tests/peers/run.sh server FATHOM [VENV]   clients of OpenAI's and TEI's interfaces against the running
#                                       program: tests/peers/check_server.py [build/peers-server]
#   tests/peers/run.sh browser FATHOM [VENV] [FOLDER]   the server's page in chromium: tests/peers/check_page.py;
#                                       pictures go to FOLDER [build/peers-browser]
#   tests/peers/run.sh ray [VENV]       fathom.bulk on Ray: its own local cluster and two nodes, actors and nodes that are
#                                       killed, readers of the result [build/peers-ray]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
if [[ ${1-} == python ]]; then
  venv=${2:-$root/build/peers-python}
  if [[ ! -x $venv/bin/python ]]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q -r "$here/requirements_python.txt"
  fi
  "$venv/bin/python" -c 'import fathom' 2> /dev/null || "$venv/bin/pip" install -q "$root"
  : "${FATHOM_SHARED:=$(realpath -m "$root/../shared")}"
  export FATHOM_SHARED
  "$venv/bin/python" "$here/check_python.py"
  cd "$root"
  exec "$venv/bin/python" -m pytest -q python/tests/test_adapters.py python/tests/test_package.py -k 'adapter or notebook or tour or sklearn or langchain'
fi
if [[ ${1-} == ray ]]; then
  venv=${2:-$root/build/peers-ray}
  if [[ ! -x $venv/bin/python ]]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q -r "$here/requirements_ray.txt"
  fi
  "$venv/bin/python" -c 'import fathom' 2> /dev/null || "$venv/bin/pip" install -q "$root"
  exec "$venv/bin/python" "$here/check_ray.py"
fi
if [[ ${1-} == server ]]; then
  FATHOM=$(realpath "${2:?usage: tests/peers/run.sh server FATHOM [VENV]}")
  export FATHOM
  venv=${3:-$root/build/peers-server}
  if [[ ! -x $venv/bin/python ]]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q -r "$here/requirements_server.txt"
  fi
  exec "$venv/bin/python" "$here/check_server.py"
fi
if [[ ${1-} == browser ]]; then
  FATHOM=$(realpath "${2:?usage: tests/peers/run.sh browser FATHOM [VENV] [FOLDER]}")
  export FATHOM
  for program in chromium chromedriver; do
    hash "$program" 2> /dev/null || { echo "no $program: the page was not checked"; exit 77; }
  done
  venv=${3:-$root/build/peers-browser}
  if [[ ! -x $venv/bin/python ]]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q -r "$here/requirements_browser.txt"
  fi
  exec "$venv/bin/python" "$here/check_page.py" "${@:4:1}"
fi
FATHOM=$(realpath "${1:?usage: tests/peers/run.sh FATHOM [VENV]}")
venv=${2:-$root/build/peers}
"$here/make_venv.sh" "$venv"
PEERS_WORK=$(mktemp -d)
trap 'rm -rf "$PEERS_WORK"' EXIT
: "${FATHOM_SHARED:=$(realpath -m "$root/../shared")}"
export FATHOM PEERS_WORK FATHOM_SHARED PYTHONPATH="$here" PYTHONWARNINGS=ignore
export PYTHONDONTWRITEBYTECODE=1
unset FATHOM_VOCAB FATHOM_BACKEND

"$venv/bin/python" "$here/make_models.py"
failed=0
step() {
  echo "$*"
  "$venv/bin/python" "$here/$1.py" "${@:2}" || failed=1
}
step check_torch
for version in 4 5 6 7 7a; do step check_rwkv "$version"; done
step check_rwkv7_hf
step check_rwkv_emb
step check_transformers
step check_gguf
step check_llama
exit "$failed"
