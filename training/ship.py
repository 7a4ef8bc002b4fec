#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Copies what was trained to ../models: both checkpoints, the bag, the word vectors, the curves.

The embedder goes without head.weight, which it has no use for. The model cards (README.md) are
written by hand and left alone.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import corpus

NAME = "vocab.txt"


def write_tensors(tensors, path):
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(0o644)


def ship_model(source, folder, curve, head):
    folder.mkdir(parents=True, exist_ok=True)
    tensors = load_file(source / "model.safetensors")
    if not head:
        tensors.pop("head.weight", None)
    write_tensors(tensors, folder / "model.safetensors")
    for name in ("config.json", NAME):
        shutil.copyfile(source / name, folder / name)
    shutil.copyfile(curve, folder / "curve.csv")


def ship_bag(source, folder):
    folder.mkdir(parents=True, exist_ok=True)
    table = load_file(source / "model.safetensors")["emb.weight"].to(torch.bfloat16)
    write_tensors({"emb.weight": table}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(
        {"model_type": "token-bag", "hidden_size": table.shape[1], "vocab_size": table.shape[0],
         "pooling": "mean of the rows of emb.weight of a text's tokens"}, indent=2) + "\n")
    shutil.copyfile(source / "vocab.txt", folder / NAME)
    shutil.copyfile(source / "curve.csv", folder / "curve.csv")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=corpus.TRAINING / "data")
    parser.add_argument("--runs", type=Path, default=corpus.TRAINING / "runs")
    parser.add_argument("--output", type=Path, default=corpus.TRAINING.parent / "models")
    a = parser.parse_args()
    for run, name, head in (("lm", "finch-lm", True), ("embedder", "finch-embed", False)):
        if (a.runs / run / "model").exists():
            ship_model(a.runs / run / "model", a.output / name, a.runs / run / "curve.csv", head)
    first = a.runs / "lm_first" / "curve.csv"  # of the model that the language model started from
    if first.exists() and (a.runs / "lm" / "model").exists():
        shutil.copyfile(first, a.output / "finch-lm" / "curve_first.csv")
    if (a.runs / "bag" / "curve.csv").exists():
        ship_bag(a.runs / "bag", a.output / "bag")
    if (a.data / "words-50d.txt.xz").exists():
        shutil.copyfile(a.data / "words-50d.txt.xz", a.output / "words-50d.txt.xz")
    shutil.copyfile(a.data / "filter.json", a.output / "filter.json")
    size = sum(f.stat().st_size for f in a.output.rglob("*") if f.is_file())
    print(f"{a.output}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
