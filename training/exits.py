# SPDX-License-Identifier: Apache-2.0
"""A model with a head at several depths, and the policy file that lets the engine run them.

An exit behind block l: ln_out of every token, their mean, a scale and a shift of its own, the
features that `fathom fit` makes of a sentence or a pair (src/probe/features.h), dropout, one linear
layer. The engine's files say all of it: norm ln_out, pooling mean, layer.l.post, exit.l.head.
"""

import json
import os

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import block_cpu
import model as finch
from train_embedder import by_width

NEVER = 2.0  # a threshold that no margin reaches
NUMBERING = "0 = after ln0, i = after block i"


def feature_dim(kind, dim):
    return {"pooled": dim, "symmetric-pair": 2 * dim + 1, "ordered-pair": 4 * dim + 1}[kind]


def build_features(kind, u, v=None):
    """As build_features() of the engine; u, v (n, dim)."""
    if kind == "pooled":
        return u
    both = [u, v] if kind == "ordered-pair" else []
    cosine = F.cosine_similarity(u, v, eps=1e-30)[:, None]
    return torch.cat([*both, (u - v).abs(), u * v, cosine], dim=1)


class Exit(nn.Module):
    """post: (e - mean) * scale. Two classes have one row: the logit of class 1, that of class 0
    being 0. A score is lowest + (highest - lowest) * row."""

    def __init__(self, dim, task):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(dim))
        self.scale = nn.Parameter(torch.ones(dim))
        rows = task.n_class if task.n_class > 2 else 1
        self.head = nn.Linear(feature_dim(task.features, dim), rows)

    def forward(self, pooled, task, dropout):
        e = (pooled - self.mean) * self.scale
        u, v = (e[0::2], e[1::2]) if task.is_pair else (e, None)
        z = self.head(F.dropout(build_features(task.features, u, v), dropout, self.training))
        return F.pad(z, (1, 0)) if task.n_class == 2 else z


class ExitModel(nn.Module):
    """The first `depth` blocks of a Finch model with exits. sublayers: see Rwkv6.hidden()."""

    def __init__(self, body, task, exits, sublayers=None, dropout=0.1):
        super().__init__()
        self.body, self.task, self.dropout = body, task, dropout
        self.layers, self.sublayers = sorted(exits), sublayers
        self.exits = nn.ModuleList(Exit(body.config["hidden_size"], task) for _ in self.layers)

    def forward(self, texts, bf16=False, sublayers=None):
        """texts: arrays of ids, of a pair one behind the other. (exits, examples, classes)."""
        pooled = self.pooled(texts, bf16, sublayers or self.sublayers)
        return torch.stack([head(e, self.task, self.dropout)
                            for head, e in zip(self.exits, pooled)])

    def pooled(self, texts, bf16=False, sublayers=None):
        """Means of ln_out over the tokens of each text behind the blocks of the exits."""
        body, device = self.body, self.body.rwkv.embeddings.weight.device
        wkv, packs = finch.fastest_wkv(body.config, device, 8)
        fused = packs and not bf16 and block_cpu.available(body.config["head_size"])
        sizes = np.array([len(ids) for ids in texts])
        groups = {0: np.arange(len(texts))} if packs else by_width(sizes)
        parts = []
        for width, rows in groups.items():
            if packs:  # all behind each other
                ids = np.concatenate([texts[i] for i in rows])[None]
                ends = np.cumsum(sizes[rows])
                begins = ends - sizes[rows]
            else:
                ids = np.zeros((len(rows), width), dtype=np.int64)
                for row, i in enumerate(rows):
                    ids[row, : sizes[i]] = texts[i]
                begins = np.arange(len(rows)) * width
                ends = begins + sizes[rows]
            place = np.arange(ids.size)
            inside = (place >= begins[:, None]) & (place < ends[:, None])
            mean = torch.from_numpy((inside / sizes[rows][:, None]).astype(np.float32)).to(device)
            starts = None
            if packs:
                starts = torch.zeros(ids.shape, dtype=torch.bool)
                starts[0, begins] = True
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
                layers = body.hidden(torch.from_numpy(ids.astype(np.int64)).to(device), wkv,
                                     starts, self.layers[-1], sublayers, fused)
            parts.append([mean @ body.rwkv.ln_out(layers[i].float()).flatten(0, 1)
                          for i in self.layers])
        back = np.argsort(np.concatenate(list(groups.values())))
        return [torch.cat(part)[back] for part in zip(*parts)]


def truncate(body, depth):
    """Leaves out the blocks behind `depth`."""
    body.rwkv.blocks = body.rwkv.blocks[:depth]
    body.config = {**body.config, "num_hidden_layers": len(body.rwkv.blocks)}
    return body


@torch.no_grad()
def silence(body, sublayers):
    """Makes sublayers that do not run add nothing, so that running them changes nothing."""
    for block, (time_mix, channel_mix) in zip(body.rwkv.blocks, sublayers):
        if not time_mix:
            block.attention.output.weight.zero_()
        if not channel_mix:
            block.feed_forward.value.weight.zero_()


def read_mask(path):
    """The sublayers of a mask file of the engine."""
    mask = json.loads(path.read_text())["mask"]
    return list(zip(mask["time_mix"], mask["channel_mix"]))


def fingerprint(body):
    """model of a policy file (src/encode/policy_file.cc): FNV-1a of sizes and layer norms."""
    c = body.config
    sizes = (body.rwkv.embeddings.weight.shape[0], c["num_hidden_layers"], c["hidden_size"],
             c["attention_hidden_size"], c["intermediate_size"], c["head_size"])
    data = [size.to_bytes(8, "little") for size in sizes]
    norms = [norm for block in body.rwkv.blocks for norm in (block.ln1, block.ln2)]
    for norm in [*norms, body.rwkv.ln_out]:
        for values in (norm.weight, norm.bias):
            data.append(values.detach().cpu().bfloat16().view(torch.int16).numpy().tobytes())
    digest = 0xCBF29CE484222325
    for byte in b"".join(data):
        digest = (digest ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return {"version": "6", "n_layer": c["num_hidden_layers"], "d_model": c["hidden_size"],
            "weights": f"{digest:016x}"}


def about(body, kind, fitted):
    return {"fathom_policy": 1, "kind": kind, "model": fingerprint(body),
            "embedding": {"pooling": "mean", "norm": "ln_out", "bos": "none", "scan": "forward"},
            "layer_numbering": NUMBERING, "fitted": fitted}


def write(path, text):
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


def write_mask(path, body, sublayers, fitted):
    mask = {"time_mix": [bool(a) for a, _ in sublayers],
            "channel_mix": [bool(b) for _, b in sublayers]}
    write(path, json.dumps({**about(body, "mask", fitted), "mask": mask}, indent=1) + "\n")


def write_policy(path, model, temperatures, thresholds, fitted, measure=None):
    """The exits as a policy file of the engine. thresholds: a number an exit."""
    task, tensors = model.task, {}
    for layer, head, temperature in zip(model.layers, model.exits, temperatures):
        weight, bias = head.head.weight.detach().clone(), head.head.bias.detach().clone()
        if task.n_class == 1:
            spread = task.highest - task.lowest
            weight, bias = spread * weight, spread * bias + task.lowest
        tensors[f"layer.{layer}.post.mean"] = head.mean.detach().clone()
        tensors[f"layer.{layer}.post.scale"] = head.scale.detach().clone()
        tensors[f"exit.{layer}.head.weight"] = weight
        tensors[f"exit.{layer}.head.bias"] = bias
        tensors[f"exit.{layer}.head.temperature"] = torch.tensor([float(temperature)])
    rule = {"measure": measure or ("margin" if task.n_class > 1 else "patience"),
            "pair": task.is_pair, "n_class": task.n_class, "features": task.features, "streak": 1,
            "alpha": 1.0,
            "exits": [{"layer": layer, "threshold": float(t)}
                      for layer, t in zip(model.layers, thresholds)]}
    policy = {**about(model.body, "exit", fitted), "exit": rule}
    temporary = path.with_name(path.name + ".tmp")
    save_file({name: t.cpu().float().contiguous() for name, t in tensors.items()}, temporary,
              metadata={"fathom_policy": json.dumps(policy)})
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def read_policy(path):
    """(the JSON of a policy file with arrays, its arrays)."""
    with safe_open(path, "np") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}
        return json.loads(file.metadata()["fathom_policy"]), arrays
