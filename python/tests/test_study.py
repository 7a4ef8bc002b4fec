# SPDX-License-Identifier: Apache-2.0
"""evaluate, fit, sweep, advise and prune: the program's figures, as dataclasses."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import fathom
from conftest import FINCH

WORDS = ("the a small large red green old new cat dog bird horse sees likes hears follows quickly "
         "slowly today often").split()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MRPC and STS-B of made-up sentences: pairs that share words mean the same."""
    root = tmp_path_factory.mktemp("data")
    rng = random.Random(1)

    def pair(alike: bool) -> tuple[str, str]:
        a = rng.choices(WORDS, k=8)
        b = [w if rng.random() < 0.9 else rng.choice(WORDS) for w in a] if alike else rng.choices(
            WORDS, k=8)
        return " ".join(a), " ".join(b)

    for task, columns in (("MRPC", "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"),
                          ("STS-B", "index\tsentence1\tsentence2\tscore")):
        folder = root / "glue" / task
        folder.mkdir(parents=True)
        for split, n in (("train", 160), ("dev", 40)):
            rows = [columns]
            for i in range(n):
                alike = rng.random() < 0.5
                a, b = pair(alike)
                score = 3 + 2 * rng.random() if alike else 2 * rng.random()
                rows.append(f"{int(alike)}\t{i}\t{i}\t{a}\t{b}" if task == "MRPC"
                            else f"{i}\t{a}\t{b}\t{score:.3f}")
            (folder / f"{split}.tsv").write_text("\n".join(rows) + "\n")
    return root


def test_evaluate(small: Path, run: Callable[..., str], tmp_path: Path) -> None:
    r = fathom.evaluate(FINCH, "mrpc", data=small, layers=[0, 3, "final"], bootstrap=50,
                        timing=False)
    assert (r.task, r.split, r.n) == ("mrpc", "validation", 40)
    run("eval", FINCH, "--task", "mrpc", "--data", small, "--layers", "0,3,final", "--bootstrap",
        "50", "--no-timing", "-o", tmp_path)
    want = json.loads((tmp_path / "results.json").read_text())
    for what in ("rows", "cost"):
        for got, row in zip(r.json[what], want[what], strict=True):
            assert {**got, "peak_rss_bytes": 0} == {**row, "peak_rss_bytes": 0}
    assert r.score(3) == next(x["value"] for x in want["rows"]
                              if x["layer"] == 3 and x["metric"] == "spearman")
    assert r.score("final") == r.score("final", "spearman") and r.best().layer in (0, 3, "final")
    with pytest.raises(KeyError):
        r.score(5)
    page = r._repr_html_()
    assert page.startswith("<iframe srcdoc=") and "&lt;svg" in page
    frame = r.to_pandas()
    assert len(frame) == len(r.metrics) and {"layer", "metric", "value", "flops_per_pair"} <= set(
        frame.columns)


def test_evaluate_several_and_under_a_policy(small: Path, finch: fathom.Model) -> None:
    both = fathom.evaluate(finch, ["mrpc", "stsb"], data=small, layers="3", bootstrap=20,
                           timing=False)
    assert list(both) == ["mrpc", "stsb"]
    deep = fathom.evaluate(finch, "stsb", data=small, depth="fixed:3", bootstrap=20, timing=False)
    assert deep.score("policy") == both["stsb"].score(3)


def test_fit(small: Path, tmp_path: Path, finch: fathom.Model) -> None:
    out, heads = tmp_path / "mrpc.policy", tmp_path / "heads.safetensors"
    r = fathom.fit(finch, "mrpc", data=small, output=out, heads=heads, max_loss=0.5, bootstrap=50)
    assert r.task == "mrpc" and r.split == "validation" and len(r.layers) == 14
    assert [f.layer for f in r.layers][-2:] == [12, "final"]
    assert r.metric is not None
    best = max(r.layers, key=lambda f: f.scores[r.metric or ""])
    assert best.scores[r.metric] == next(
        f for f in r.layers if f.layer == r.best_layer).scores[r.metric]
    assert best.spread is not None and best.spread.low <= best.spread.value <= best.spread.high
    assert out.is_file() and heads.is_file() and r.policy is not None
    assert len(r.to_pandas()) == 14 and "&lt;svg" in r._repr_html_()
    trace = finch.encode(["the cat", "a cat"], depth=f"exit:{out}", return_trace=True)
    assert trace.exit_layers[0] == trace.exit_layers[1] <= 12
    assert trace.predicted_classes[0] in (0, 1) and np.isfinite(trace.confidence).all()
    with pytest.raises(fathom.Error, match="even number"):
        finch.encode(["one"], depth=f"exit:{out}")


def test_a_policy_file_written_anew_is_read_anew(small: Path, tmp_path: Path,
                                                 finch: fathom.Model) -> None:
    out = tmp_path / "p.policy"
    lines = tmp_path / "texts.txt"
    lines.write_text("\n".join(" ".join(WORDS[i : i + 6]) for i in range(14)) + "\n")
    exits = []
    for n in (2, 4):
        r = fathom.prune(finch, texts=lines, remove=n, unit="block", method="bi", output=out,
                         sample=6, held_out=6)
        assert r.output == str(out) and 0 < r.flops_share < 1 and len(r.to_pandas()) == 4
        exits.append(finch.encode(["a cat"], depth=f"mask:{out}", return_trace=True).n_time_mix[0])
    assert exits == [10, 8]
    # "half" is what a sublayer was called before; the default is the same.
    prune = partial(fathom.prune, finch, texts=lines, remove=3, method="bi", sample=6, held_out=6)
    removed = [prune(), prune(unit="sublayer"), prune(unit="half")]
    assert len({(one.blocks, one.flops_share) for one in removed}) == 1
    with pytest.raises(fathom.OptionError, match="unit: expected sublayer or half or block"):
        fathom.prune(finch, texts=lines, remove=3, unit="layer")


def test_advise(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.policy"
    r = fathom.advise(FINCH, "mrpc", data=small, policies="fixed", max_loss=0.2, output=out,
                      bootstrap=50, calibration=4)
    assert r.output == str(out) and out.is_file() and r.kind == "mask"
    assert r.chosen_on.n == 64 and r.held_out is None and 0 <= r.evaluated.saving.value < 1
    assert list(r.to_pandas()["rows"]) == ["chosen_on", "evaluated"]
    half = fathom.advise(FINCH, "mrpc", data=small, policies="fixed", max_loss=0.2, bootstrap=50,
                         calibration=4, optimistic=True)
    assert half.held_out is not None and half.chosen_on.n + half.held_out.n == 64
    assert list(half.to_pandas()["rows"]) == ["chosen_on", "held_out", "evaluated"]
    assert "<iframe" in r._repr_html_()


def test_sweep(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    r = fathom.sweep(FINCH, "mrpc", data=small, policies="fixed,exit:entropy", points=8,
                     bootstrap=20, timing=False, folder=folder)
    assert r.tasks == ["mrpc"] and set(r.scores["mrpc"]) == {"fixed", "exit:entropy"}
    assert r.json == json.loads((folder / "results.json").read_text())
    assert len(r.to_pandas()) == len(r.points) and "mrpc" in r.verdicts
    assert "&lt;svg" in r._repr_html_()


def test_what_cannot_be(small: Path, tmp_path: Path) -> None:
    with pytest.raises(fathom.OptionError, match="unknown task|task"):
        fathom.evaluate(FINCH, "nothing", data=small)
    with pytest.raises(fathom.FileError):
        fathom.evaluate(FINCH, "sickr", data=small)
    with pytest.raises(fathom.OptionError, match="either a task or texts"):
        fathom.fit(FINCH)
    with pytest.raises(fathom.OptionError, match="expected one target"):
        fathom.fit(FINCH, "mrpc", data=small, max_loss=0.1, target_speed=2)
    with pytest.raises(fathom.OptionError, match="keep or remove"):
        fathom.prune(FINCH, tasks="stsb")
    with pytest.raises(fathom.OptionError, match="max_loss"):
        fathom.advise(FINCH, "mrpc", max_loss=2)
    with pytest.raises(fathom.OptionError, match="max_loss"):
        fathom.advise(FINCH, "mrpc", max_loss=0)
    with pytest.raises(fathom.OptionError, match="confidence"):
        fathom.advise(FINCH, "mrpc", confidence=1)
    with pytest.raises(fathom.OptionError, match="points"):
        fathom.sweep(FINCH, "mrpc", points=3)
    with pytest.raises(fathom.FileError, match="nowhere"):
        fathom.evaluate(tmp_path / "nowhere", "mrpc", data=small)


def test_progress(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    fathom.evaluate(FINCH, "mrpc", data=small, layers="1", bootstrap=20, timing=False,
                    progress=True)
    assert "evaluated pairs: 100%" in capsys.readouterr().err


def test_task_names() -> None:
    assert {"mrpc", "stsb", "sst2"} <= set(fathom.tasks())
