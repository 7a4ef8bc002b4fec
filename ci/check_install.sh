#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs a build into a fresh folder and runs the program from there, looks at what is installed
# beside it, and compiles the examples against the library. The packages that the program then needs
# must be those that docs/how-to/install.md lists for this release.
#
#   ci/check_install.sh BUILD_FOLDER
set -euo pipefail
build=$(realpath "$1")
project=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
readme=$project/docs/how-to/install.md
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cmake --install "$build" --prefix "$place/usr" > /dev/null

# Away from the sources, with nothing of theirs to lean on.
mkdir "$place/empty"
cd "$place/empty"
fathom() { env -i HOME="$place/empty" PATH=/usr/bin:/bin "$place/usr/bin/fathom" "$@"; }
fathom --version
fathom --help > /dev/null
echo '[{"name": "a", "kind": "correlation", "x": [1, 2, 3], "y": [1, 3, 2]}]' > cases.json
fathom metrics cases.json | grep -q '"spearman": 0.5' \
  || { echo 'check_install.sh: fathom metrics: wrong figure' >&2; exit 1; }
! fathom info nothing.safetensors 2> error.txt && grep -q nothing.safetensors error.txt \
  || { echo 'check_install.sh: fathom info: no clear error' >&2; exit 1; }
echo "installed program runs: $(cd "$place/usr" && find . -type f | tr '\n' ' ')"

grep -q '^\.SS fathom embed$' "$place/usr/share/man/man1/fathom.1" \
  || { echo 'check_install.sh: the manual page has no section of fathom embed' >&2; exit 1; }
bash -n "$place/usr/share/bash-completion/completions/fathom"
shared=$(find "$place/usr" -name 'libfathom.so.*.*')
[[ -z $shared ]] || "$project/ci/check_exports.sh" "$shared"
"$project/ci/check_examples.sh" "$project/examples" "$project/models/finch-embed" "$place/usr"

release=$(. /etc/os-release && echo "${ID^} $VERSION_ID")
listed=$(sed -n "s/^| $release | \`\(.*\)\` |\$/\1/p" "$readme")
[[ -n $listed ]] || { echo "check_install.sh: docs/how-to/install.md lists no packages for $release" >&2; exit 1; }
owner() {  # of a library, which dpkg may know under /lib or /usr/lib
  local file=/${1#/}
  { dpkg-query -S "$(realpath "$file")" || dpkg-query -S "$file" || dpkg-query -S "/usr$file"; } \
    2> /dev/null | sed 's/[:,].*//' | head -n 1
}
# Those that it names itself: what these need in turn, apt knows.
needed=$(objdump -p "$place/usr/bin/fathom" | awk '$1 == "NEEDED" { print $2 }')
while read -r name library; do
  grep -qxF "$name" <<< "$needed" || continue
  package=$(owner "$library")
  case $package in libc6 | libgcc-s1) continue ;; esac  # every machine has them
  [[ -n $package && " $listed " == *" $package "* ]] \
    || { echo "check_install.sh: docs/how-to/install.md does not list '$package' for $release ($library)" >&2; exit 1; }
done < <(ldd "$place/usr/bin/fathom" | awk '$2 == "=>" { print $1, $3 }' | sort)
echo "$release: it needs no package that docs/how-to/install.md does not list"
