# SPDX-License-Identifier: Apache-2.0
"""BlinkDL's own inference code, PyPI's rwkv, in fp32 on the same .pth files: logits. The argument is
the version: 4, 5, 6, 7, 7a."""
import contextlib
import io
import os
import sys

os.environ["RWKV_JIT_ON"] = "0"
os.environ["RWKV_CUDA_ON"] = "0"
version = sys.argv[1]
if version.startswith("7"):
    os.environ["RWKV_V7_ON"] = "1"
if version == "7a":
    os.environ["RWKV_DE_VERSION"] = "1"

import torch
from safetensors.torch import load_file

with contextlib.redirect_stdout(io.StringIO()):
    from rwkv.model import RWKV

from common import IDS, WORK, check, check_true, fathom, finish, trace


def peer(name):
    """Logits of all tokens, and of the last one when they are fed one by one."""
    with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        model, state = RWKV(model=os.path.join(WORK, name), strategy="cpu fp32"), None
        logits, _ = model.forward(IDS, None, full_output=True)
        for token in IDS:
            last, state = model.forward([token], state)
    return logits.numpy(), last.numpy()


def compare(what, ours, theirs):
    logits, last = peer(theirs)
    got = trace(os.path.join(WORK, ours))
    check(f"{what}: logits of {len(IDS)} tokens", got["logits"], logits, 1e-4)
    check(f"{what}: last logits, the peer fed token by token", got["logits_last"], last, 1e-4)
    return got


if version != "7a":
    compare(f"v{version}", f"v{version}.pth", f"v{version}")
    finish()

got = compare("v7a", "v7a.pth", "v7a")
plain = compare("v7a without s_emb_x", "v7a_without_x.pth", "v7a_without_x_peer")
far = abs(got["logits"] - plain["logits"]).max() / abs(got["logits"]).max()
check_true("v7a: s_emb_x matters", far > 1e-2, f"{far:.2e}")
# What convert writes, given back to the peer.
out = os.path.join(WORK, "v7a_converted.safetensors")
fathom("convert", os.path.join(WORK, "v7a.pth"), out)
torch.save(load_file(out), out.replace(".safetensors", ".pth"))
compare("v7a converted", "v7a_converted.safetensors", "v7a_converted")
finish()
