# SPDX-License-Identifier: Apache-2.0
"""What an embedder starts from: the table of its layer 0, and blocks made quieter."""

import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import distill
from words import WordTarget


def table_means(model, sentences):
    """Layer 0 of lists of ids, by way of the whole table: cheap for many sentences."""
    table = model.rwkv.blocks[0].pre_ln(model.rwkv.embeddings.weight)
    ids = torch.from_numpy(np.concatenate(sentences).astype(np.int64)).to(table.device)
    sizes = np.array([len(s) for s in sentences])
    starts = torch.from_numpy(np.cumsum(sizes) - sizes).to(table.device)
    return F.embedding_bag(ids, table, starts, mode="mean")


def train_table(model, data, mapping, weights, a):
    """Fits the embedding table by layer 0 alone, as train_bag.py does: minutes of it save hours."""
    parameters = [model.rwkv.embeddings.weight, *model.rwkv.blocks[0].pre_ln.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=a.lr_first)
    size = min(256, len(data.ids) // 2)
    steps, step = a.table_passes * len(data.epoch(a.seed, 0, size)), 0
    for epoch in range(a.table_passes):
        for batch in data.epoch(a.seed, epoch, size, a.near):
            optimizer.param_groups[0]["lr"] = a.lr_first * min(1, (steps - step) / (0.6 * steps))
            rows = [i for i, _ in batch]
            means = table_means(model, [data.ids[i] for i in rows])
            optimizer.zero_grad()
            loss = (distill.losses(means, distill.target_of(data, batch, mapping)) * weights).sum()
            loss.backward()
            optimizer.step()
            step = min(step + 1, steps - 1)
        print(f"table: pass {epoch + 1}/{a.table_passes} loss {loss.item():.4f}", file=sys.stderr)


@torch.no_grad()
def take_table(model, folder):
    """The embedding table and ln0 of another embedder."""
    other = load_file(folder / "model.safetensors")
    for part, name in ((model.rwkv.embeddings, "embeddings"),
                       (model.rwkv.blocks[0].pre_ln, "blocks.0.pre_ln")):
        part.load_state_dict({n: other[f"rwkv.{name}.{n}"].float() for n in part.state_dict()})


@torch.no_grad()
def take_bag(model, folder, spare):
    """Makes layer 0 what a static bag gives, in all but its `spare` least directions.

    ln0 would make all tokens equally long, and a bag's lengths are what it knows of how much a
    token matters. So `spare` dimensions get no gain in ln0, and what a token lacks in length goes
    there. The others are turned towards the embeddings that the blocks know.
    """
    norm, table = model.rwkv.blocks[0].pre_ln, model.rwkv.embeddings.weight
    bag = load_file(folder / "model.safetensors")["emb.weight"].to(table)
    size = table.shape[1]
    kept = size - spare
    # Sums over the dimensions are 0, as ln0 would make them.
    ones = torch.full((kept, 1), kept**-0.5).to(table)
    basis = torch.linalg.svd(torch.eye(kept).to(table) - ones @ ones.T)[0][:, : kept - 1]
    directions = torch.linalg.eigh(bag.T @ bag)[1].flip(1)[:, : kept - 1]
    small, known = bag @ directions, norm(table)[:, :kept] @ basis
    u, _, v = torch.linalg.svd(small.T @ known)
    norm.weight.fill_(1)
    norm.weight[kept:] = 0
    norm.bias.zero_()
    set_layer_0(model, F.pad(small @ u @ v @ basis.T, (0, spare)))


@torch.no_grad()
def set_layer_0(model, wanted):
    """The table with which ln0 gives the vectors wanted (tokens, C), up to one factor for all.

    ln0 must have dimensions without gain, an even number, where the lengths are made equal.
    """
    norm, table = model.rwkv.blocks[0].pre_ln, model.rwkv.embeddings.weight
    free = norm.weight.abs() < 0.1 * norm.weight.abs().max()
    spare, size = int(free.sum()), table.shape[1]
    inner = (wanted - norm.bias) / torch.where(free, 1.0, norm.weight)
    inner[:, free] = 0
    inner[:, ~free] -= inner[:, ~free].mean(dim=1, keepdim=True)
    lengths = inner.norm(dim=1, keepdim=True)
    longest = lengths.max()
    rest = (longest.square() - lengths.square()).clamp(min=0).div(spare).sqrt()
    inner[:, free] = rest * (1 - 2 * (torch.arange(spare) % 2)).to(table)
    table.copy_(inner * (size**0.5 / longest))
    norm.weight *= torch.where(free, 1.0, longest / size**0.5)


@torch.no_grad()
def take_words(model, words, turn, tokenizer, texts):
    """Gives tokens that are mostly whole words the vectors of these words, at layer 0."""
    sums = turn.new_zeros(len(tokenizer.tokens) + 1, turn.shape[1])
    whole, all_ = (turn.new_zeros(len(sums)) for _ in range(2))
    for ids in texts:
        target = WordTarget(words, [ids], tokenizer, turn)
        of_token = torch.from_numpy(np.asarray(ids, dtype=np.int64)).to(turn.device)
        all_ += torch.bincount(of_token, minlength=len(all_))
        alone = torch.bincount(target.unit, minlength=len(target.target))[target.unit] == 1
        place = of_token[target.kept][alone]
        whole += torch.bincount(place, minlength=len(all_))
        sums.index_add_(0, place, target.target[target.unit[alone]])
    share = (whole / all_.clamp(min=1))[:, None]
    table = model.rwkv.blocks[0].pre_ln(model.rwkv.embeddings.weight)
    set_layer_0(model, (1 - share) * table + share * sums / whole.clamp(min=1)[:, None])


@torch.no_grad()
def damp_blocks(model, first, rest):
    """Makes the outputs of the blocks smaller, for a start beside a new table: by the factor first
    in the first third of the blocks, by rest in the others."""
    for i, block in enumerate(model.rwkv.blocks):
        factor = first if 3 * i < len(model.rwkv.blocks) else rest
        block.attention.output.weight *= factor
        block.feed_forward.value.weight *= factor
