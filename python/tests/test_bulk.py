# SPDX-License-Identifier: Apache-2.0
"""fathom.bulk without Ray: units, tables, bad rows, the manifest. With it: tests/peers/check_ray.py."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fathom
from conftest import FINCH
from fathom import _bulk_store as store
from fathom import bulk

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

def write_parquet(path: Path, texts: Sequence[str | None], rows: int = 100) -> None:
    table = pa.table({"id": list(range(len(texts))), "text": pa.array(texts, type=pa.string())})
    pq.write_table(table, path, row_group_size=rows)

def run(tmp_path: Path, source: str, *flags: str) -> int:
    return bulk.main([
        str(FINCH), "--input", source, "--output", str(tmp_path / "out"), "--layers", "3",
        "--no-ray", *flags,
    ])

def read(folder: Path) -> dict[Any, Any]:
    """The vectors of every text in the folder."""
    vectors = {}
    for path in sorted(folder.glob("*.parquet")):
        table = pq.read_table(path)
        for text, x in zip(table["text"].to_pylist(), table["embedding"].to_pylist(), strict=True):
            vectors[text] = None if x is None else np.array(x, dtype=np.float32)
    return vectors

def test_every_format_has_the_vectors_of_encode(tmp_path: Path, finch: fathom.Model) -> None:
    texts = [f"sentence {i}, \"quoted\"" for i in range(20)]
    want = finch.encode(texts, layers=3)
    write_parquet(tmp_path / "a.parquet", texts, rows=7)
    lines = "".join(json.dumps({"text": t, "n": i}) + "\n" for i, t in enumerate(texts))
    (tmp_path / "b.jsonl").write_text(lines)
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    quoted = "".join('{},"{}"\n'.format(i, t.replace('"', '""')) for i, t in enumerate(texts))
    (tmp_path / "d.csv").write_text("n,text\n" + quoted)
    (tmp_path / "e.txt").write_text("\n".join(texts))
    (tmp_path / "f.json").write_text(json.dumps([{"text": t} for t in texts]))
    for name in ("a.parquet", "b.jsonl", "c.jsonl.gz", "d.csv", "e.txt", "f.json"):
        out = tmp_path / name / ".."
        out = tmp_path / f"out-{name}"
        assert bulk.main([str(FINCH), "--input", str(tmp_path / name), "--output", str(out),
                          "--layers", "3", "--no-ray", "--rows-per-file", "10"]) == 0
        got = read(out)
        assert len(got) == 20, name
        for text, x in zip(texts, want, strict=True):
            np.testing.assert_array_equal(got[text], x, err_msg=name)
    assert len(list((tmp_path / "out-a.parquet").glob("*.parquet"))) == 2

def test_lines_are_cut_into_units_once_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"{'x' * (i * 7 % 23)}{i}" for i in range(200)] + ["", "end"]
    for end in ("\n", "\r\n"):
        path = tmp_path / "l.txt"
        path.write_bytes(end.join(lines).encode())
        for size in (1, 2, 3, 17, 100, 10_000):
            monkeypatch.setattr(store, "UNIT_BYTES", size)
            got = [line for unit in store.units_of(str(path), 1) for line in bulk._lines(unit)]
            assert got == lines, size

def test_vectors_are_a_fixed_size_list_without_dictionary_or_compression(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", ["one", "two"])
    assert run(tmp_path, str(tmp_path / "a.parquet")) == 0
    [path] = (tmp_path / "out").glob("*.parquet")
    schema = pq.read_schema(path)
    assert schema.field("embedding").type.list_size == 192
    assert schema.names == ["id", "text", "embedding"]
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = {group.column(i).path_in_schema.split(".")[0]: group.column(i) for i in range(3)}
    assert columns["embedding"].compression == "UNCOMPRESSED"
    assert not any("DICTIONARY" in e for e in columns["embedding"].encodings)
    assert columns["text"].compression == "ZSTD"

def test_bad_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["a", None, "b", "", "c"]
    write_parquet(tmp_path / "a.parquet", texts, rows=2)
    source = str(tmp_path / "a.parquet")
    assert run(tmp_path, source, "--rows-per-file", "2") == 1
    assert "null; expected a text" in capsys.readouterr().err
    for how, rows in (("skip", 3), ("null", 5)):
        out = tmp_path / how
        assert bulk.main([str(FINCH), "--input", source, "--output", str(out), "--layers", "3",
                          "--no-ray", "--on-error", how, "--rows-per-file", "2"]) == 0
        got = read(out)
        assert len(got) == rows
        assert got["c"].shape == (192,)
        bad = [json.loads(line) for line in (out / "_fathom/bad_rows.jsonl").open()]
        assert [(row["row"], row["why"]) for row in bad] == [(1, "null"), (3, "empty")]
        assert bad[0]["file"] == source
        manifest = json.loads((out / "_fathom/manifest.json").read_text())
        assert manifest["rows"] == rows
        assert manifest["bad_rows"] == 2
    assert got[None] is None

def test_a_rerun_does_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        write_parquet(tmp_path / f"{name}.parquet", [f"{name} {i}" for i in range(5)])
    source = str(tmp_path / "*.parquet")
    assert run(tmp_path, source) == 0
    files = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "out").glob("*.parquet")}
    lost = sorted(files)[1]
    lost.unlink()
    (tmp_path / "out" / "half.parquet.tmp.host.1").write_bytes(b"PAR1")
    capsys.readouterr()
    assert run(tmp_path, source) == 0
    assert "2 of 3 files are there already" in capsys.readouterr().err
    for path, (content, time) in files.items():
        assert path.read_bytes() == content
        assert (path.stat().st_mtime_ns == time) == (path != lost)
    # A changed input is made again, one that came later is made.
    write_parquet(tmp_path / "b.parquet", ["another"])
    write_parquet(tmp_path / "d.parquet", ["new"])
    assert run(tmp_path, source) == 0
    assert "2 of 4 files are there already" in capsys.readouterr().err
    assert {"another", "new"} <= set(read(tmp_path / "out"))
    # Other options are another job.
    assert run(tmp_path, source, "--normalize") == 2
    assert "options" in capsys.readouterr().err

    def broken(*_: object) -> None:
        raise AssertionError("nothing is to be done")

    monkeypatch.setattr(bulk, "Worker", broken)
    assert run(tmp_path, source) == 0

def test_policies_layers_and_arrays(tmp_path: Path, finch: fathom.Model) -> None:
    texts = [f"sentence {i}" for i in range(6)]
    table = pa.table({"text": texts})
    several = bulk.Embed(str(FINCH), layers="1,3", threads=1)(table)
    assert several.column_names == ["text", "embedding_1", "embedding_3"]
    np.testing.assert_array_equal(
        np.array(several["embedding_3"].to_pylist(), dtype=np.float32), finch.encode(texts, layers=3)
    )
    fixed = bulk.Embed(str(FINCH), depth="fixed:2", threads=1)(table)
    assert fixed["exit_layer"].to_pylist() == [2] * 6
    (tmp_path / "t.txt").write_text("\n".join(texts))
    assert run(tmp_path, str(tmp_path / "t.txt"), "--format", "npy") == 0
    [path] = (tmp_path / "out").glob("*.npy")
    np.testing.assert_array_equal(np.load(path), finch.encode(texts, layers=3))
    assert len(bulk.Embed(str(FINCH), layers=3, threads=1)(table.slice(0, 0))) == 0

def test_wrong_words_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_parquet(tmp_path / "a.parquet", ["one"])
    source = str(tmp_path / "a.parquet")
    assert run(tmp_path, source, "--column", "body") == 2
    assert "expected one of id, text" in capsys.readouterr().err
    assert run(tmp_path, str(tmp_path / "*.none")) == 1
    assert "no file matches" in capsys.readouterr().err
    with pytest.raises(fathom.OptionError, match="on_error"):
        bulk.Embed(str(FINCH), on_error="maybe")
