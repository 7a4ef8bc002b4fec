#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the packages that Fathom needs, as root or with sudo: of Debian 12, Debian 13 or Ubuntu
# 24.04, which name them alike. Where all are installed already it does nothing: no network, no
# root. What a built program needs to run is listed in docs/how-to/install.md.
#
#   scripts/install_packages.sh GROUP...
#
#   build   the program
#   test    build, and the tests
#   ci      test, and what .ci/run needs beside: clang, its sanitizer and fuzzer runtimes,
#           clang-format, ccache, pkg-config
set -euo pipefail

build=(g++ cmake ninja-build libdnnl-dev libhwy-dev nlohmann-json3-dev libcli11-dev libfmt-dev
       liblzma-dev zlib1g-dev libzstd-dev libutf8proc-dev libjs-chart.js liblinear-dev
       liblbfgs-dev libeigen3-dev libxxhash-dev libboost-dev libspdlog-dev libtomlplusplus-dev)
test=(libgtest-dev libgmock-dev python3-dev python3-venv)
ci=(clang libclang-rt-dev clang-format ccache pkg-config)

packages=()
for group in "$@"; do
  case $group in
    build) packages+=("${build[@]}") ;;
    test) packages+=("${build[@]}" "${test[@]}") ;;
    ci) packages+=("${build[@]}" "${test[@]}" "${ci[@]}") ;;
    *) echo "install_packages.sh: no group '$group': expected build, test or ci" >&2; exit 2 ;;
  esac
done

if ! command -v dpkg-query > /dev/null; then
  echo "install_packages.sh: this is not Debian. Install what these packages hold, then run cmake" \
       "by hand (docs/how-to/install.md): ${packages[*]}" >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2> /dev/null || true)
  [[ $status == installed* ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

as_root=()
if [[ $(id -u) -ne 0 ]]; then
  if ! command -v sudo > /dev/null; then
    echo "install_packages.sh: run this as root, or install sudo. Missing: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "Installing ${missing[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q)
# An old list may still be good enough: what really fails is told by the install.
"${apt[@]}" update || true
"${apt[@]}" install --no-install-recommends "${missing[@]}"
