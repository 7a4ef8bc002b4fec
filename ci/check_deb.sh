#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the packages of Debian and tries them where nothing else of Fathom is: a fresh root folder of
# this machine's own release, made by debootstrap. There `apt` installs fathom with what it depends
# on and `fathom embed` runs; then fathom-dev, against which the examples are built. As root, by
# hand: it needs the network.
#
#   ci/check_deb.sh [--build DIR] [--root DIR] [--mirror URL]
#
#   --build    where the packages are built                          [build/deb]
#   --root     an empty folder for the root; it is removed at the end [a temporary one]
#   --mirror   of Debian's packages                                  [http://deb.debian.org/debian]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=build/deb
root=
mirror=http://deb.debian.org/debian
fail() { echo "check_deb.sh: $1" >&2; exit "${2:-1}"; }
usage() { sed -n '3,/^set /{/^set /!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --build | --root | --mirror)
      [[ $# -ge 2 && -n $2 ]] || fail "$1 needs a value" 2
      printf -v "${1#--}" '%s' "$2"
      shift 2 ;;
    *) fail "unknown flag '$1' (see --help)" 2 ;;
  esac
done
[[ $(id -u) -eq 0 ]] || fail 'must run as root: it makes a root folder'
for tool in debootstrap dpkg-shlibdeps; do hash "$tool" 2> /dev/null || fail "install $tool"; done
release=$(. /etc/os-release && echo "$VERSION_CODENAME")

cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON \
  -DFATHOM_TESTS=OFF -DFATHOM_WERROR="${FATHOM_WERROR:-OFF}" -DCMAKE_INSTALL_PREFIX=/usr \
  -DCMAKE_CXX_FLAGS='-Wall -Wextra -Wpedantic' \
  -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)"
cmake --build "$build"
rm -f "$build"/*.deb
(cd "$build" && cpack -G DEB)
for package in "$build"/fathom_*.deb "$build"/fathom-dev_*.deb; do
  dpkg-deb --field "$package" Package Version Depends
done

[[ -n $root ]] || root=$(mktemp -d)
mkdir -p "$root"
root=$(realpath "$root")
[[ -z $(ls -A "$root") ]] || fail "$root is not empty" 2
clean_up() {
  ! mountpoint -q "$root/proc" || umount -l "$root/proc" || return 0
  rm -rf --one-file-system "$root"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
debootstrap --variant=minbase "$release" "$root" "$mirror" > "$build/debootstrap.log" 2>&1 \
  || { tail -n 20 "$build/debootstrap.log" >&2; fail 'debootstrap failed'; }
mount -t proc proc "$root/proc"
cat /etc/resolv.conf > "$root/etc/resolv.conf"
mkdir "$root/try"
cp -r "$build"/fathom_*.deb "$build"/fathom-dev_*.deb models/finch-embed ci/check_examples.sh "$root/try"

inside() {
  chroot "$root" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive bash -c "cd /try && $1"
}
inside 'apt-get -q update && apt-get -y -q install --no-install-recommends ./fathom_*.deb' \
  > "$build/apt.log" 2>&1 || { tail -n 20 "$build/apt.log" >&2; fail 'fathom cannot be installed'; }
inside 'fathom --version && printf "A cat sat.\nA dog ran.\n" | fathom embed finch-embed -o e.npy
  test "$(stat -c %s e.npy)" -eq $((128 + 2 * 192 * 4))' || fail 'fathom embed failed'
inside 'apt-get -y -q install --no-install-recommends ./fathom-dev_*.deb g++ cmake make pkg-config' \
  > "$build/apt.log" 2>&1 || { tail -n 20 "$build/apt.log" >&2; fail 'fathom-dev cannot be installed'; }
inside './check_examples.sh /usr/share/doc/fathom-dev/examples finch-embed'
inside 'apt-get -y -q purge fathom fathom-dev && ! command -v fathom' > "$build/apt.log" 2>&1 \
  || fail 'the packages cannot be removed'
echo "check_deb.sh: passed on $release"
