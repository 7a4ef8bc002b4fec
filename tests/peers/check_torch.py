# SPDX-License-Identifier: Apache-2.0
"""Files of the current torch.save: zip and legacy hold the same model; tensors one by one."""
import os

import numpy as np
import torch
from safetensors.numpy import load_file

from common import WORK, check_true, fathom, finish, trace

for version in (4, 5, 6, 7):
    path = os.path.join(WORK, f"v{version}.pth")
    new, old = trace(path), trace(os.path.join(WORK, f"v{version}_legacy.pth"))
    check_true(f"v{version}: legacy form gives the same bits",
               all(np.array_equal(new[k], old[k]) for k in new))
    # fathom convert, read by Hugging Face's own library: the numbers that torch saved.
    for name in (f"v{version}", f"v{version}_bf16"):
        path = os.path.join(WORK, name + ".pth")
        out = os.path.join(WORK, "hf_" + name)
        fathom("convert", path, out + "/", "--dtype", "f32")
        stored = torch.load(path, weights_only=True)
        written = load_file(out + "/model.safetensors")
        forms = {x.ravel().tobytes() for x in written.values()}
        forms |= {np.ascontiguousarray(x.T).tobytes() for x in written.values()}  # fla's LoRAs
        found = [k for k, x in stored.items() if x.float().numpy().tobytes() in forms]
        ignored = [k for k in stored if version == 7 and k.startswith("blocks.0.att.v")
                   and k[-1] in "012"]
        check_true(f"{name}: torch's numbers found again after convert",
                   len(found) == len(stored) - len(ignored), f"{len(found)} of {len(stored)}")
finish()
