# SPDX-License-Identifier: Apache-2.0
"""What the peer checks share: running fathom, reading what it wrote, comparing."""
import json
import os
import subprocess
import sys

import numpy as np
from safetensors.numpy import load_file

FATHOM = os.environ["FATHOM"]
WORK = os.environ["PEERS_WORK"]
SHARED = os.environ.get("FATHOM_SHARED", "")
IDS = [int(x) for x in np.random.default_rng(3).integers(0, 256, 33)]
failures = []


def fathom(*arguments):
    done = subprocess.run([FATHOM, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"fathom {' '.join(map(str, arguments))}\n{done.stderr}")
    return done.stdout


def trace(model, ids=IDS):
    """The arrays of `fathom trace`, as float64."""
    out = os.path.join(WORK, "trace.safetensors")
    fathom("trace", model, "--ids", ",".join(map(str, ids)), "-o", out)
    return {k: v.astype(np.float64) for k, v in load_file(out).items()}


def check(what, got, want, tolerance):
    """Prints max|got - want| / max|want| and remembers if it is above tolerance."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape, (what, got.shape, want.shape)
    error = np.abs(got - want).max() / np.abs(want).max()
    ok = bool(error <= tolerance)
    print(f"  {what:<58} {error:9.2e}  (at most {tolerance:g}) {'ok' if ok else 'FAILED'}")
    if not ok:
        failures.append(what)


def check_true(what, ok, detail=""):
    print(f"  {what:<58} {detail} {'ok' if ok else 'FAILED'}")
    if not ok:
        failures.append(what)


def try_trace(what, model, ids):
    """The arrays of `fathom trace`; None, and a failed check, if it refuses the model."""
    try:
        return trace(model, ids)
    except SystemExit as error:
        check_true(what, False, str(error).splitlines()[-1])
        return None


class Golden:
    """A folder of golden vectors of RWKV-7: token ids, arrays, and how close f32 comes to them."""

    def __init__(self, folder):
        self.folder = os.path.join(SHARED, folder)
        self.name = os.path.basename(folder)
        with open(os.path.join(self.folder, "manifest.json")) as f:
            self.manifest = json.load(f)
        self.model = os.path.join(self.folder, self.manifest["model_files"][0])

    def runs(self):
        """(file, ids, arrays, tolerance of each array) of every sequence."""
        for file in self.manifest["goldens"]:
            arrays = load_file(os.path.join(self.folder, file))
            yield (file, [int(i) for i in arrays["ids"]], arrays,
                   self.manifest["recommended_tolerance_fp32"][file])


def goldens(*folders):
    """Those that are there."""
    return [Golden(f) for f in folders if SHARED and os.path.exists(os.path.join(SHARED, f))]


class Worst:
    """The largest relative errors over several comparisons, one for each array."""

    def __init__(self):
        self.found = {}

    def add(self, array, got, want, tolerance):
        got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
        assert got.shape == want.shape, (array, got.shape, want.shape)
        error = np.abs(got - want).max() / np.abs(want).max()
        now = (error / tolerance, error, tolerance)
        self.found[array] = max(now, self.found.get(array, now))

    def report(self, what):
        for array, (share, error, tolerance) in self.found.items():
            ok = bool(share <= 1)
            print(f"  {what + ', ' + array:<58} {error:9.2e}  (at most {tolerance:g}) "
                  f"{'ok' if ok else 'FAILED'}")
            if not ok:
                failures.append(f"{what}, {array}")


def blinkdl_weights(path):
    """RWKV-7 weights in f32 under BlinkDL's names, from a .pth or from the native layout of
    transformers (docs/layouts.md); and whether ln0 is in the embedding already."""
    import torch
    from safetensors.torch import load_file as load_torch

    stored = (load_torch(path) if path.endswith(".safetensors")
              else torch.load(path, map_location="cpu", weights_only=True))
    z = {}
    for name, x in stored.items():
        name = name.removeprefix("rwkv7.").removeprefix("model.")
        name = "emb.weight" if name == "embeddings.weight" else name
        if name.endswith(".weight") and name[-9:-7] in {c + d for c in "wavg" for d in "12"}:
            name, x = name.removesuffix(".weight"), x.t()  # a linear layer
        z[name] = x.float().contiguous()
    return z, "blocks.0.ln0.weight" not in z


def finish():
    sys.exit(f"{len(failures)} checks failed: {failures}" if failures else 0)
