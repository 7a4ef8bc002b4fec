# SPDX-License-Identifier: Apache-2.0
"""The shipped models, sentences, and the program that came with the package."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import fathom
from fathom.__main__ import program

ROOT = Path(__file__).resolve().parents[2]
FINCH = ROOT / "models" / "finch-embed"


@pytest.fixture(scope="session")
def finch() -> Iterator[fathom.Model]:
    """RWKV-6, 12 layers of 192."""
    yield fathom.Model(FINCH, threads=1)


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    rows = (ROOT / "samples" / "pairs.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return [text for row in rows for text in row.split("\t")[-2:] if text]


@pytest.fixture(scope="session")
def data() -> Path:
    """Labelled data, which few machines have."""
    shared = Path(os.environ.get("FATHOM_SHARED", ROOT.parent / "shared"))
    if not (shared / "data" / "glue").is_dir():
        pytest.skip(f"no data in {shared}")
    return shared / "data"


@pytest.fixture(scope="session")
def run() -> Callable[..., str]:
    """Runs the program; its standard output."""

    def call(*arguments: object) -> str:
        done = subprocess.run(
            [program(), *map(str, arguments)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call
