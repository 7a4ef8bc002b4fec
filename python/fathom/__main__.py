# SPDX-License-Identifier: Apache-2.0
"""The program: ``python -m fathom embed …`` is ``fathom embed …``."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def program() -> str:
    """The path of the program that came with this package."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "fathom")


def main() -> NoReturn:
    path = program()
    try:
        os.execv(path, ["fathom", *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"fathom: {path}: {error.strerror}")


if __name__ == "__main__":
    main()
