# SPDX-License-Identifier: Apache-2.0
"""RWKV-6 (Finch) in PyTorch, all tokens at once, with autograd; CPU or GPU.

Formulas and names: docs/rwkv.md, "RWKV-6". The modules have the names of the Hugging Face
layout, so that state_dict() is what model.safetensors holds (time_maa_* and time_decay as
(1, 1, C)). Shapes: B sequences, T tokens, C = d_model, H heads of size N.
"""

import json
import os
import shutil
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

import block_cpu
import wkv_cpu

CHUNK = 32
# exp() of half a chunk's log decay must stay a normal float32.
SAFE_EXPONENT = 60.0
GROUP_NORM_EPS = 64e-5  # 1e-5 times head_size_divisor 8, squared


def wkv_loop(r, k, v, log_w, u):
    """The recurrence token by token: y[t] = r (u k v + S), S = k v + w S. The definition.

    r, k, v, log_w: (B, T, H, N), log_w <= 0 is the logarithm of the decay; u: (H, N).
    Returns (B, T, H, N). The state starts at zero.
    """
    B, T, H, N = r.shape
    state = r.new_zeros(B, H, N, N)  # [key][value]
    out = []
    for t in range(T):
        kv = k[:, t, :, :, None] * v[:, t, :, None, :]
        out.append(torch.einsum("bhi,bhij->bhj", r[:, t], u[None, :, :, None] * kv + state))
        state = kv + torch.exp(log_w[:, t])[..., None] * state
    return torch.stack(out, dim=1)


def inside(r, k, v, log_w, before, total, u):
    """What the tokens of a chunk give each other: arrays (..., T, N) with heads two axes before T.

    total: sums of log_w, before: the same without the own token's. See wkv_chunked.
    """
    T = r.shape[-2]
    if log_w.detach().min() * (T / 2 + 1) > -SAFE_EXPONENT:
        middle = total[..., T // 2 - 1 : T // 2, :].detach()
        scores = (r * torch.exp(before - middle)) @ (k * torch.exp(middle - total)).mT
        scores = scores.tril(-1)
    else:
        difference = before[..., :, None, :] - total[..., None, :, :]
        mask = torch.ones(T, T, dtype=torch.bool, device=r.device).tril(-1)
        difference = difference.masked_fill(~mask[..., None], float("-inf"))
        scores = torch.einsum("...ti,...si,...tsi->...ts", r, k, torch.exp(difference))
    bonus = (r * u[:, None, None] * k).sum(dim=-1)
    return (scores + torch.diag_embed(bonus)) @ v


def wkv_masked(r, k, v, log_w, u):
    """wkv_loop as one chunk: for short sequences. No state."""
    B, T, H, N = r.shape
    r, k, v, log_w = (x.transpose(1, 2)[:, :, None] for x in (r, k, v, log_w))
    total = log_w.cumsum(dim=-2)
    y = inside(r, k, v, log_w, total - log_w, total, u)
    return y[:, :, 0].transpose(1, 2)


def wkv_chunked(r, k, v, log_w, u, chunk=CHUNK):
    """wkv_loop by chunks: matrix products inside a chunk, the state only from chunk to chunk.

    With D[t] the sum of log_w up to and including t, token s < t counts in token t with
    exp(D[t-1] - D[s]), split as exp(D[t-1] - M) exp(M - D[s]) around the chunk's middle M. Where a
    decay is so strong that the factors leave float32, the differences are taken one by one.
    """
    B, T, H, N = r.shape
    pad = -T % chunk
    if pad:
        r, k, v, log_w = (F.pad(x, (0, 0, 0, 0, 0, pad)) for x in (r, k, v, log_w))
    # (B, H, chunks, chunk, N)
    r, k, v, log_w = (
        x.view(B, -1, chunk, H, N).permute(0, 3, 1, 2, 4) for x in (r, k, v, log_w)
    )
    total = log_w.cumsum(dim=3)
    before = total - log_w
    last = total[:, :, :, -1:]

    y = inside(r, k, v, log_w, before, total, u)

    added = (k * torch.exp(last - total)).mT @ v  # what a chunk leaves in the state
    decay = torch.exp(last).mT
    state = torch.zeros_like(added[:, :, 0])
    states = []
    for c in range(added.shape[2]):
        states.append(state)
        state = added[:, :, c] + decay[:, :, c] * state
    y = y + (r * torch.exp(before)) @ torch.stack(states, dim=2)
    return y.permute(0, 2, 3, 1, 4).reshape(B, T + pad, H, N)[:, :T]


def previous(h, starts=None):
    """The token shift: h[t-1], zeros for the first token and where starts (B, T) says so."""
    shifted = F.pad(h, (0, 0, 1, -1))
    return shifted if starts is None else shifted.masked_fill(starts[..., None], 0.0)


def fastest_wkv(config, device, chunk=CHUNK):
    """(the quickest form of wkv_loop here, whether it takes several sequences in a row)."""
    if str(device) == "cpu" and wkv_cpu.available(config["head_size"]):
        return wkv_cpu.wkv, True
    return partial(wkv_chunked, chunk=chunk), False


class Attention(nn.Module):
    """Time mix."""

    def __init__(self, d_model, head_size, shift_rank, decay_rank, depth, n_layer):
        super().__init__()
        C = d_model
        self.head_size = head_size
        late = depth / max(n_layer - 1, 1)  # 0 in the first block, 1 in the last
        early = 1 - depth / n_layer
        ramp = torch.arange(C) / C
        for name, start in {
            "x": 1 - ramp**early,
            "w": 1 - ramp**early,
            "k": 1 - ramp**early,
            "v": 1 - (ramp**early + 0.3 * late),
            "r": 1 - ramp ** (0.5 * early),
            "g": 1 - ramp ** (0.5 * early),
        }.items():
            setattr(self, f"time_maa_{name}", nn.Parameter(start.view(1, 1, C)))
        self.time_maa_w1 = nn.Parameter(torch.zeros(C, 5 * shift_rank))
        self.time_maa_w2 = nn.Parameter(torch.empty(5, shift_rank, C).uniform_(-0.01, 0.01))
        channel = torch.arange(C) / max(C - 1, 1)
        self.time_decay = nn.Parameter((-6 + 5 * channel ** (0.7 + 1.3 * late)).view(1, 1, C))
        self.time_decay_w1 = nn.Parameter(torch.zeros(C, decay_rank))
        self.time_decay_w2 = nn.Parameter(torch.empty(decay_rank, C).uniform_(-0.01, 0.01))
        zigzag = (torch.arange(C) + 1) % 3 * 0.1 - 0.1
        self.time_faaaa = nn.Parameter((late * (1 - channel) + zigzag).view(-1, head_size))
        for name, gain in {"receptance": 1, "key": 0.1, "value": 1, "gate": 0.1}.items():
            setattr(self, name, linear(C, C, gain))
        self.output = linear(C, C, 0)
        self.ln_x = nn.GroupNorm(C // head_size, C, eps=GROUP_NORM_EPS)

    def forward(self, h, wkv, starts=None):
        B, T, C = h.shape
        s = previous(h, starts) - h
        z = torch.tanh(torch.addcmul(h, s, self.time_maa_x) @ self.time_maa_w1)
        z = z.view(B * T, 5, -1).transpose(0, 1)
        base = torch.cat([getattr(self, f"time_maa_{name}") for name in "wkvrg"])  # (5, 1, C)
        mix = torch.baddbmm(base.to(z.dtype), z, self.time_maa_w2.to(z.dtype)).view(5, B, T, C)
        x_w, x_k, x_v, x_r, x_g = (torch.addcmul(h, s, m) for m in mix)
        d = self.time_decay + torch.tanh(x_w @ self.time_decay_w1) @ self.time_decay_w2
        heads = (B, T, -1, self.head_size)
        r, k, v = self.receptance(x_r), self.key(x_k), self.value(x_v)
        with torch.autocast(h.device.type, enabled=False):  # the state stays float32
            r, k, v, d = (x.float().view(heads) for x in (r, k, v, d))
            y = wkv(r, k, v, -torch.exp(d), self.time_faaaa)
            y = self.ln_x(y.reshape(B * T, C)).view(B, T, C)
        return self.output(y * F.silu(self.gate(x_g)))


class FeedForward(nn.Module):
    """Channel mix."""

    def __init__(self, d_model, depth, n_layer):
        super().__init__()
        start = 1 - (torch.arange(d_model) / d_model) ** (1 - depth / n_layer)
        self.time_maa_k = nn.Parameter(start.view(1, 1, -1))
        self.time_maa_r = nn.Parameter(start.view(1, 1, -1).clone())
        width = int(3.5 * d_model) // 32 * 32
        self.key = linear(d_model, width, 1)
        self.receptance = linear(d_model, d_model, 0)
        self.value = linear(width, d_model, 0)

    def forward(self, h, starts=None):
        s = previous(h, starts) - h
        k = torch.relu(self.key(torch.addcmul(h, s, self.time_maa_k))).square()
        gate = torch.sigmoid(self.receptance(torch.addcmul(h, s, self.time_maa_r)))
        return gate * self.value(k)


class Block(nn.Module):
    def __init__(self, depth, config):
        super().__init__()
        C = config["hidden_size"]
        if depth == 0:
            self.pre_ln = nn.LayerNorm(C)
        self.ln1 = nn.LayerNorm(C)
        self.ln2 = nn.LayerNorm(C)
        ranks = config["shift_rank"], config["decay_rank"]
        layers = config["num_hidden_layers"]
        self.attention = Attention(C, config["head_size"], *ranks, depth, layers)
        self.feed_forward = FeedForward(C, depth, layers)

    def forward(self, x, wkv, starts=None, time_mix=True, channel_mix=True, fused=False):
        if fused:
            x = block_cpu.time_mix(self, x, starts) if time_mix else x
            return block_cpu.channel_mix(self, x, starts) if channel_mix else x
        if starts is not None:
            wkv = partial(wkv, starts=starts)
        if time_mix:
            x = x + self.attention(self.ln1(x), wkv, starts)
        return x + self.feed_forward(self.ln2(x), starts) if channel_mix else x


class Rwkv6(nn.Module):
    """The language model. config: make_config()'s, or of a folder (load)."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        C, V = config["hidden_size"], config["vocab_size"]
        self.rwkv = nn.Module()
        self.rwkv.embeddings = nn.Embedding(V, C)
        nn.init.uniform_(self.rwkv.embeddings.weight, -1e-4, 1e-4)
        blocks = [Block(i, config) for i in range(config["num_hidden_layers"])]
        self.rwkv.blocks = nn.ModuleList(blocks)
        self.rwkv.ln_out = nn.LayerNorm(C)
        self.head = linear(C, V, 0.5)

    def hidden(self, ids, wkv=wkv_chunked, starts=None, depth=None, sublayers=None, fused=False):
        """ids (B, T) to depth + 1 arrays (B, T, C): 0 after ln0, i after block i.

        starts (B, T) bool, for a wkv that takes it: where a new sequence begins in a row.
        sublayers: of each block, whether its time mix and its channel mix run; None: all do.
        fused: by block_cpu instead of wkv, for B = 1 with starts.
        """
        x = self.rwkv.blocks[0].pre_ln(self.rwkv.embeddings(ids))
        layers = [x]
        for i, block in enumerate(self.rwkv.blocks[:depth]):
            time_mix, channel_mix = sublayers[i] if sublayers else (True, True)
            x = block(x, wkv, starts, time_mix, channel_mix, fused)
            layers.append(x)
        return layers

    def forward(self, ids, wkv=wkv_chunked):
        """ids (B, T) to logits (B, T, V)."""
        return self.head(self.rwkv.ln_out(self.hidden(ids, wkv)[-1]))


def linear(n_in, n_out, gain):
    """A linear layer without bias, orthogonal at the start, or zero."""
    layer = nn.Linear(n_in, n_out, bias=False)
    if gain:
        nn.init.orthogonal_(layer.weight, gain=gain * max(1, n_out / n_in) ** 0.5)
    else:
        nn.init.zeros_(layer.weight)
    return layer


def make_config(n_layer, d_model, vocab_size, head_size=64, shift_rank=32, decay_rank=64):
    """config.json of a Finch model; vocab_size counts id 0."""
    if d_model % head_size:
        raise ValueError(f"d_model {d_model} is no multiple of head size {head_size}")
    return {
        "architectures": ["Rwkv6ForCausalLM"],
        "attention_hidden_size": d_model,
        "bos_token_id": 0,
        "decay_rank": decay_rank,
        "eos_token_id": 0,
        "head_size": head_size,
        "head_size_divisor": 8,
        "hidden_size": d_model,
        "intermediate_size": int(3.5 * d_model) // 32 * 32,
        "layer_norm_epsilon": 1e-05,
        "model_type": "rwkv6",
        "num_attention_heads": head_size,  # the published class reads the head size from here
        "num_hidden_layers": n_layer,
        "rescale_every": 6,
        "shift_rank": shift_rank,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": vocab_size,
    }


def load(folder):
    """The model of a Hugging Face folder, float32. Ranks are read from the shapes. A head that is
    not there is zeros."""
    folder = Path(folder)
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    attention = "rwkv.blocks.0.attention."
    config["shift_rank"] = tensors[attention + "time_maa_w2"].shape[1]
    config["decay_rank"] = tensors[attention + "time_decay_w2"].shape[0]
    model = Rwkv6(config)
    if "head.weight" not in tensors:
        tensors["head.weight"] = torch.zeros_like(model.head.weight)
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return model


def export(model, vocabulary, folder, dtype=torch.bfloat16):
    """Writes config.json, model.safetensors and the vocabulary, each by rename."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in model.state_dict().items()
    }
    temporary = folder / ".writing"
    save_file(tensors, temporary, metadata={"format": "pt"})
    os.replace(temporary, folder / "model.safetensors")
    config = {**model.config, "torch_dtype": str(dtype).removeprefix("torch.")}
    temporary.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    os.replace(temporary, folder / "config.json")
    shutil.copyfile(vocabulary, temporary)
    os.replace(temporary, folder / "vocab.txt")
