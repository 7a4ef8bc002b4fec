# SPDX-License-Identifier: Apache-2.0
"""PyPI's rwkv7-hf (pure PyTorch, transformers' interface) on the golden RWKV-7 models: its hidden
states against the goldens' and against `fathom trace`. It reads what `fathom convert` writes, and
Fathom reads what its converter writes."""
import contextlib
import io
import os
from importlib.metadata import version

import numpy as np
import torch
import transformers
from rwkv7_hf import RWKV7ForCausalLM, converter

from common import (IDS, WORK, Worst, blinkdl_weights, check, check_true, finish, goldens, trace,
                    try_trace)

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
print(f"rwkv7-hf {version('rwkv7-hf')}, transformers {transformers.__version__}")


def load(folder):
    model, loading = RWKV7ForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True)
    complete = not loading["missing_keys"] and not loading["unexpected_keys"]
    return model.eval(), complete


def converted(name, z):
    """A folder of the peer's own converter, from weights in BlinkDL's names."""
    pth, folder = os.path.join(WORK, name + "_in.pth"), os.path.join(WORK, name + "_hf")
    torch.save(z, pth)
    with contextlib.redirect_stdout(io.StringIO()):
        converter.main(["--input", pth, "--output", folder, "--precision", "fp32"])
    return folder


def run(model, ids, one_by_one=False):
    """hidden (L + 1, T, C): ln0's output and every block's; final (T, C); logits (T, V)."""
    rows = [[] for _ in range(len(model.model.layers) + 1)]
    keep = lambda i: lambda _, inputs, out: rows[i].append((out[0] if i else inputs[0])[0].numpy())
    hooks = [model.model.layers[0].attn_norm.register_forward_hook(keep(0))]
    hooks += [layer.register_forward_hook(keep(i + 1))
              for i, layer in enumerate(model.model.layers)]
    final, logits, state = [], [], None
    hooks.append(model.model.norm.register_forward_hook(
        lambda _, inputs, out: final.append(out[0].numpy())))
    with torch.no_grad():
        for piece in [[i] for i in ids] if one_by_one else [ids]:
            out = model(torch.tensor([piece]), past_key_values=state, use_cache=True)
            state = out.past_key_values
            logits.append(out.logits[0].numpy())
    for hook in hooks:
        hook.remove()
    return {"hidden": np.stack([np.concatenate(r) for r in rows]),
            "final": np.concatenate(final), "logits": np.concatenate(logits)}


# ---- a model that fathom converted

model, complete = load(os.path.join(WORK, "hf_v7"))
check_true("v7 by fathom convert: no weight missing or unexpected", complete)
got = trace(os.path.join(WORK, "v7.pth"))
for name, want in run(model, IDS).items():
    check(f"v7 by fathom convert: {name}", got[name], want, 1e-4)
check("v7 by fathom convert: logits, the peer fed token by token", got["logits"],
      run(model, IDS, True)["logits"], 1e-4)

# ---- the goldens


def check_golden(golden, model, ours):
    eps = golden.manifest["ln_x_eps"]
    for layer in model.model.layers:
        layer.attn.g_norm.eps = eps  # the peer takes head_dim * 1e-5, which is fla's
    against_golden, against_fathom = Worst(), Worst()
    for _, ids, arrays, tolerance in golden.runs():
        peer = run(model, ids, one_by_one=len(ids) == 17)
        shown = arrays.get("token_pos", np.arange(len(ids)))
        for name in ("hidden", "final"):
            against_golden.add(name, np.take(peer[name], shown, axis=-2), arrays[name],
                               tolerance[name])
        if "logits_last" in arrays:
            against_golden.add("logits_last", peer["logits"][-1], arrays["logits_last"],
                               tolerance["logits_last"])
        mine = try_trace(f"{golden.name}: fathom reads it", ours, ids) if ours else None
        if mine is None:
            ours = None  # once is enough
            continue
        for name in ("hidden", "final", "logits"):
            against_fathom.add(name, mine[name], peer[name], 1e-4)
    against_golden.report(f"{golden.name}: the peer against the golden")
    against_fathom.report(f"{golden.name}: fathom against the peer")


for golden in goldens("golden/v7_fla", "golden/v7_fla_n32"):
    model, complete = load(golden.folder)
    check_true(f"{golden.name}: no weight missing or unexpected", complete)
    check_golden(golden, model, golden.folder)

for golden in goldens("golden/v7_pth", "golden/v7_decay", "golden/tiny_7v0",
                      "golden_native/v7_native", "golden_native/v7_native_fused"):
    z, fused = blinkdl_weights(golden.model)
    folder = converted(golden.name, z)
    model, complete = load(folder)
    check_true(f"{golden.name}: no weight missing or unexpected", complete)
    if fused:  # the layer norm of the peer has no setting that changes nothing
        model.model.layers[0].pre_norm = torch.nn.Identity()
    native = golden.folder.endswith(("_native", "_fused"))
    check_golden(golden, model, golden.folder if native else golden.model)
    ids = next(golden.runs())[1]
    same_eps = abs(model.config.head_dim * 1e-5 - golden.manifest["ln_x_eps"]) < 1e-9
    if same_eps and not fused:
        theirs = try_trace(f"{golden.name}: fathom reads the peer's converter", folder, ids)
        ours = try_trace(f"{golden.name}: fathom reads it", golden.folder if native
                         else golden.model, ids)
        if theirs and ours:
            check_true(f"{golden.name}: the same bits from the peer's converter",
                       all(np.array_equal(theirs[k], ours[k]) for k in ours))
finish()
