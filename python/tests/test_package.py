# SPDX-License-Identifier: Apache-2.0
"""Types, docstrings, notebooks: what a user meets first."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fathom
from conftest import FINCH, ROOT


def test_version() -> None:
    header = (ROOT / "include" / "fathom" / "version.h").read_text()
    assert f'FATHOM_VERSION_STRING "{fathom.__version__}"' in header


def test_typed() -> None:
    """mypy --strict over the package as it is installed, the tests and the examples."""
    pytest.importorskip("mypy")
    package = Path(fathom.__file__).parent
    assert (package / "py.typed").exists() and (package / "_fathom.pyi").exists()
    examples = sorted((ROOT / "examples").glob("*.py"))
    # nanobind's stubs name no arguments of dict and tuple; packages that are not here have no types.
    itself = ["--allow-any-generics", "--allow-untyped-decorators", "-p", "fathom"]
    for what in (itself, [ROOT / "python" / "tests", *examples]):
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", *what],
            capture_output=True, text=True, cwd=ROOT, check=False,
            env={**os.environ, "MYPYPATH": str(ROOT / "python" / "tests")},
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_everything_is_documented() -> None:
    for name in fathom.__all__:
        thing = getattr(fathom, name)
        if not callable(thing):
            continue
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing):
            for method, f in vars(thing).items():
                if not method.startswith("_") and inspect.isfunction(f) and method != "of":
                    assert f.__doc__, f"{name}.{method}"


def test_help_names_every_option() -> None:
    text = inspect.getdoc(fathom.Model.encode) or ""
    for option in inspect.signature(fathom.Model.encode).parameters:
        assert option == "self" or f"{option}\n" in text, option


def pages_with_python() -> list[Path]:
    pages = [ROOT / "README.md", ROOT / "docs" / "python.md"]
    return pages + sorted((ROOT / "docs" / "tutorials").glob("*.md"))


@pytest.mark.parametrize("path", pages_with_python(), ids=lambda p: p.stem)
def test_pages(path: Path) -> None:
    """The Python blocks of a page run, one after the other, in the repository's root."""
    page = path.read_text(encoding="utf-8")
    blocks = [b.split("```", 1)[0] for b in page.split("```python\n")[1:]]
    run = [b for b in blocks if "# needs" not in b and "urllib.request" not in b]
    assert run or path.stem not in ("README", "python", "first-embeddings")
    code = "\n".join(run)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "notebook", sorted((ROOT / "examples" / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem
)
def test_notebooks(notebook: Path) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    book = nbformat.read(notebook, as_version=4)
    needs = book.metadata.get("fathom", {}).get("needs", [])
    for package in needs:
        pytest.importorskip(package)
    nbclient.NotebookClient(
        book, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    ).execute()


def test_a_model_of_the_repository() -> None:
    assert (FINCH / "modules.json").is_file() and (FINCH / "fathom.json").is_file()
