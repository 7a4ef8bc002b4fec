# SPDX-License-Identifier: Apache-2.0
"""Random RWKV-4, 5.2, 6, 7 and 7a models in BlinkDL's names (docs/layouts.md), saved by torch.save
in its zip form and in the form before PyTorch 1.6. Bytes as tokens, 8 blocks: past the rescale. And an
EmbeddingRWKV: backbone and task heads."""
import os
from collections import OrderedDict

import numpy as np
import torch

from common import WORK

V, L, C, N, F = 256, 8, 128, 64, 448
H = C // N
random = np.random.default_rng(5)


def uniform(low, high, *shape):
    return torch.tensor(random.uniform(low, high, shape), dtype=torch.float32)


def matrix(rows, cols, gain=1.0):
    bound = gain * (3 / cols) ** 0.5
    return uniform(-bound, bound, rows, cols)


def norm(z, name, n):
    z[name + ".weight"] = uniform(0.6, 1.4, n)
    z[name + ".bias"] = uniform(-0.3, 0.3, n)


def mixes(z, prefix, names):
    for name in names.split():
        z[prefix + name] = uniform(0, 1, 1, 1, C)


def lora(z, name, rank, gain=0.7):
    z[name + "1"] = matrix(rank, C).t().contiguous()
    z[name + "2"] = matrix(C, rank, gain).t().contiguous()


def attention_v4(z, a):
    z[a + "time_decay"] = uniform(-5, 1.5, C)
    z[a + "time_first"] = uniform(-1, 1, C)
    mixes(z, a, "time_mix_k time_mix_v time_mix_r")


def attention_v5(z, a):
    mixes(z, a, "time_mix_k time_mix_v time_mix_r time_mix_g")
    z[a + "time_decay"] = uniform(-5, 0.5, H, N)
    z[a + "time_faaaa"] = uniform(-1, 1, H, N)


def attention_v6(z, a):
    mixes(z, a, " ".join("time_maa_" + c for c in "xwkvrg"))
    z[a + "time_maa_w1"] = matrix(5 * 32, C).t().contiguous()
    z[a + "time_maa_w2"] = uniform(-0.1, 0.1, 5, 32, C)
    z[a + "time_decay"] = uniform(-6, 0.5, 1, 1, C)
    lora(z, a + "time_decay_w", 64)
    z[a + "time_faaaa"] = uniform(-1, 1, H, N)


def attention_v7(z, a):
    mixes(z, a, " ".join("x_" + c for c in "rwkvag"))
    for letter, rank, low in (("w", 64, -6), ("a", 32, -1), ("v", 32, -1)):
        z[a + letter + "0"] = uniform(low, 1, 1, 1, C)
        lora(z, a + letter, rank)
    lora(z, a + "g", 64, 1.5)
    z[a + "k_k"] = uniform(0.4, 1.2, 1, 1, C)
    z[a + "k_a"] = uniform(0.5, 1.3, 1, 1, C)
    z[a + "r_k"] = uniform(-0.4, 0.4, H, N)


def model(version):
    z = OrderedDict()
    z["emb.weight"] = uniform(-1.7, 1.7, V, C)
    for i in range(L):
        b = f"blocks.{i}."
        if i == 0:
            norm(z, b + "ln0", C)
        norm(z, b + "ln1", C)
        norm(z, b + "ln2", C)
        a, f = b + "att.", b + "ffn."
        {4: attention_v4, 5: attention_v5, 6: attention_v6, 7: attention_v7}[version](z, a)
        for name in ("key", "value", "receptance") + (("gate",) if version in (5, 6) else ()):
            z[a + name + ".weight"] = matrix(C, C)
        z[a + "output.weight"] = matrix(C, C, 0.8)
        if version > 4:
            norm(z, a + "ln_x", C)
        mixes(z, f, {4: "time_mix_k time_mix_r", 5: "time_mix_k time_mix_r",
                     6: "time_maa_k time_maa_r", 7: "x_k"}[version])
        z[f + "key.weight"] = matrix(F, C)
        z[f + "value.weight"] = matrix(C, F, 0.5)
        if version < 7:
            z[f + "receptance.weight"] = matrix(C, C)
    norm(z, "ln_out", C)
    z["head.weight"] = matrix(V, C)
    return z


def deep_embed(z):
    """RWKV-7a: a matrix (32, 32) a token in every block, and a part of it made of the embedding."""
    for i in range(L):
        f = f"blocks.{i}.ffn."
        z[f + "s_emb.weight"] = matrix(V, 32 * 32, 32 ** 0.5)
        z[f + "s_emb_x.weight"] = matrix(32 * 32, C, 0.3)
        z[f + "s1"] = matrix(32, C).t().contiguous()
        z[f + "s2"] = matrix(F, 32, 0.7).t().contiguous()
        z[f + "s0"] = uniform(0.5, 1.5, 1, 1, F)


def save(name, z):
    torch.save(z, os.path.join(WORK, name + ".pth"))


print(f"torch {torch.__version__}")
for version in (4, 5, 6, 7):
    z = model(version)
    torch.save(z, os.path.join(WORK, f"v{version}.pth"))
    torch.save(z, os.path.join(WORK, f"v{version}_legacy.pth"), _use_new_zipfile_serialization=False)
    half = OrderedDict((k, x.bfloat16()) for k, x in z.items())
    torch.save(half, os.path.join(WORK, f"v{version}_bf16.pth"))

# One with the size of World's vocabulary, for the tokenizer.
V, L, C, N, F, H = 65536, 1, 64, 64, 64, 1
save("words", model(7))

# EmbeddingRWKV (docs/layouts.md); its end of text is id 65535.
L, C, H = 3, 128, 2
z = OrderedDict(("rwkv." + k, x) for k, x in model(7).items() if k != "head.weight")
for head in ("cls", "sts", "retr"):
    h = f"head.{head}_head."
    z[h + "fc1.weight"], z[h + "fc2.weight"] = matrix(C, C), matrix(C, C)
    norm(z, h + "norm", C)
save("embedding_rwkv", z)

# RWKV-7a with s_emb_x, and without: BlinkDL's code asks for it, so there it is zero.
V, L, C, N, F, H = 256, 8, 128, 64, 448, 2
z = model(7)
deep_embed(z)
save("v7a", z)
without = OrderedDict((k, x) for k, x in z.items() if "s_emb_x" not in k)
save("v7a_without_x", without)
save("v7a_without_x_peer",
     OrderedDict((k, torch.zeros_like(x) if "s_emb_x" in k else x) for k, x in z.items()))
