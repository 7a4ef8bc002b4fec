#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every source is as clang-format (14, Debian 12's) leaves it, and begins with its licence.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=0
mapfile -t sources < <(find src include examples tests fuzz bench training python -name .venv -prune -o -type f \( -name '*.h' -o -name '*.cc' \) -print | sort)
[[ ${#sources[@]} -gt 0 ]] || { echo 'check_format.sh: no source found' >&2; exit 1; }
# Each file once: the same place is named for every line that differs.
wrong=$(printf '%s\0' "${sources[@]}" \
  | xargs -0 -n 16 -P "$(nproc)" clang-format --dry-run 2>&1 \
  | sed -n 's/:[0-9]*:[0-9]*: warning: .*//p' | sort -u)
if [[ -n $wrong ]]; then
  printf 'not as clang-format writes it (run clang-format -i):\n%s\n' "$wrong" >&2
  failed=1
fi

mapfile -t scripts < <(find scripts ci .ci -type f | sort)
for file in "${sources[@]}" "${scripts[@]}" CMakeLists.txt cmake/* examples/CMakeLists.txt src/api/exports.map; do
  # The first line, or the second after #!.
  head -n 2 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' \
    || { echo "$file: no SPDX line" >&2; failed=1; }
done
exit $failed
