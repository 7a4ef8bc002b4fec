#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A shared libfathom shows what include/fathom declares with FATHOM_API, and nothing else.
#
#   ci/check_exports.sh LIBRARY
set -euo pipefail
symbols=$(nm -D --defined-only "$1" | awk '{ print $3 }' | c++filt)
# Functions and constructors of the public classes, and what exceptions are recognised by.
public='fathom::(Embedder|Embeddings|Policy|Error|UsageError|Stopped|InvalidOption)'
others=$(grep -vE "^($public::|fathom::version\(\)|(typeinfo|typeinfo name|vtable) for $public\$)" \
  <<< "$symbols" || true)
[[ -z $others ]] || { printf '%s shows more than its interface:\n%s\n' "$1" "$others" >&2; exit 1; }
for needed in 'fathom::Embedder::open(' 'fathom::version()' 'typeinfo for fathom::Error'; do
  grep -qF "$needed" <<< "$symbols" || { echo "$1 does not show $needed" >&2; exit 1; }
done
inner=$(grep -E '^[^(]*::(Impl|Plan)' <<< "$symbols" || true)
[[ -z $inner ]] || { printf '%s shows what is private:\n%s\n' "$1" "$inner" >&2; exit 1; }
echo "$1 shows $(wc -l <<< "$symbols") symbols, all of its interface"
