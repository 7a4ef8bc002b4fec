#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the fuzz targets (clang, libFuzzer, ASan, UBSan) and runs them side by side, each from its
# seeds in fuzz/corpus/NAME. Fails on the first finding and keeps the input in build/fuzz/findings.
#
#   ci/fuzz.sh [SECONDS] [NAME...]     seconds for each target [30], and only these targets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-30}
shift || true
names=("$@")
if [[ ${#names[@]} -eq 0 ]]; then
  for source in fuzz/fuzz_*.cc; do
    name=${source##*/fuzz_}
    names+=("${name%.cc}")
  done
fi

cmake --preset fuzz -DFATHOM_WERROR="${FATHOM_WERROR:-OFF}" -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)"
cmake --build --preset fuzz --target "${names[@]/#/fuzz_}"
mkdir -p build/fuzz/{findings,grown,log}

run_one() {  # SECONDS NAME
  local seeds=fuzz/corpus/$2
  mkdir -p "build/fuzz/grown/$2"
  # The first folder takes what is new; the seeds stay as they are.
  local folders=("build/fuzz/grown/$2")
  [[ -d $seeds ]] && folders+=("$seeds")
  if ! "build/fuzz/fuzz_$2" -max_total_time="$1" -timeout=10 -rss_limit_mb=2048 \
      -artifact_prefix="build/fuzz/findings/$2-" -print_final_stats=1 \
      "${folders[@]}" > "build/fuzz/log/$2" 2>&1; then
    echo "fuzz_$2: FOUND SOMETHING"
    tail -n 60 "build/fuzz/log/$2"
    return 255  # xargs starts no more
  fi
  echo "fuzz_$2: $(awk '/stat::number_of_executed_units/ {print $2}' "build/fuzz/log/$2") inputs," \
       "no finding"
}
export -f run_one
printf '%s\n' "${names[@]}" | xargs -P "$(nproc)" -I{} bash -c "run_one $seconds {}"
