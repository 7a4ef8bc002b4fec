#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains static embeddings: a table of token vectors; a sentence is their mean.

Same sentences, teacher and losses as train_embedder.py. --output gets model.safetensors
(`emb.weight`, tokens x width, row = token id), vocab.txt, curve.csv and checkpoint.pt; the same
command after a kill goes on after the last pass over the examples.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import corpus
import distill
import distillation
import loop
from vocabulary import Tokenizer


class Bag:
    """The trained bag, for scores."""

    def __init__(self, folder):
        folder = Path(folder)
        self.table = load_file(folder / "model.safetensors")["emb.weight"].float().numpy()
        self.tokenizer = Tokenizer.read(folder / "vocab.txt")

    def embed(self, sentences):
        ids = [self.tokenizer.encode(s.encode()) for s in sentences]
        return np.stack([self.table[i or [0]].mean(axis=0) for i in ids])


def make_scheduler(optimizer, data, a):
    """A constant rate, then down to nearly nothing over the last 60 % of all passes' steps."""
    steps = a.passes * len(data.epoch(a.seed, 0, a.batch))
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: max(0.0, min(1.0, (steps * 1.02 - step) / (0.6 * steps))))


def train_pass(table, optimizer, data, mapping, a, epoch, scheduler):
    """One pass over the distillation examples; returns the mean losses."""
    total, n = torch.zeros(4), 0
    weights = torch.tensor(a.weights)
    for batch in data.epoch(a.seed, epoch, a.batch, a.near):
        rows = [i for i, _ in batch]
        ids = torch.from_numpy(np.concatenate([data.ids[i] for i in rows]).astype(np.int64))
        sizes = np.array([len(data.ids[i]) for i in rows])
        offsets = torch.from_numpy(np.cumsum(sizes) - sizes)
        parts = distill.losses(table(ids, offsets), distill.target_of(data, batch, mapping))
        optimizer.zero_grad()
        (parts * weights).sum().backward()
        optimizer.step()
        scheduler.step()
        total, n = total + parts.detach(), n + 1
    return (total / n).tolist()


def run(a, line=lambda text: print(text, file=sys.stderr)):
    torch.manual_seed(a.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    tokenizer = Tokenizer.read(a.data / "vocab.txt")
    data = distillation.Examples(a.data / "teacher", tokenizer, a.max_tokens, pairs=a.pairs)
    mapping = distill.teacher_map(data.teacher, a.width)
    table = torch.nn.EmbeddingBag(len(tokenizer.tokens) + 1, a.width, mode="mean")
    torch.nn.init.normal_(table.weight, std=0.1)
    optimizer = torch.optim.Adam(table.parameters(), lr=a.lr)
    scheduler = make_scheduler(optimizer, data, a)
    dev = distill.evaluation_sets()["stsb-dev"] if a.dev else None
    a.output.mkdir(parents=True, exist_ok=True)
    path = a.output / "checkpoint.pt"
    names = ("width", "batch", "near", "passes", "pairs", "lr", "seed", "max_tokens", "weights")
    settings = {name: getattr(a, name) for name in names}
    epoch, curve, seconds = 0, [], 0.0
    if path.exists():
        state = torch.load(path, weights_only=True)
        loop.check_settings(path, state.get("settings"), settings)
        table.load_state_dict(state["table"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        epoch, curve, seconds = state["epoch"], state["curve"], state["seconds"]
    while epoch < a.passes:
        start = time.monotonic()
        parts = train_pass(table, optimizer, data, mapping, a, epoch, scheduler)
        epoch += 1
        spent = time.monotonic() - start
        seconds += spent
        save_file({"emb.weight": table.weight.detach().clone()}, a.output / "model.safetensors")
        shutil.copyfile(a.data / "vocab.txt", a.output / "vocab.txt")
        dev_score = distill.score(Bag(a.output).embed, dev) if dev else float("nan")
        curve.append([epoch, round(seconds, 1), *(round(p, 5) for p in parts),
                      round(dev_score, 4)])
        loop.save_checkpoint(path, {
            "settings": settings, "table": table.state_dict(), "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(), "epoch": epoch, "curve": curve,
            "seconds": seconds})
        tokens = sum(map(len, data.ids))
        line(f"pass {epoch}/{a.passes} losses {' '.join(f'{p:.4f}' for p in parts)} STS-B dev "
             f"{dev_score:.4f} {tokens / spent:.0f} tokens/s "
             f"{(a.passes - epoch) * spent / 60:.1f} min left")
    head = ["pass", "seconds", "vector", "similarity", "kl", "contrastive", "stsb_dev"]
    loop.write_curve(a.output / "curve.csv", head, curve)
    return curve


def parse(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=corpus.TRAINING / "data")
    parser.add_argument("--output", type=Path, default=corpus.TRAINING / "runs" / "bag")
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--batch", type=int, default=256, help="sentences a step")
    distillation.add_arguments(parser)
    parser.add_argument("--passes", type=int, default=6, help="over the examples")
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--max-tokens", type=int, default=64)
    distill.add_weights(parser)
    parser.add_argument("--no-dev", dest="dev", action="store_false", help="no STS-B dev scores")
    return parser.parse_args(argv)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(parse())
