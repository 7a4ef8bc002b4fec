#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares model.py with the golden vectors: hidden states and logits of Finch models to 1e-4.

Errors are max |difference| / max |golden| of an array. Exit status 1 if one is above 1e-4.
"""

import argparse
import sys

import torch
from safetensors.torch import load_file

import corpus
import model as finch

MODELS = ("v6_hf", "v6_hf_deep")
TOLERANCE = 1e-4


def error_of(ours, golden):
    return ((ours - golden).abs().max() / golden.abs().max()).item()


@torch.no_grad()
def check(folder):
    """Yields (sequence, array, error) of a folder of golden vectors."""
    model = finch.load(folder)
    for path in sorted(folder.glob("golden_*.safetensors")):
        golden = load_file(path)
        layers = model.hidden(golden["ids"].long()[None])
        rows = golden["token_pos"].long() if "token_pos" in golden else slice(None)
        final = model.rwkv.ln_out(layers[-1])
        hidden = torch.stack([layer[0] for layer in layers])
        yield path.stem, "hidden", max(
            error_of(ours, theirs) for ours, theirs in zip(hidden[:, rows], golden["hidden"]))
        yield path.stem, "mean", error_of(hidden.mean(dim=1), golden["mean"])
        yield path.stem, "final", error_of(final[0, rows], golden["final"])
        if "logits_last" in golden:
            yield path.stem, "logits", error_of(model.head(final[0, -1]), golden["logits_last"])


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    worst = 0.0
    for name in MODELS:
        for sequence, array, error in check(corpus.shared_data().parent / "golden" / name):
            print(f"{name} {sequence} {array}: {error:.1e}")
            worst = max(worst, error)
    print(f"worst {worst:.1e}, allowed {TOLERANCE:.0e}")
    sys.exit(not worst <= TOLERANCE)


if __name__ == "__main__":
    main()
