#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How near embedders and static embeddings are to the teacher on the held-out examples.

    python held_out.py runs/embedder/model runs/bag

Prints, per layer, the rank correlation of the cosines with the teacher's over all pairs of 256
sentences, the mean of such batches. Sentences: the first of each group that distillation.py
holds out.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import corpus
import distill
import distillation
import model as finch
import train_bag
import train_embedder
from vocabulary import Tokenizer

BATCH = 256


def correlation(vectors, teacher):
    """Both (n, D), n at least BATCH; a last part of a batch is left out."""
    pairs = torch.triu_indices(BATCH, BATCH, 1).unbind()
    both = [F.normalize(torch.as_tensor(np.float32(x)), dim=1) for x in (vectors, teacher)]
    scores = []
    for start in range(0, len(both[0]) - BATCH + 1, BATCH):
        near = [x[start : start + BATCH] @ x[start : start + BATCH].T for x in both]
        scores.append(distill.spearman(*(n[pairs].numpy() for n in near)))
    return float(np.mean(scores))


@torch.no_grad()
def layers_of(folder, ids):
    """Pooled vectors of lists of ids: (layers, n, D); a bag has one layer."""
    if not (folder / "config.json").exists() or "token-bag" in (folder / "config.json").read_text():
        table = train_bag.Bag(folder).table
        return np.stack([table[sentence].mean(axis=0) for sentence in ids])[None]
    model = finch.load(folder)
    parts = [train_embedder.pooled_layers(model, ids[i : i + 128], False)
             for i in range(0, len(ids), 128)]
    return torch.cat(parts, dim=1).numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+",
                        help="of embedders and bags, one vocabulary")
    parser.add_argument("--data", type=Path, default=corpus.TRAINING / "data")
    a = parser.parse_args()
    torch.set_num_threads(1)
    data = distillation.Examples(a.data / "teacher", Tokenizer.read(a.folders[0] / "vocab.txt"))
    rows = [group[0] for group in data.held_out]
    if len(rows) < BATCH:
        raise SystemExit(f"{a.data}: {len(rows)} examples are held out, at least {BATCH} are wanted")
    for folder in a.folders:
        for layer, vectors in enumerate(layers_of(folder, [data.ids[i] for i in rows])):
            print(f"{folder} layer {layer}: {correlation(vectors, data.teacher[rows]):.4f}")


if __name__ == "__main__":
    main()
