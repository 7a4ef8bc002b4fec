#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes training/.venv with PyTorch and the teacher from PyPI. The engine never needs it.
set -euo pipefail
cd "$(dirname "$0")"
python3 -m venv .venv
.venv/bin/pip install --quiet --requirement requirements.txt
.venv/bin/python -c 'import torch; print("PyTorch", torch.__version__)'
