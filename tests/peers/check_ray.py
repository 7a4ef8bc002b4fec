# SPDX-License-Identifier: Apache-2.0
"""fathom.bulk on Ray Data's own local cluster: the bytes of one process, also where actors are killed
while they work; and what readers of parquet make of the result.

    tests/peers/run.sh ray
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import fathom
from fathom import bulk

ROOT = Path(__file__).resolve().parents[2]
FINCH = str(ROOT / "models" / "finch-embed")
N_FILE, N_ROW = 20, 100


def check(what: str, holds: bool) -> None:
    print(f"{'ok  ' if holds else 'FAIL'} {what}", flush=True)
    if not holds:
        sys.exit(1)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


def run(inputs: Path, output: Path, **options: object) -> dict[str, object]:
    return bulk.run(FINCH, [str(inputs)], str(output), layers=3, normalize=True, **options)


def is_ours(pid: int) -> bool:
    """Whether this process, or one that it started, started it."""
    while pid > 1 and pid != os.getpid():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return False
        pid = int(fields[1])
    return pid == os.getpid()


def actors() -> list[int]:
    """Processes of this run's workers, as Ray names them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if line.startswith(b"ray::") and b"Worker" in line and b"idle" not in line.lower():
            pid = int(path.parent.name)
            if is_ours(pid):
                found.append(pid)
    return found


def kill_some(stop: threading.Event, killed: list[int]) -> None:
    while not stop.is_set() and len(killed) < 3:
        time.sleep(1)
        for pid in actors()[:1]:
            try:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            except ProcessLookupError:
                pass


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = folder / "in"
        inputs.mkdir()
        texts = [f"the sentence of number {i}, and {i % 7} more" for i in range(N_FILE * N_ROW)]
        for f in range(N_FILE):
            part = texts[f * N_ROW : (f + 1) * N_ROW]
            pq.write_table(pa.table({"text": part}), inputs / f"{f:03}.parquet")
        one = run(inputs, folder / "one", use_ray=False, threads=1)
        check("one process", one["rows"] == len(texts))
        start = time.monotonic()
        run(inputs, folder / "ray", concurrency=2, num_cpus=1)
        check(f"Ray, 2 actors, {time.monotonic() - start:.1f} s: the same bytes",
              files(folder / "ray") == files(folder / "one"))
        stop, killed = threading.Event(), []
        killer = threading.Thread(target=kill_some, args=(stop, killed))
        killer.start()
        lost = run(inputs, folder / "lost", concurrency=2, num_cpus=1)
        stop.set()
        killer.join()
        check(f"{len(killed)} actors killed: no row lost, none twice, the same bytes",
              lost["rows"] == len(texts) and files(folder / "lost") == files(folder / "one"))

        import duckdb
        import faiss
        import pandas
        import polars

        pattern = str(folder / "one" / "*.parquet")
        table = pa.concat_tables(pq.read_table(p) for p in sorted((folder / "one").glob("*.parquet")))
        x = table["embedding"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
        model = fathom.Model(FINCH, threads=1)
        want = model.encode(table["text"].to_pylist(), layers=3, normalize=True)
        check("pyarrow", bool(np.array_equal(x, want)))
        frame = polars.read_parquet(pattern).sort("text")
        order = np.argsort(np.array(table["text"].to_pylist()))
        check("polars", bool(np.array_equal(np.stack(frame["embedding"].to_numpy()), want[order])))
        rows = pandas.concat(pandas.read_parquet(p) for p in sorted((folder / "one").glob("*.parquet")))
        check("pandas", bool(np.array_equal(np.stack(rows["embedding"]), want)))
        found = duckdb.sql(f"select text, embedding from '{pattern}' order by text").fetchall()
        check("DuckDB", bool(np.array_equal(np.array([r[1] for r in found], np.float32), want[order])))
        index = faiss.IndexFlatIP(x.shape[1])
        index.add(np.ascontiguousarray(x))
        _, nearest = index.search(want[:50], 1)
        check("faiss: every text finds itself", bool((nearest[:, 0] == np.arange(50)).all()))


if __name__ == "__main__":
    main()
