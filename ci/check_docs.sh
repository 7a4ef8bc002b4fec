#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a comment or a document leads to is there: a page of docs/, its section where the title
# stands behind it in quotes, and the files that documents name between backticks.
#
# Placeholders such as NAME in a path are not looked for.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=0
complain() { echo "check_docs.sh: $1" >&2; failed=1; }
mapfile -t texts < <({
  find . -maxdepth 1 -name '*.md' -printf '%P\n'
  find src include tests fuzz bench docs training scripts ci examples python .ci -name .venv -prune -o -type f \
    ! -name check_docs.sh \( -name '*.h' -o -name '*.cc' -o -name '*.md' -o -name '*.py' -o -name '*.sh' \
    -o -name run \) -print 2> /dev/null
} | sort)

# Lines are joined where a comment goes on, so that a title may be broken.
joined() { sed -E 's,^ *(//|#) ?, ,' "$1" | tr -s ' \n' ' '; }
while IFS=$'\t' read -r file document title; do
  if [[ ! -f $document ]]; then
    complain "$file: there is no $document"
  elif [[ -n $title ]] && ! grep -E '^#+ ' "$document" | sed -E 's/^#+ //' | grep -qxF -e "$title"; then
    complain "$file: $document has no section \"$title\""
  fi
done < <(for file in "${texts[@]}"; do
  joined "$file" | grep -oP '(?<![\w./-])docs/[\w/-]+\.md(, "[^"]+")?' | sort -u \
    | sed -E "s,^(docs/[A-Za-z0-9_/-]+\.md)(\, \"([^\"]+)\")?\$,$file\t\1\t\3," || true
done)

# Documents by their name alone: a section of something that a reader of this repository has not.
while IFS=: read -r file line found; do
  [[ $found == *.md && -e $found ]] || complain "$file:$line: '$found': lead to a page of docs/"
done < <(grep -noP '(?<![\w/.-])[A-Z][A-Z_]{3,}( sections? \d| d\d|\.md)' "${texts[@]}")

# shellcheck disable=SC2016
while IFS=: read -r file path; do
  [[ $path == *[*…{]* || $path =~ (NAME|_v8\.|wkv8\.|VERSION) ]] && continue
  [[ -e $path ]] || complain "$file: there is no $path"
done < <(grep -oP '`\K(src|include|tests|fuzz|ci|docs|bench|scripts|cmake|examples)/[^` ]+(?=`)' *.md docs/*.md docs/*/*.md bench/*.md training/*.md /dev/null)
exit $failed
