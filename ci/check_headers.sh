#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every header can be included alone, and all headers of a folder, all of include/fathom and all of
# src/ can be included together: no name is taken twice. Nothing is built: the compiler only reads.
#
#   ci/check_headers.sh [HEADER...]     these alone, and nothing else
#
# Headers of src/ that their own source includes first, as most do, are alone there in every build,
# and are not read once more. Public headers are all read alone, with include/ as the only path.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CXX=${CXX:-g++}

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

# True if the source beside a header includes it before everything else.
first_of_its_source() {
  local source=${1%.h}.cc
  [[ -f $source ]] && [[ $(grep -m 1 '^ *# *include' "$source") == "#include \"${1#src/}\"" ]]
}

# A translation unit NAME that includes the HEADERs as users write it.
unit() {  # NAME HEADER...
  local name=$1 header
  shift
  for header in "$@"; do
    case $header in
      include/*) echo "#include <${header#include/}>" ;;
      *) echo "#include \"${header#src/}\"" ;;
    esac
  done > "$place/$name.cc"
}

compile() {  # UNIT
  local paths='-Iinclude'
  [[ $1 == */public@* ]] || paths='-Iinclude -Isrc -isystem /usr/include/eigen3'
  local out
  # shellcheck disable=SC2086
  if ! out=$("$CXX" -std=c++20 -fsyntax-only -Wall -Wextra -Werror $paths "$1" 2>&1); then
    printf 'check_headers.sh: %s: cannot be included%s\n%s\n' "$(basename "$1" .cc | sed 's,^alone@,,; s,^public@,,; y,@,/,')" \
      "$([[ $(wc -l < "$1") -gt 1 ]] && echo ' together')" "$(head -n 12 <<< "$out")" >&2
    return 1
  fi
}
export -f compile
export place

# Highway compiles a *-inl.h once for each instruction set, from inside its sources: none of them is
# included by anything else.
mapfile -t public < <(find include -name '*.h' 2> /dev/null | sort)
mapfile -t own < <(find src -name '*.h' ! -name '*-inl.h' | sort)
[[ ${#own[@]} -gt 0 ]] || { echo 'check_headers.sh: no header found' >&2; exit 1; }

if [[ $# -gt 0 ]]; then
  for header in "$@"; do
    [[ $header == include/* ]] && kind=public || kind=alone
    unit "$kind@${header//\//@}" "$header"
  done
else
  for header in "${public[@]}"; do unit "public@${header//\//@}" "$header"; done
  [[ ${#public[@]} -eq 0 ]] || unit public@all "${public[@]}"
  for header in "${own[@]}"; do
    first_of_its_source "$header" || unit "alone@${header//\//@}" "$header"
  done
  # All at once is all folders at once: a folder is read by itself only to say where it fails.
  unit everything "${public[@]}" "${own[@]}"
fi
count=$(find "$place" -name '*.cc' | wc -l)
failed=0
find "$place" -name '*.cc' -print0 | sort -z \
  | xargs -0 -n 1 -P "$(nproc)" bash -c 'compile "$1"' _ || failed=1
if [[ $failed -eq 1 && $# -eq 0 ]] && ! compile "$place/everything.cc" 2> /dev/null; then
  for folder in src/*/; do
    mapfile -t headers < <(find "$folder" -name '*.h' ! -name '*-inl.h' | sort)
    [[ ${#headers[@]} -eq 0 ]] || unit "${folder//\//@}" "${headers[@]}"
    [[ ${#headers[@]} -eq 0 ]] || compile "$place/${folder//\//@}.cc" || true
  done
fi
[[ $failed -eq 0 ]] && echo "headers: ${#public[@]} public, ${#own[@]} of src/, in $count units"
exit $failed
