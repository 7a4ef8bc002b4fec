#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Folders include only what the two tables of ARCHITECTURE.md, "Who may include whom", let them:
# each other, and third-party headers. CMake's link lines have to say the same.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Prints "folder may" and "header place" pairs of the tables, one a line: FOLDER:OTHER, <HEADER>:PLACE.
rules=$(awk -F'|' '
  /^## / { here = ($0 == "## Who may include whom") }
  !here || !/^\|/ || /^\|[- |]*$/ { next }
  $2 ~ /^ *(folder|header) *$/ { kind = $2; gsub(/ /, "", kind); next }
  {
    n = split($2, left, ","); m = split($3, right, ",")
    for (i = 1; i <= n; ++i)
      for (j = 1; j <= m; ++j) {
        a = left[i]; b = right[j]; gsub(/[ `]/, "", a); gsub(/[ `]/, "", b)
        print kind " " a " " b
      }
  }' ARCHITECTURE.md)
[[ $(grep -c '^folder ' <<< "$rules") -ge 8 && $(grep -c '^header ' <<< "$rules") -ge 4 ]] \
  || { echo 'check_includes.sh: the tables of ARCHITECTURE.md were not found' >&2; exit 1; }

failed=0
complain() { echo "$1" >&2; failed=1; }

# Folders.
for path in src/*/; do
  folder=$(basename "$path")
  [[ -n $(find "$path" -name '*.[hc]*' -print -quit) ]] || continue
  may=$(awk -v f="$folder" '$1 == "folder" && $2 == f { print $3 }' <<< "$rules")
  [[ -n $may ]] || { complain "src/$folder: not in the table"; continue; }
  [[ $may == all ]] && continue
  while IFS=: read -r file line other; do
    grep -qx -e "$other" <<< "$may"$'\n'"$folder" \
      || complain "$file:$line: $folder may not include $other/"
  done < <(grep -rnoP '^\s*#\s*include\s+"\K[a-z_0-9]+(?=/)' "$path" | grep -v ':hwy$')
  linked=$(grep -oP "^fathom_library\($folder\b[^)]*?DEPENDS\K[a-z_ ]*" CMakeLists.txt \
    | tr ' ' '\n' | sed '/^$/d' | sort || true)
  wanted=$(sed '/^nothing$/d' <<< "$may" | sort)
  [[ $linked == "$wanted" ]] \
    || complain "CMakeLists.txt: fathom_library($folder) depends on {${linked//$'\n'/ }}, the table says {${wanted//$'\n'/ }}"
done

# Third-party headers: everything that is neither the standard library's nor the system's.
while IFS=: read -r file line header; do
  [[ $header == */* || $header == *.* ]] || continue
  [[ $header =~ ^(sys/.*|unistd\.h|fcntl\.h|sched\.h|hwy/foreach_target\.h|ext/stdio_sync_filebuf\.h)$ ]] && continue
  places=$(awk -v h="$header" '$1 == "header" && index(h, $2) == 1 { print $3 }' <<< "$rules")
  [[ -n $places ]] || { complain "$file:$line: <$header> is not in the table"; continue; }
  ok=0
  for place in $places; do
    [[ ${file#src/} == "$place" || ${file#src/} == "$place"/* ]] && ok=1
  done
  [[ $ok -eq 1 ]] || complain "$file:$line: <$header> belongs to ${places//$'\n'/, } alone"
done < <(grep -rnoP '^\s*#\s*include\s+(<\K[^>]+(?=>)|"\Khwy/[^"]+(?="))' src)

exit $failed
