# SPDX-License-Identifier: Apache-2.0
"""What the peer checks share: running fathom, reading what it wrote, comparing."""
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


def finish():
    sys.exit(f"{len(failures)} checks failed: {failures}" if failures else 0)
