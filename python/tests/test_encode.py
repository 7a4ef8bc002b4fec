# SPDX-License-Identifier: Apache-2.0
"""Vectors: shapes, options, and the bits of the program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fathom
from conftest import FINCH

TEXTS = ["The cat sat on the mat.", "A dog ran off.", "Übergrößen – 猫"]


def test_shapes(finch: fathom.Model) -> None:
    d = finch.info().d_model
    assert finch.encode(TEXTS, layers=[1, 3, 11]).shape == (3, 3, d)
    assert finch.encode(TEXTS, layers=3).shape == (3, d)
    assert finch.encode(TEXTS, layers=[3]).shape == (3, d)
    assert finch.encode(TEXTS).shape == (3, d)
    assert finch.encode(TEXTS, layers="all").shape == (finch.info().n_layer + 2, 3, d)
    assert finch.encode("one", layers=3).shape == (d,)
    assert finch.encode("one", layers=[0, "final"]).shape == (2, d)
    assert finch.encode([], layers=[1, 2]).shape == (2, 0, d)
    assert finch.encode(TEXTS, pooling="state-rows", layers=1).shape == (3, 192)


def test_layers_are_those_of_all(finch: fathom.Model) -> None:
    every = finch.encode(TEXTS, layers="all")
    final = finch.info().n_layer + 1
    kinds: list[Any] = [[0, 5, "final"], (0, 5, final), "0,5,final", np.array([0, 5, final])]
    for layers in kinds:
        assert np.array_equal(finch.encode(TEXTS, layers=layers), every[[0, 5, final]])
    assert np.array_equal(finch.encode(TEXTS), every[final])


def test_dtypes(finch: fathom.Model) -> None:
    x = finch.encode(TEXTS, layers=[2, 3])
    assert x.dtype == np.float32 and x.flags.c_contiguous and x.flags.writeable
    half = finch.encode(TEXTS, layers=[2, 3], output_dtype="float16")
    assert half.dtype == np.float16
    assert np.array_equal(half, x.astype(np.float16))


def test_into_an_array(finch: fathom.Model) -> None:
    out = np.full((2, 3, 192), np.nan, np.float32)
    assert finch.encode(TEXTS, layers=[2, 3], out=out) is out
    assert np.array_equal(out, finch.encode(TEXTS, layers=[2, 3]))
    one = np.zeros((3, 2, 192), np.float32)
    finch.encode(TEXTS, layers=2, out=one[:, 0].copy())
    bad: list[Any] = [np.zeros((3, 192)), one[:, 0], np.zeros((3, 191), np.float32), [1, 2]]
    for array in bad:
        with pytest.raises(fathom.OptionError, match="out: expected"):
            finch.encode(TEXTS, layers=2, out=array)
    frozen = np.zeros((3, 192), np.float32)
    frozen.flags.writeable = False
    with pytest.raises(fathom.OptionError, match="writable"):
        finch.encode(TEXTS, layers=2, out=frozen)


def test_results_own_their_memory() -> None:
    model = fathom.Model(FINCH, threads=1)
    x = model.encode(TEXTS, layers=3)
    states = model.hidden_states(TEXTS[0])
    kept, kept_states = x.copy(), states.copy()
    model.close()
    del model
    assert np.array_equal(x, kept) and np.array_equal(states, kept_states)


def test_normalised(finch: fathom.Model) -> None:
    x = finch.encode(TEXTS, layers=3, normalize=True)
    assert np.allclose(np.linalg.norm(x, axis=1), 1, atol=1e-6)


def test_ids_are_texts(finch: fathom.Model) -> None:
    want = finch.encode(TEXTS, layers=[0, 3])
    ids = finch.tokenize(TEXTS)
    assert np.array_equal(finch.encode(ids, layers=[0, 3]), want)
    arrays = [np.array(i, np.uint16) for i in ids]
    assert np.array_equal(finch.encode(arrays, layers=[0, 3]), want)
    assert np.array_equal(finch.encode(ids[1], layers=[0, 3]), want[:, 1])
    square = np.array([ids[0][:3], ids[1][:3]], np.int64)
    assert np.array_equal(
        finch.encode(square, layers=1), finch.encode([list(map(int, r)) for r in square], layers=1)
    )


def test_every_kind_of_sequence(finch: fathom.Model) -> None:
    want = finch.encode(TEXTS, layers=1)
    for texts in (tuple(TEXTS), np.array(TEXTS), np.array(TEXTS, object)):
        assert np.array_equal(finch.encode(texts, layers=1), want)
    pandas = pytest.importorskip("pandas")
    assert np.array_equal(finch.encode(pandas.Series(TEXTS), layers=1), want)
    pyarrow = pytest.importorskip("pyarrow")
    for texts in (pyarrow.array(TEXTS), pyarrow.chunked_array([TEXTS[:1], TEXTS[1:]])):
        assert np.array_equal(finch.encode(texts, layers=1), want)
    ids = pyarrow.array(finch.tokenize(TEXTS))
    assert np.array_equal(finch.encode(ids, layers=1), want)
    table = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(want.ravel()), want.shape[1])
    assert np.array_equal(np.array(table.to_pylist(), np.float32), want)


def test_the_other_texts_do_not_matter(finch: fathom.Model, sentences: list[str]) -> None:
    together = finch.encode(sentences, layers=[1, 4])
    small = finch.encode(sentences, layers=[1, 4], batch_tokens=7)
    assert np.array_equal(together, small)
    for i in (0, len(sentences) // 2, len(sentences) - 1):
        assert np.array_equal(finch.encode(sentences[i], layers=[1, 4]), together[:, i])


def test_a_stream_in_blocks(finch: fathom.Model, sentences: list[str]) -> None:
    taken = 0

    def lines() -> Any:
        nonlocal taken
        for text in sentences:
            taken += 1
            yield text

    blocks = finch.encode_iter(lines(), batch=5, layers=[1, 2])
    assert taken == 0
    first = next(blocks)
    assert first.shape == (2, 5, 192) and taken == 5
    rest = list(blocks)
    assert np.array_equal(
        np.concatenate([first, *rest], axis=1), finch.encode(sentences, layers=[1, 2])
    )
    with pytest.raises(TypeError, match="one str"):
        finch.encode_iter("a str")
    with pytest.raises(fathom.OptionError, match="batch"):
        finch.encode_iter(sentences, batch=0)


def test_the_bits_of_the_program(
    finch: fathom.Model, sentences: list[str], run: Callable[..., str], tmp_path: Path
) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(sentences) + "\n", encoding="utf-8")
    settings: list[tuple[list[str], dict[str, Any]]] = [
        (["--layers", "1,3,final", "--normalize"], {"layers": [1, 3, "final"], "normalize": True}),
        (["--layers", "3", "--pool", "weighted", "--norm", "ln_out", "--bos", "0"],
         {"layers": 3, "pooling": "weighted", "norm": "ln_out", "bos": 0}),
        (["--layers", "2", "--scan", "both"], {"layers": 2, "scan": "both"}),
        (["--layers", "2", "--pool", "eos", "--eos", "0"],
         {"layers": 2, "pooling": "eos", "eos": 0}),
        (["--depth", "fixed:2"], {"depth": "fixed:2"}),
    ]
    for flags, options in settings:
        out = tmp_path / "e.npy"
        run("embed", FINCH, "-i", lines, "-o", out, *flags)
        got = finch.encode(sentences, **options)
        want = np.load(out)
        assert np.array_equal(got, want.reshape(got.shape)), flags


def test_depth(finch: fathom.Model) -> None:
    want = finch.encode(TEXTS, layers=2)
    assert np.array_equal(finch.encode(TEXTS, depth="fixed:2"), want)
    policy = finch.policy("fixed:2")
    assert policy.name == "fixed:2" and not policy.by_pair and "fixed:2" in repr(policy)
    r = finch.encode(TEXTS, depth=policy, return_trace=True)
    assert np.array_equal(r.vectors, want)
    assert r.exit_layers.tolist() == [2, 2, 2]
    assert r.n_time_mix.tolist() == [2, 2, 2]
    assert r.predicted_classes.tolist() == [-1, -1, -1] and np.isnan(r.confidence).all()
    assert np.array_equal(finch.encode(TEXTS, depth="full", layers=2), want)


def test_hidden_states(finch: fathom.Model, run: Callable[..., str], tmp_path: Path) -> None:
    states = finch.hidden_states(TEXTS[0])
    ids = finch.tokenize(TEXTS[0])
    assert states.shape == (13, len(ids), 192) and states.dtype == np.float32
    assert np.array_equal(states, finch.hidden_states(np.array(ids)))
    # Mean pooling is their mean, summed in double.
    assert np.array_equal(
        states.astype(np.float64).mean(axis=1).astype(np.float32),
        finch.encode(TEXTS[0], layers=list(range(13))),
    )
    out = tmp_path / "t.safetensors"
    run("trace", FINCH, "--text", TEXTS[0], "-o", out)
    assert np.array_equal(states, read_safetensors(out, "hidden"))


def read_safetensors(path: Path, name: str) -> Any:
    import json

    bytes_ = path.read_bytes()
    n = int.from_bytes(bytes_[:8], "little")
    about = json.loads(bytes_[8 : 8 + n])[name]
    begin, end = about["data_offsets"]
    return np.frombuffer(bytes_[8 + n + begin : 8 + n + end], np.float32).reshape(about["shape"])


def test_tokens(finch: fathom.Model, run: Callable[..., str]) -> None:
    for text in TEXTS:
        assert finch.decode(finch.tokenize(text)) == text
    assert finch.tokenize(TEXTS) == [finch.tokenize(t) for t in TEXTS]
    assert finch.tokenize("") == [] and finch.decode([]) == ""
    with pytest.raises(fathom.Error, match="4096|4097|999999"):
        finch.decode([999999])


def test_info(finch: fathom.Model) -> None:
    i = finch.info()
    assert (i.version, i.n_layer, i.n_block, i.d_model, i.n_vocab) == ("6", 12, 12, 192, 4097)
    assert i.dtype == "f32" and i.path.endswith("model.safetensors") and i.heads == ()
    assert "RWKV-6" in repr(finch)


def test_fewer_blocks() -> None:
    with fathom.Model(FINCH, n_block=2, threads=1) as m:
        assert m.info().n_block == 2
        assert m.encode(TEXTS, layers=2).shape == (3, 192)
        with pytest.raises(fathom.OptionError, match="2"):
            m.encode(TEXTS, layers=3)
        with pytest.raises(fathom.OptionError, match="n_block"):
            m.hidden_states("a")
