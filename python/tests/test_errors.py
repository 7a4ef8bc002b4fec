# SPDX-License-Identifier: Apache-2.0
"""One line that says what was expected and what came, in the exceptions that Python's users expect."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fathom
from conftest import FINCH
from fathom.__main__ import program


def test_kinds() -> None:
    assert issubclass(fathom.OptionError, ValueError) and issubclass(fathom.OptionError, fathom.Error)
    assert issubclass(fathom.TextError, ValueError) and issubclass(fathom.TextError, fathom.Error)
    assert issubclass(fathom.FileError, OSError) and issubclass(fathom.FileError, fathom.Error)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 99}, "layers"),
        ({"layers": -1}, "layers: expected numbers from 0 on"),
        ({"layers": "1,x"}, "layers"),
        ({"layers": []}, "layers: expected at least one"),
        ({"layers": [1.5]}, "layers"),
        ({"layers": True}, "layers"),
        ({"pooling": "median"}, "pooling: expected mean"),
        ({"norm": "x"}, "norm: expected none or ln_out"),
        ({"scan": "x"}, "scan: expected forward"),
        ({"bos": 70000}, "bos: expected none or an id below 4097, got 70000"),
        ({"bos": -1}, "bos: expected a whole number"),
        ({"head": "x"}, "head"),
        ({"empty": "x"}, "empty: expected error or zero"),
        ({"batch_tokens": 0}, "batch_tokens: expected a whole number"),
        ({"output_dtype": "int8"}, "output_dtype: expected float32 or float16"),
        ({"depth": "x"}, "depth"),
        ({"depth": "fixed:13"}, "fixed:13"),
        ({"depth": "fixed:2", "layers": 3}, "layers: depth fixed:2 chooses the layer itself"),
        ({"return_trace": True}, "return_trace: expected a depth policy"),
        ({"pooling": "state", "layers": 0}, "layer"),
    ],
)
def test_options(finch: fathom.Model, options: dict[str, Any], message: str) -> None:
    with pytest.raises(fathom.OptionError) as caught:
        finch.encode(["a text"], **options)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a", ""], "text 1: expected at least one byte, got none"),
        (["a", "b\ud800c"], "text 1: expected text that UTF-8 can hold, got a lone surrogate at "
                            "character 1"),
        ([[1, 2], []], "text 1: expected at least one token id, got none"),
        ([[1, 2], [3, 5000]], "text 1: token 1: expected an id below 4097, got 5000"),
        ([[1, 2], [3, -4]], "text 1: token 1: expected an id of at least 0, got -4"),
        ([[1], [2**70]], "text 1: token 0: expected an id of at least 0, got 11805916207174113"),
    ],
)
def test_texts(finch: fathom.Model, texts: Any, message: str) -> None:
    with pytest.raises(fathom.TextError) as caught:
        finch.encode(texts, layers=1)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a", 3], "text 1: expected a str, as text 0 is, got int"),
        (["a", None], "text 1: expected a str, as text 0 is, got NoneType"),
        ([[1], "a"], "text 1: expected token ids, as text 0 is, got str"),
        ([None], "text 0: expected a sequence of token ids, got NoneType"),
        ([[1, "a"]], "text 0: token 1: expected an int, got str"),
        ([[1, 2.5]], "text 0: token 1: expected an int, got float"),
        ([[True]], "text 0: token 0: expected an int, got bool"),
        (7, "texts: expected a str, a list of str or lists of token ids, got int"),
        (b"bytes", "texts: expected a str"),
        ({"a": 1}, "texts: expected a str"),
        ({"a"}, "texts: expected a str"),
        ([[[1, 2]]], "text 0: token 0: expected an int, got list"),
        (np.array([[1.5, 2.5]]), "text 0: token 0: expected an int"),
    ],
)
def test_types(finch: fathom.Model, texts: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        finch.encode(texts, layers=1)
    assert message in str(caught.value)


def test_files(tmp_path: Path) -> None:
    with pytest.raises(fathom.FileError, match="nowhere"):
        fathom.Model(tmp_path / "nowhere")
    torn = tmp_path / "model.safetensors"
    torn.write_bytes(b"\x10\0\0\0\0\0\0\0{")
    with pytest.raises(fathom.FileError, match="model.safetensors") as caught:
        fathom.Model(torn)
    # The program says the same.
    done = subprocess.run([program(), "info", str(torn)], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.strip() == f"fathom: {caught.value}"
    with pytest.raises(fathom.FileError, match="none.policy"):
        fathom.Model(FINCH).policy(f"exit:{tmp_path}/none.policy")


def test_opening() -> None:
    with pytest.raises(fathom.OptionError, match="dtype: expected f32, bf16, int8 or auto, got 'f8'"):
        fathom.Model(FINCH, dtype="f8")
    with pytest.raises(fathom.OptionError, match="threads: expected"):
        fathom.Model(FINCH, threads=0)
    with pytest.raises(fathom.OptionError, match="threads: expected 0 to 1024, got 5000"):
        fathom.Model(FINCH, threads=5000)
    with pytest.raises(fathom.OptionError, match="n_block: expected 0 to 12, got 13"):
        fathom.Model(FINCH, n_block=13)
    with pytest.raises(fathom.OptionError, match="ln_eps"):
        fathom.Model(FINCH, ln_eps=-1.0)


def test_closed() -> None:
    with fathom.Model(FINCH, threads=1) as m:
        m.encode("a")
    with pytest.raises(fathom.Error, match="the model is closed"):
        m.encode("a")
    with pytest.raises(fathom.Error, match="closed"):
        m.info()
    assert "closed" in repr(m)


def test_a_policy_of_another_model(finch: fathom.Model) -> None:
    with fathom.Model(FINCH, threads=1) as other:
        with pytest.raises(fathom.OptionError, match="made by another"):
            finch.encode("a", depth=other.policy("fixed:2"))


def test_empty_as_zeros(finch: fathom.Model) -> None:
    x = finch.encode(["a", ""], layers=2, empty="zero")
    assert x[0].any() and not x[1].any()
