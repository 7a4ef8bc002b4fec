# SPDX-License-Identifier: Apache-2.0
"""PyPI's rwkv-emb (EmbeddingRWKV) on the golden RWKV-7 models, and its task heads. Its code is for
CUDA and fp16 only; here it runs on the CPU in f32: TorchScript is off, "cuda" means the CPU, and its
one CUDA kernel is the ten lines below. The rest is the package's own."""
import contextlib
import io
import os
import types
from importlib.metadata import version

import numpy as np
import torch
import torch.utils.cpp_extension
from torch.overrides import TorchFunctionMode

from common import WORK, Worst, blinkdl_weights, check, fathom, finish, goldens, try_trace

torch.jit.script = torch.jit.script_method = lambda f: f
torch.jit.ScriptModule = torch.nn.Module
torch.utils.cpp_extension.load = lambda **_: None


def wkv7(B, T, C, H, state, r, w, k, v, a, b, y):
    N = C // H
    r, w, k, v, a, b = (x.view(B, T, H, 1, N) for x in (r, w, k, v, a, b))
    w = torch.exp(-0.6065306597126334 * w)
    s = state.view(B, H, N, N)  # (value, key)
    for t in range(T):
        sa = (s * a[:, t]).sum(-1, keepdim=True)
        s.copy_(s * w[:, t] + sa * b[:, t] + v[:, t].transpose(-1, -2) * k[:, t])
        y.view(B, T, H, N)[:, t] = (s * r[:, t]).sum(-1)


library = torch.library.Library("rwkv7_state_fwd_fp16", "DEF")
library.define("forward(int B, int T, int C, int H, Tensor(a!) state, Tensor r, Tensor w, Tensor k, "
               "Tensor v, Tensor a, Tensor b, Tensor(b!) y) -> ()")
library.impl("forward", wkv7, "CPU")


class OnCpu(TorchFunctionMode):
    def __torch_function__(self, function, kinds, args=(), kwargs=None):
        cpu = lambda x: "cpu" if isinstance(x, str) and x == "cuda" else x
        return function(*map(cpu, args), **{k: cpu(x) for k, x in (kwargs or {}).items()})


with contextlib.redirect_stdout(io.StringIO()):
    from rwkv_emb import model as package
    from rwkv_emb.reference import rwkv7
    from rwkv_emb.tokenizer import RWKVTokenizer
rwkv7.DTYPE = torch.float32
print(f"rwkv-emb {version('rwkv-emb')}")


def backbone(z, fused):
    with OnCpu(), contextlib.redirect_stdout(io.StringIO()):
        z = dict(z)
        if fused:
            embedded, c = z["emb.weight"], z["ln_out.weight"].shape
            z["blocks.0.ln0.weight"], z["blocks.0.ln0.bias"] = torch.ones(c), torch.zeros(c)
        model = rwkv7.RWKV_x070(types.SimpleNamespace(MODEL_NAME=""), z)
        if fused:
            model.z["emb.weight"] = embedded
        return model


def final_of(model, ids, one_by_one):
    with OnCpu(), torch.no_grad():
        state, rows = model.generate_zero_state(0), []
        for piece in [[i] for i in ids] if one_by_one else [ids]:
            rows.append(model.forward(piece, state, True).reshape(-1, model.n_embd))
    return torch.cat(rows).numpy()


# Head size 64, which the package is made for.
for golden in goldens("golden/v7_pth", "golden/tiny_7v0", "golden_native/v7_native",
                      "golden_native/v7_native_fused"):
    model = backbone(*blinkdl_weights(golden.model))
    ours = golden.folder if golden.folder.endswith(("_native", "_fused")) else golden.model
    against_golden, against_fathom = Worst(), Worst()
    for _, ids, arrays, tolerance in golden.runs():
        peer = final_of(model, ids, one_by_one=len(ids) == 17)
        shown = arrays.get("token_pos", np.arange(len(ids)))
        against_golden.add("final", peer[shown], arrays["final"], tolerance["final"])
        mine = try_trace(f"{golden.name}: fathom reads it", ours, ids) if ours else None
        if mine is None:
            ours = None
            continue
        against_fathom.add("final", mine["final"], peer, 1e-4)
    against_golden.report(f"{golden.name}: the peer against the golden")
    against_fathom.report(f"{golden.name}: fathom against the peer")

# Text to vector: the package's tokens, one end of text (id 65535) behind them, its task heads.
path = os.path.join(WORK, "embedding_rwkv.pth")
texts = ["a", "The Eiffel Tower is in Paris.", "na\u00efve caf\u00e9, \u4f60\u597d: " + "word " * 30]
source = os.path.join(WORK, "texts.txt")
with open(source, "w", encoding="utf-8") as f:
    f.writelines(text + "\n" for text in texts)
words = os.path.join(os.path.dirname(package.__file__), "reference", "rwkv_vocab_v20230424.txt")
tokenizer = RWKVTokenizer(words)
with OnCpu(), contextlib.redirect_stdout(io.StringIO()):
    model = package.EmbeddingRWKV(path)
for head in ("cls", "sts", "retr"):
    with OnCpu():
        want = [model.forward(tokenizer.encode(text), task_type=f"[{head.upper()}]")[0].numpy()
                for text in texts]
    out = os.path.join(WORK, "heads.npy")
    fathom("embed", path, "--vocab", words, "-i", source, "--head", head, "-o", out)
    want = np.stack([w.reshape(-1) for w in want])
    check(f"EmbeddingRWKV: head {head}", np.load(out).reshape(want.shape), want, 1e-4)
finish()
