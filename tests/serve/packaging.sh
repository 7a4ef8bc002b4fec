#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What of packaging/ can be checked without systemd running and without a container engine: the unit
# by systemd-analyze, its command against the program's own --help, and that the image has the
# libraries that the program loads. 77: neither can be checked here.
#
#   tests/serve/packaging.sh FATHOM
set -euo pipefail
fathom=$(realpath "${1:?usage: packaging.sh FATHOM}")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
n=0
fail() { echo "packaging.sh: $1" >&2; exit 1; }

# The unit, with this build in the place of /usr/bin/fathom.
if hash systemd-analyze 2> /dev/null; then
  unit=$root/packaging/fathom.service
  grep -q '^ExecStart=/usr/bin/fathom serve ' "$unit" || fail 'ExecStart does not run /usr/bin/fathom serve'
  sed "s,/usr/bin/fathom,$fathom," "$unit" > "$work/fathom.service"
  systemd-analyze verify "$work/fathom.service" > "$work/out" 2>&1 || fail "$(cat "$work/out")"
  [[ ! -s $work/out ]] || fail "$(cat "$work/out")"
  n=$((n + 1))
  "$fathom" serve --help > "$work/help"
  for flag in $(grep -oP '^ExecStart=.*' "$unit" | grep -oP -- '--[a-z-]+'); do
    grep -q -- "$flag" "$work/help" || fail "fathom serve has no $flag"
  done
  for name in $(grep -oP '^Environment=FATHOM_\K[A-Z_]+' "$unit") \
      $(grep '^ENV ' "$root/packaging/Containerfile" | grep -oP 'FATHOM_\K[A-Z_]+(?==)'); do
    flag=--$(tr 'A-Z_' 'a-z-' <<< "$name")
    [[ $flag == --models ]] || grep -q -- "$flag " "$work/help" || fail "fathom serve has no $flag"
  done
  # Longer than the server may take to end.
  drain=$(grep -oP -- '--drain-seconds.*\[\K[0-9]+' "$work/help" || grep -A1 -- --drain-seconds "$work/help" | grep -oP '\[\K[0-9]+')
  stop=$(grep -oP '^TimeoutStopSec=\K[0-9]+' "$unit")
  [[ $stop -gt $drain ]] || fail "TimeoutStopSec is $stop, --drain-seconds $drain"
fi

# The image is Debian 12's; its packages have other names elsewhere.
if grep -q '^VERSION_CODENAME=bookworm' /etc/os-release 2> /dev/null && hash dpkg-query ldd 2> /dev/null; then
  file=$root/packaging/Containerfile
  # What those that are named depend on comes with them.
  mapfile -t named < <(grep -oP '\blib[a-z0-9.]+(?=[ \\]|$)|\bzlib1g\b' "$file")
  apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances "${named[@]}" > "$work/depends" 2> /dev/null || true
  while read -r library; do
    # Where /lib is /usr/lib, dpkg knows a file by one of its names.
    package=$({ dpkg-query -S "$library" || dpkg-query -S "$(realpath "$library")" \
      || dpkg-query -S "${library#/usr}"; } 2> /dev/null | sed -n '1s/:.*//p' || true)
    case $package in
      '' | libc6 | libgcc-s1 | libstdc++6) continue ;;  # debian:12-slim has them
      libasan* | libubsan* | libtsan*) continue ;;  # a build with sanitizers is for tests alone
      *blas*) continue ;;  # whichever liblinear4 brings
    esac
    grep -qw -e "$package" "$file" "$work/depends" || fail "Containerfile: $package is missing, for $library"
  done < <(ldd "$fathom" | grep -oP '=> \K/\S+')
  for path in $(grep -oP '^COPY --from=build /src/\K\S+' "$file"); do
    [[ $path == build/release/fathom ]] || fail "Containerfile: the build makes no $path"
  done
  n=$((n + 1))
fi
[[ $n -gt 0 ]] || exit 77
echo "$n checks"
