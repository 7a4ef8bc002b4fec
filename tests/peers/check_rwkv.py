# SPDX-License-Identifier: Apache-2.0
"""BlinkDL's own inference code, PyPI's rwkv, in fp32 on the same .pth files: logits."""
import contextlib
import io
import os
import sys

os.environ["RWKV_JIT_ON"] = "0"
os.environ["RWKV_CUDA_ON"] = "0"
version = int(sys.argv[1])
if version == 7:
    os.environ["RWKV_V7_ON"] = "1"

import torch

with contextlib.redirect_stdout(io.StringIO()):
    from rwkv.model import RWKV

from common import IDS, WORK, check, finish, trace

path = os.path.join(WORK, f"v{version}.pth")
with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
    model, state = RWKV(model=path[:-4], strategy="cpu fp32"), None
    logits, _ = model.forward(IDS, None, full_output=True)
    for token in IDS:
        last, state = model.forward([token], state)
got = trace(path)
check(f"v{version}: logits of {len(IDS)} tokens", got["logits"], logits.numpy(), 1e-4)
check(f"v{version}: last logits, the peer fed token by token", got["logits_last"], last.numpy(), 1e-4)
finish()
