# SPDX-License-Identifier: Apache-2.0
"""fathom.bulk on Ray: the bytes of one process, on Ray's own local cluster and on two nodes, also where
actors are killed while they work or a node goes for good; and what readers of parquet make of the result.

    tests/peers/run.sh ray
    python tests/peers/check_ray.py smoke     # 2,000 rows on two actors alone: what .ci/run does
    python tests/peers/check_ray.py nodes     # and some of kill, data, nodes, errors, readers
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import fathom
from fathom import bulk

ROOT = Path(__file__).resolve().parents[2]
FINCH = str(ROOT / "models" / "finch-embed")
N_FILE, N_ROW = 20, 100
RAY = str(Path(sys.executable).with_name("ray"))


def check(what: str, holds: bool) -> None:
    print(f"{'ok  ' if holds else 'FAIL'} {what}", flush=True)
    if not holds:
        sys.exit(1)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


def run(inputs: Path, output: Path, **options: object) -> dict[str, object]:
    return bulk.run(FINCH, [str(inputs)], str(output), layers=3, normalize=True, **options)


def write_inputs(folder: Path) -> list[str]:
    folder.mkdir()
    texts = [f"the sentence of number {i}, and {i % 7} more" for i in range(N_FILE * N_ROW)]
    for f in range(N_FILE):
        part = texts[f * N_ROW : (f + 1) * N_ROW]
        pq.write_table(pa.table({"text": part}), folder / f"{f:03}.parquet")
    return texts


def descendants(pid: int) -> list[int]:
    """A process and those that it started, and so on."""
    found = [pid]
    for one in found:
        for path in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in path.read_text().split()]
    return found


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """A node as if its machine had lost power."""
    for pid in descendants(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def two_nodes(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Two raylets of one CPU each on this machine: the cluster's address, and their processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Ray's sockets lie in its folder, and have names of at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as place:
        head = ["--head", f"--port={port}", f"--temp-dir={place}", "--include-dashboard=false"]
        nodes: list[subprocess.Popen[bytes]] = []
        try:
            for number, flags in enumerate((head, [f"--address=127.0.0.1:{port}"])):
                log = folder / f"node{number}.log"
                with log.open("wb") as out:
                    nodes.append(subprocess.Popen(
                        [RAY, "start", *flags, "--num-cpus=1", "--node-ip-address=127.0.0.1",
                         "--disable-usage-stats", "--block"], stdout=out, stderr=out))
                while "Ray runtime started" not in log.read_text():
                    if nodes[-1].poll() is not None:
                        sys.exit(log.read_text()[-3000:])
                    time.sleep(0.1)
            yield f"127.0.0.1:{port}", nodes
        finally:
            for node in reversed(nodes):
                kill_all(node)


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
        time.sleep(0.5)
        for pid in actors()[:1]:
            try:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            except ProcessLookupError:
                pass


def check_nodes(folder: Path, inputs: Path, texts: list[str]) -> None:
    """One of two nodes goes while both are at work, and does not come back."""
    import ray

    ray.shutdown()
    with two_nodes(folder) as (address, nodes):
        output, stop = folder / "nodes", threading.Event()

        def lose_one() -> None:
            while len(files(output)) < 3 and not stop.is_set():
                time.sleep(0.02)
            kill_all(nodes[1])

        killer = threading.Thread(target=lose_one)
        killer.start()
        try:
            made = run(inputs, output, concurrency=2, num_cpus=1, ray_address=address)
        finally:
            stop.set()
            killer.join()
        alive = sum(node["Alive"] for node in ray.nodes())
        ray.shutdown()
    check(f"two nodes, one killed for good ({alive} alive): no row lost, none twice, the same bytes",
          made["rows"] == len(texts) and files(output) == files(folder / "one"))


def check_errors(folder: Path) -> None:
    """What is wrong is one line, from an actor too."""
    (folder / "bad").mkdir()
    pq.write_table(pa.table({"text": ["one", None]}), folder / "bad" / "b.parquet")
    command = [FINCH, "--input", str(folder / "bad"), "--layers", "3"]
    for flags, code, text in ((["--column", "body"], 2, "no column 'body'"), ([], 1, "row 1 of 'text': null"),
                              (["--num-cpus", "1000"], 2, "num_cpus"), (["--layers", "77", "--on-error", "skip"], 2, "77")):
        done = subprocess.run(
            [sys.executable, "-m", "fathom.bulk", *command, "--output", str(folder / f"e{text[:3]}"), *flags],
            capture_output=True, text=True, check=False)
        ours = [line for line in done.stderr.splitlines() if line.startswith("fathom:")]
        check(f"exit code {code}: {' '.join(ours)[:120]}", done.returncode == code and len(ours) == 1
              and text in ours[0] and "Traceback" not in done.stderr)


def check_data(inputs: Path, texts: list[str]) -> None:
    """fathom.bulk.Embed in a pipeline of Ray Data, which needs a CPU beside its actors to read."""
    import ray

    ray.data.DataContext.get_current().enable_progress_bars = False
    made = ray.data.read_parquet(str(inputs)).map_batches(
        bulk.Embed, fn_constructor_args=[FINCH, "text"],
        fn_constructor_kwargs={"layers": 3, "normalize": True},
        batch_format="pyarrow", concurrency=1, num_cpus=1)
    rows = sorted(made.take_all(), key=lambda row: row["text"])
    want = fathom.Model(FINCH, threads=1).encode(sorted(texts), layers=3, normalize=True)
    check("Ray Data's map_batches with fathom.bulk.Embed", bool(np.array_equal(
        np.stack([row["embedding"] for row in rows]).astype(np.float32), want)))


def main(parts: list[str]) -> None:
    # Ray asks who talks to it; this is a secret of this run.
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = folder / "in"
        texts = write_inputs(inputs)
        print(f"ray {version('ray')}, pyarrow {version('pyarrow')}, fathom {fathom.__version__}")
        one = run(inputs, folder / "one", use_ray=False, threads=1)
        check("one process", one["rows"] == len(texts))
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "fathom.bulk", FINCH, "--input", str(inputs), "--output", str(folder / "ray"),
             "--layers", "3", "--normalize", "--concurrency", "2"], capture_output=True, text=True, check=False)
        check(f"exit code {done.returncode}: {done.stdout.strip()}", done.returncode == 0)
        check(f"Ray, 2 actors, {time.monotonic() - start:.1f} s: the same bytes",
              files(folder / "ray") == files(folder / "one"))
        if "kill" in parts:
            check_kill(folder, inputs, texts)
        if "data" in parts:
            check_data(inputs, texts)
        if "nodes" in parts:
            check_nodes(folder, inputs, texts)
        if "errors" in parts:
            check_errors(folder)
        if "readers" in parts:
            check_readers(folder)


def check_kill(folder: Path, inputs: Path, texts: list[str]) -> None:
    stop, killed = threading.Event(), []
    killer = threading.Thread(target=kill_some, args=(stop, killed))
    killer.start()
    try:
        lost = run(inputs, folder / "lost", concurrency=2, num_cpus=1)
    finally:
        stop.set()
        killer.join()
    check(f"{len(killed)} actors killed: no row lost, none twice, the same bytes",
          len(killed) > 0 and lost["rows"] == len(texts)
          and files(folder / "lost") == files(folder / "one"))


def check_readers(folder: Path) -> None:
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
    main(sys.argv[1:] or ["kill", "data", "nodes", "errors", "readers"])
