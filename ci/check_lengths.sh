#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No source over 500 lines, no function over 60, src/cli under 4,000 lines in all.
#
#   ci/check_lengths.sh [FILE...]     the functions of these files alone
#
# A function has the lines from its name to its last "}". It is found in the form in which clang-format
# leaves every source: its body ends at the first "}" in the column where its definition begins.
# Lambdas and local classes are lines of the function that they stand in.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly max_file=500 max_function=60 max_cli=4000

# Tables, which are read row by row.
readonly tables=(
  src/eval/dataset_tasks.cc  # every task with its folders, files and columns
)

failed=0
complain() { echo "check_lengths.sh: $1" >&2; failed=1; }

# Prints FILE:LINE: NAME has N lines, for every function of more than max lines.
functions() {
  awk -v max="$max_function" '
    function column(s) { match(s, /^ */); return RLENGTH }
    FNR == 1 { inside = 0; raw = ""; head = "" }
    # Raw strings hold text of other languages, in which braces mean nothing here.
    raw != "" { if (index($0, raw)) raw = ""; next }
    match($0, /R"[A-Za-z0-9_]*\(/) {
      end = ")" substr($0, RSTART + 2, RLENGTH - 3) "\""
      if (!index(substr($0, RSTART + RLENGTH), end)) raw = end
    }
    inside {
      if ($0 ~ /^ *}/ && column($0) == from) {
        lines = FNR - first + 1
        if (lines > max) printf "%s:%d: %s has %d lines\n", FILENAME, first, name, lines
        inside = 0
        head = ""
      }
      next
    }
    /^ *(\/\/.*)?$/ || /^ *#/ { head = ""; next }
    # The lines of one declaration, until it ends or its body begins.
    { if (head == "") { from = column($0); first = FNR } head = head " " $0 }
    /{( *\/\/.*)?$/ {
      text = head
      gsub(/"([^"\\]|\\.)*"/, "\"\"", text)
      sub(/ *\/\/.*$/, "", text)
      # Not a function: what has a name and a body without parameters, and what is given a value.
      type = text ~ /(^|[ >])(namespace|class|struct|union|enum) [^()]*{$/
      if (text ~ /\(/ && !type && text !~ /= *{$/) {
        inside = 1
        name = text
        sub(/\(.*/, "", name)
        sub(/.*[ *&]/, "", name)
      }
      head = ""
      next
    }
    /[;}:]( *\/\/.*)?$/ { head = "" }
  ' "$@"
}

if [[ $# -gt 0 ]]; then
  functions "$@"
  exit
fi
mapfile -t own < <(find src include python \( -name '*.h' -o -name '*.cc' \) 2> /dev/null | sort)
[[ ${#own[@]} -gt 0 ]] || { echo 'check_lengths.sh: no source found' >&2; exit 1; }

for table in "${tables[@]}"; do
  [[ -f $table ]] || complain "$table: named as a table, and not there"
done
while read -r lines file; do
  [[ " ${tables[*]} " == *" $file "* ]] || [[ $lines -le $max_file ]] \
    || complain "$file: $lines lines, at most $max_file"
done < <(wc -l "${own[@]}" | grep -v ' total$')

while read -r found; do complain "$found, at most $max_function"; done < <(functions "${own[@]}")

cli=$(find src/cli \( -name '*.h' -o -name '*.cc' \) -exec cat {} + | wc -l)
[[ $cli -lt $max_cli ]] || complain "src/cli: $cli lines in all, under $max_cli"
exit $failed
