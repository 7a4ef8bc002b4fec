#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the virtual environment of the peers, if it is not there: packages from PyPI, gigabytes of
# them, and llama.cpp built from source for this machine.
#
#   tests/peers/make_venv.sh VENV
set -euo pipefail
venv=${1:?usage: tests/peers/make_venv.sh VENV}
[ ! -x "$venv/bin/python" ] || exit 0
python3 -m venv "$venv"
"$venv/bin/pip" install -q numpy safetensors torch gguf rwkv==0.8.32 \
  rwkv7-hf==0.9.0 rwkv-emb==0.2.6 transformers
CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAVA_BUILD=OFF" \
  "$venv/bin/pip" install -q llama-cpp-python
