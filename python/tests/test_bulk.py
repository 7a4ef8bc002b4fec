# SPDX-License-Identifier: Apache-2.0
"""fathom.bulk without Ray: units, tables, bad rows, the manifest. With it: tests/peers/check_ray.py."""

from __future__ import annotations

import fcntl
import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fathom
from conftest import FINCH
from fathom import _bulk_read as reading
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
            got = [line for unit in store.units_of(str(path), 1) for line in reading.lines_of(unit)]
            assert [line.decode() for line in got] == lines, size

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
    assert "2 of 3 parts are there already" in capsys.readouterr().err
    for path, (content, time) in files.items():
        assert path.read_bytes() == content
        assert (path.stat().st_mtime_ns == time) == (path != lost)
    # A changed input is made again, one that came later is made.
    write_parquet(tmp_path / "b.parquet", ["another"])
    write_parquet(tmp_path / "d.parquet", ["new"])
    assert run(tmp_path, source) == 0
    assert "2 of 4 parts are there already" in capsys.readouterr().err
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

def bad_rows(folder: Path) -> list[tuple[int, str]]:
    lines = (folder / "_fathom/bad_rows.jsonl").read_text().splitlines()
    return [(row["row"], row["why"]) for row in map(json.loads, lines)]

def test_columns_of_every_kind(tmp_path: Path, finch: fathom.Model) -> None:
    texts = ["one", "two", None, "", "one"]
    want = finch.encode(["one", "two"], layers=3)
    nested = [{"a": [1, i], "b": {"c": str(i)}} for i in range(5)]
    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        table = pa.table({
            "a.b": pa.array(nested),
            "nothing": pa.nulls(5),
            "text": pa.array(texts, type=pa.string()).cast(kind),
            "kind": pa.array(["x"] * 5).dictionary_encode(),
        })
        out, bad = bulk.Embed(str(FINCH), layers=3, threads=1, on_error="null").embed(table)
        assert bad == {2: "null", 3: "empty"}, kind
        read_back = pq.read_table(pa.BufferReader(bulk.parquet_bytes(out, ["embedding"])))
        assert read_back.column_names == [*table.column_names, "embedding"]
        assert read_back["a.b"].to_pylist() == nested
        got = read_back["embedding"].to_pylist()
        assert got[2] is None and got[3] is None
        np.testing.assert_array_equal(np.array(got[0], dtype=np.float32), want[0])
        np.testing.assert_array_equal(np.array(got[4], dtype=np.float32), want[0])
        np.testing.assert_array_equal(np.array(got[1], dtype=np.float32), want[1])
    chunks = pa.chunked_array([["one"], ["two", None]])
    assert bulk.Embed(str(FINCH), layers=3, threads=1, on_error="skip")(
        pa.table({"text": chunks})).num_rows == 2
    for column, why in ((pa.nulls(2), "null"), (pa.array([1, 2]), "not text but int"),
                        (pa.array([b"x", b"y"]), "not text but bytes"),
                        (pa.array([["x"], ["y"]]), "not text but list")):
        embed = bulk.Embed(str(FINCH), layers=3, threads=1, on_error="null")
        out, bad = embed.embed(pa.table({"text": column}))
        assert bad == {0: why, 1: why}
        assert out["embedding"].null_count == 2

def test_text_that_is_not_utf8_is_a_bad_row(tmp_path: Path, finch: fathom.Model) -> None:
    broken = b"caf\xe9"
    strings = pa.Array.from_buffers(
        pa.string(), 3, pa.array([b"one", broken, b"two"], type=pa.binary()).buffers())
    files = {
        "p.parquet": None,
        "t.txt": b"one\n" + broken + b"\ntwo\n",
        "j.jsonl": b'{"text":"one"}\n{"text":"' + broken + b'"}\n{"text":"two"}\n',
        "s.jsonl": b'{"text":"one"}\n{"text":"caf\\ud800"}\n{"text":"two"}\n',
        "a.json": b'[{"text":"one"},\n{"text":"' + broken + b'"}, {"text":"two"}]',
        "c.csv": b"text,n\none,1\n" + broken + b",2\ntwo,x\n",
        "d.csv.gz": gzip.compress(b'n,text\r\n1,"one"\r\n2,' + broken + b"\r\n3,two\r\n"),
    }
    want = finch.encode(["one", "two"], layers=3)
    pq.write_table(pa.table({"text": strings}), tmp_path / "p.parquet")
    for name, content in files.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        out = tmp_path / f"out-{name}"
        assert bulk.main([str(FINCH), "--input", str(tmp_path / name), "--output", str(out),
                          "--layers", "3", "--no-ray", "--on-error", "skip"]) == 0, name
        assert bad_rows(out) == [(1, "not UTF-8")], name
        got = read(out)
        np.testing.assert_array_equal(got["one"], want[0], err_msg=name)
        np.testing.assert_array_equal(got["two"], want[1], err_msg=name)

def test_lines_that_are_no_objects_are_bad_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ['{"text": "one", "n": 1}', "{broken", "[1]", "", '{"n": "x"}', '{"text": 5}',
             '{"text": "two", "n": 2}']
    (tmp_path / "l.jsonl").write_text("\r\n".join(lines))
    (tmp_path / "m.jsonl").write_text("{}\n\n{broken")
    for how, rows in (("skip", 2), ("null", 10)):
        out = tmp_path / how
        assert bulk.main([str(FINCH), "--input", str(tmp_path / "*.jsonl"), "--output", str(out),
                          "--layers", "3", "--no-ray", "--on-error", how]) == 0
        bad = bad_rows(out)
        assert [row for row, _ in bad] == [1, 2, 3, 4, 5, 0, 1, 2]
        assert bad[0][1].startswith("not JSON") and bad[1][1] == "not an object but list"
        assert [why for _, why in bad[2:6]] == ["null", "null", "not text but int", "null"]
        assert json.loads((out / "_fathom/manifest.json").read_text())["rows"] == rows
    assert run(tmp_path, str(tmp_path / "l.jsonl")) == 1
    assert "row 1 of 'text': not JSON" in capsys.readouterr().err

@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_json_arrays_come_in_parts(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ARRAY_PART", size)
    items = [{"a": "x]}\\\""}, [1, [2]], "é, ", 12, -3.5e2, None, {}, 7]
    for text in (json.dumps(items, indent=1), json.dumps(items, ensure_ascii=False) + " \n", "[ ]"):
        array = reading._Array(io.BytesIO(text.encode()), "a.json")
        assert list(array.items()) == json.loads(text)
    for text, why in (("[1", "got the end"), ("[1,", "item 2"), ("[1,]", "item 2"), ("[1 2]", "got '2'"),
                      ("[1] 2", "behind the array"), ("[,1]", "item 1"), ('["a', "item 1")):
        with pytest.raises(fathom.Error, match=why):
            list(reading._Array(io.BytesIO(text.encode()), "a.json").items())

def test_a_unit_of_many_rows_becomes_several_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"sentence {i}" for i in range(25)]
    (tmp_path / "t.txt").write_text("\n".join(texts[:20] + ["", *texts[20:]]))
    write_parquet(tmp_path / "p.parquet", texts)
    for name, files in (("t.txt", 3), ("p.parquet", 3)):
        out = tmp_path / f"out-{name}"
        command = [str(FINCH), "--input", str(tmp_path / name), "--output", str(out), "--layers", "3",
                   "--no-ray", "--rows-per-file", "10", "--on-error", "skip"]
        assert bulk.main(command) == 0
        assert len(list(out.glob("*.parquet"))) == files
        assert set(read(out)) == set(texts)
    assert bad_rows(tmp_path / "out-t.txt") == [(20, "empty")]
    with pytest.raises(fathom.TextError, match="row 20 of"):
        bulk.run(str(FINCH), [str(tmp_path / "t.txt")], str(tmp_path / "fail"), layers=3,
                 rows_per_file=10, use_ray=False)
    # What failed in the middle goes on with the bad row left out, and leaves nothing of its own.
    bulk.run(str(FINCH), [str(tmp_path / "t.txt")], str(tmp_path / "fail"), layers=3,
             rows_per_file=10, use_ray=False, on_error="skip")
    assert len(list((tmp_path / "fail").glob("*.parquet"))) == 3
    # A file that is shorter now has fewer.
    (tmp_path / "t.txt").write_text("\n".join(texts[:5]))
    bulk.run(str(FINCH), [str(tmp_path / "t.txt")], str(tmp_path / "fail"), layers=3,
             rows_per_file=10, use_ray=False, on_error="skip")
    assert len(list((tmp_path / "fail").glob("*.parquet"))) == 1
    assert set(read(tmp_path / "fail")) == set(texts[:5])

def test_a_unit_goes_on_behind_its_last_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A packed file, or a large one, is one unit: what is done of it is not done again."""
    texts = [f"sentence {i}" for i in range(50)]
    (tmp_path / "t.txt.gz").write_bytes(gzip.compress("\n".join([*texts[:30], "", *texts[30:]]).encode()))

    def run_to(name: str) -> dict[str, Any]:
        return bulk.run(str(FINCH), [str(tmp_path / "t.txt.gz")], str(tmp_path / name), layers=3,
                        rows_per_file=10, use_ray=False, on_error="skip", threads=1)

    def files(name: str) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}

    whole = run_to("one")
    embed, n_row = bulk.Embed.embed, 0

    def counted(self: bulk.Embed, table: Any, *more: Any) -> Any:
        nonlocal n_row
        if n_row >= stop:
            raise KeyboardInterrupt
        n_row += table.num_rows
        return embed(self, table, *more)

    monkeypatch.setattr(bulk.Embed, "embed", counted)
    for stop in (20, 30, 40):
        with pytest.raises(KeyboardInterrupt):
            run_to("many")
    stop = 1000
    assert run_to("many") == whole
    assert n_row == 51
    assert files("many") == files("one")
    assert bad_rows(tmp_path / "many") == [(30, "empty")]

def test_rows_are_there_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Inputs that are named twice, that lie around the output, that became longer."""
    inputs = tmp_path / "in"
    inputs.mkdir()
    write_parquet(inputs / "a.parquet", ["one", "two"])
    (inputs / "b.txt").write_text("three\n")
    out = inputs / "out"

    def rows() -> list[str]:
        tables = [pq.read_table(p) for p in sorted(out.glob("*.parquet"))]
        return sorted(t for table in tables for t in table["text"].to_pylist())

    def again() -> int:
        return bulk.main([str(FINCH), "--input", str(inputs), "--input", str(inputs / "*.txt"),
                          "--input", str(inputs / "**" / "*.parquet"), "--output", str(out),
                          "--layers", "3", "--no-ray"])

    for _ in range(2):
        assert again() == 0
        assert rows() == ["one", "three", "two"]
    (inputs / "b.txt").write_text("three\nfour\n")
    write_parquet(inputs / "a.parquet", [str(i) for i in range(120)], rows=60)
    assert again() == 0
    assert len(rows()) == 122
    # A file that is gone is nobody's, and its vectors are not taken away behind one's back.
    (inputs / "b.txt").unlink()
    (inputs / "c.txt").write_text("five\n")
    capsys.readouterr()
    assert again() == 0
    assert "1 parts of inputs that this run was not given" in capsys.readouterr().err
    assert len(rows()) == 123
    assert bulk.main([str(FINCH), "--input", str(out), "--output", str(out), "--no-ray"]) == 1
    assert "lies in the folder of the output" in capsys.readouterr().err

def test_one_process_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.txt").write_text("one\n")
    (tmp_path / "out" / "_fathom").mkdir(parents=True)
    with (tmp_path / "out" / "_fathom" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run(tmp_path, str(tmp_path / "t.txt")) == 1
        assert "another process is at work" in capsys.readouterr().err
    assert run(tmp_path, str(tmp_path / "t.txt")) == 0

def test_a_name_that_is_taken_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(pa.table({"text": ["a"], "embedding": [1]}), tmp_path / "a.parquet")
    assert run(tmp_path, str(tmp_path / "a.parquet")) == 2
    assert "the input has a column 'embedding'" in capsys.readouterr().err
    assert bulk.main([str(FINCH), "--input", str(tmp_path / "a.parquet"), "--output",
                      str(tmp_path / "o"), "--no-ray", "--vector-column", "vector"]) == 0
    [path] = (tmp_path / "o").glob("*.parquet")
    assert pq.read_schema(path).names == ["text", "embedding", "vector"]

@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.jsonl.gz", "a.json", "a.txt.xz", "a.tsv.zst"])
def test_files_that_are_none_are_refused_by_name(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    for content in (b"\x00\x01nothing of the kind", b'[{"text": "a"}, {"text"', b""):
        path.write_bytes(content)
        code = run(tmp_path, str(path), "--rows-per-file", "7")
        err = capsys.readouterr().err
        # Of lines that are no JSON every one is a bad row; what is empty has no row.
        if code != 0:
            assert name in err and "Traceback" not in err, err
            assert len(err.splitlines()) == 1, err

def test_a_disk_that_takes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Read-only, and full: as who may mount. The rest is made when there is room."""
    (tmp_path / "t.txt").write_text("".join(f"sentence {i}\n" for i in range(1000)))
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)], capture_output=True
    ).returncode != 0:
        pytest.skip("may not mount")
    command = [str(FINCH), "--input", str(tmp_path / "t.txt"), "--output", str(disk / "out"),
               "--layers", "3", "--no-ray", "--rows-per-file", "200"]
    try:
        assert bulk.main(command) == 1
        err = capsys.readouterr().err
        assert "cannot write: No space left on device" in err and err.count("\n") == 1
        assert not list((disk / "out").glob("_fathom/*.tmp.*"))
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert bulk.main(command) == 1
        assert "Read-only file system" in capsys.readouterr().err
        subprocess.run(["mount", "-o", "remount,rw,size=4m", str(disk)], check=True)
        assert bulk.main(command) == 0
        assert len(read(disk / "out")) == 1000
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)

def test_killed_at_any_moment_it_loses_nothing(tmp_path: Path) -> None:
    for name in "abcde":
        write_parquet(tmp_path / f"{name}.parquet", [f"{name} {i}" for i in range(40)])
    inputs = str(tmp_path / "*.parquet")
    command = [sys.executable, "-m", "fathom.bulk", str(FINCH), "--input", inputs, "--layers", "3",
               "--no-ray", "--output"]
    subprocess.run([*command, str(tmp_path / "one")], check=True, capture_output=True)
    out = tmp_path / "out"
    for n in (1, 2, 4):
        process = subprocess.Popen([*command, str(out)], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list(out.glob("*.parquet"))) < n:
            pass
        process.kill()
        process.wait()
    (out / "_fathom" / "a-0123.json.tmp.host.1").write_bytes(b"half")
    subprocess.run([*command, str(out)], check=True, capture_output=True)
    def files(folder: Path) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    assert files(out) == files(tmp_path / "one")
    assert not list((out / "_fathom").glob("*.tmp.*"))
