#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What differs between versions of RWKV is known in src/model and src/formats alone: everybody else
# asks a question of Config (ARCHITECTURE.md, decision 1).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if grep -rnE '\bVersion::|\bkV[4-9](_[0-9])?\b|\bversion *[!=<>]=? *[4-9]\b' src \
  --include=*.h --include=*.cc | grep -vE '^src/(model|formats)/'; then
  echo 'check_versions.sh: versions are compared outside src/model and src/formats' >&2
  exit 1
fi
