#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds examples/ against an installed Fathom, by find_package() and by pkg-config, away from its
# sources, and runs them on a model.
#
#   ci/check_examples.sh EXAMPLES MODEL [PREFIX]      PREFIX: where Fathom is installed  [/usr]
set -euo pipefail
examples=$(realpath "$1") model=$(realpath "$2") prefix=$(realpath "${3:-/usr}")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cp -r "$examples" "$place/examples"
cd "$place"
fail() { echo "check_examples.sh: $1" >&2; exit 1; }

libraries=$(find "$prefix"/lib* -name 'libfathom.*' -printf '%h\n' -quit)
[[ -n $libraries ]] || fail "no libfathom under $prefix"
export LD_LIBRARY_PATH=$libraries
generator=()
! hash ninja 2> /dev/null || generator=(-G Ninja)
cmake "${generator[@]}" -S examples -B build -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_CXX_FLAGS='-Wall -Wextra -Wpedantic -Werror' > log.txt 2>&1 \
  && cmake --build build >> log.txt 2>&1 || { cat log.txt >&2; fail 'find_package(fathom 0.2)'; }

build/nearest "$model" 'A cat sat on the mat.' 'Prices rose in May.' 'The cat was sitting on a mat.' \
  > nearest.txt
head -n 1 nearest.txt | grep -q 'The cat was sitting on a mat.$' || fail 'nearest: not that sentence'
build/exit_layers "$model" fixed:3 'A cat sat on the mat.' 'x' > exits.txt
[[ $(grep -cE '^ +3 +6 +- +-  (A cat|x)' exits.txt) -eq 2 ]] || fail 'exit_layers: another layer'
build/depths "$model" 'A cat sat.' 'The cat was sitting.' > depths.txt
[[ $(grep -cE '^ *([0-9]+|final)  ' depths.txt) -eq 14 ]] || fail 'depths: not a row for each layer'
! build/depths nothing.pth a b 2> error.txt && grep -q '^depths: nothing.pth' error.txt \
  || fail 'depths: no clear error'

if command -v pkg-config > /dev/null; then
  export PKG_CONFIG_PATH=$libraries/pkgconfig
  read -ra flags <<< "$(pkg-config --cflags --libs 'fathom >= 0.2')"
  c++ -std=c++20 examples/nearest.cc "${flags[@]}" -o nearest
  ./nearest "$model" 'A cat sat on the mat.' 'Prices rose in May.' 'The cat was sitting on a mat.' \
    | cmp - nearest.txt || fail 'by pkg-config: another answer'
fi
echo "examples built against $prefix and ran: $(head -n 1 nearest.txt)"
