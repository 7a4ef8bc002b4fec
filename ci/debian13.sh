#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Repeats the build and the tests of .ci/run on Debian 13 (trixie), in a root folder of its own that
# debootstrap makes where there is none: the two commands of README.md, with warnings as errors, and
# the installed program. As root, by hand; a first run takes as long as a whole build.
#
#   ci/debian13.sh [--root DIR] [--fresh] [--shared DIR] [--ccache DIR] [--mirror URL] [-- COMMAND...]
#
#   --root     where the root folder is, or is made                          [build/debian13]
#   --fresh    throw that folder away first, so that nothing is installed yet
#   --shared   test data, seen there as /srv/shared, read-only  [$FATHOM_SHARED, else ../shared]
#   --ccache   a folder for compiler results that outlive the root; installs ccache there
#   --mirror   of Debian's packages                                [http://deb.debian.org/debian]
#   COMMAND    run this in the copy of the project instead, for instance  -- scripts/test.sh -R cli
#
# The project's files, committed or not, are copied to /fathom there; its build folder stays between
# runs. Mounts are undone at the end, however it ends.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

root=build/debian13
shared=${FATHOM_SHARED:-../shared}
mirror=http://deb.debian.org/debian
ccache=
fresh=0
command=()

fail() { echo "debian13.sh: $1" >&2; exit "${2:-1}"; }
usage() { sed -n '3,/^set /{/^set /!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --fresh) fresh=1; shift ;;
    --root | --shared | --ccache | --mirror)
      [[ $# -ge 2 && -n $2 ]] || fail "$1 needs a value" 2
      printf -v "${1#--}" '%s' "$2"
      shift 2 ;;
    --) shift; command=("$@"); break ;;
    *) fail "unknown flag '$1' (see --help)" 2 ;;
  esac
done
[[ $(id -u) -eq 0 ]] || fail 'must run as root: it mounts and changes the root folder'
root=$(realpath -m "$root")
[[ $root != / ]] || fail '--root may not be / itself' 2

# A mount that is left would let the rm of --fresh, now or later, delete what it shows.
mounted() { awk -v at="$root" '$2 == at || index($2, at "/") == 1 { print $2 }' /proc/mounts; }
unmount_all() {
  local at
  while read -r at; do umount -l "$at" 2> /dev/null || true; done < <(mounted | sort -r)
}
trap unmount_all EXIT
trap 'exit 130' INT TERM HUP
unmount_all
[[ -z $(mounted) ]] || fail "$root has mounts that cannot be undone: $(mounted | tr '\n' ' ')"

if [[ $fresh -eq 1 && -e $root ]]; then
  [[ -e $root/etc/debian_version ]] || fail "--fresh: $root is no Debian root; not deleted"
  rm -rf --one-file-system "$root"
fi
if [[ ! -e $root/etc/debian_version ]]; then
  [[ -z $(ls -A "$root" 2> /dev/null) ]] || fail "$root is neither empty nor a Debian root"
  hash debootstrap 2> /dev/null || fail 'install debootstrap, which makes the root folder'
  mkdir -p "$root"
  debootstrap --variant=minbase trixie "$root" "$mirror"
fi
grep -q '^VERSION_CODENAME=trixie' "$root/etc/os-release" || fail "$root is not Debian 13 (trixie)"

mkdir -p "$root/fathom" "$root/srv/shared" "$root/var/cache/ccache"
if ! cmp -s /etc/resolv.conf "$root/etc/resolv.conf"; then cat /etc/resolv.conf > "$root/etc/resolv.conf"; fi
for folder in proc sys dev; do
  mount --rbind "/$folder" "$root/$folder"
  mount --make-rslave "$root/$folder"
done
if [[ -d $shared ]]; then
  mount --bind "$shared" "$root/srv/shared"
  mount -o remount,bind,ro "$root/srv/shared"
fi
if [[ -n $ccache ]]; then
  mkdir -p "$ccache"
  mount --bind "$ccache" "$root/var/cache/ccache"
fi

# The files of the project as they are now; what was deleted here must not stay there.
find "$root/fathom" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
git ls-files -z --cached --others --exclude-standard \
  | while IFS= read -r -d '' file; do [[ -e $file || -L $file ]] && printf '%s\0' "$file"; done \
  | tar --null -T - -c | tar -x --no-same-owner -C "$root/fathom"

inside() {
  chroot "$root" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive FATHOM_WERROR=ON FATHOM_SHARED=/srv/shared \
    CCACHE_DIR=/var/cache/ccache CCACHE_BASEDIR=/fathom CCACHE_NOHASHDIR=1 \
    bash -c 'cd /fathom && "$@"' bash "$@"
}
if [[ -n $ccache ]]; then
  inside bash -c 'hash ccache 2> /dev/null || { apt-get -q update && apt-get -y -q install \
    --no-install-recommends ccache; }'
fi
if [[ ${#command[@]} -gt 0 ]]; then
  inside "${command[@]}"
else
  inside scripts/demo.sh
  inside scripts/test.sh
  inside ci/check_install.sh build/release
  echo 'debian13.sh: passed'
fi
